#include "daemon/model/row_threads.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <vector>

namespace peaknet::model {

RowThreads::RowThreads(std::string name, std::uint32_t count) : name_(std::move(name)), count_(count) {
  spdlog::info("{} runs on the processor with {}", name_,
               count_ == 1 ? "one thread" : std::to_string(count_) + " threads, rows of a batch at the same time");
}

Status RowThreads::run(const RowParts& plan, const Part& work) {
  if (plan.threads_each == 1) return share(plan, 1, work);
  auto& choice = choices_[{plan.parts, plan.rows}];
  const auto begin = std::chrono::steady_clock::now();
  const bool all = choice.all(begin);
  auto outcome = share(plan, all ? plan.threads_each : 1, work);
  const auto end = std::chrono::steady_clock::now();
  if (choice.ran(all, end - begin, end) && std::has_single_bit(++changes_)) {  // the 1st, 2nd, 4th, ...
    spdlog::info("{}: parts of {} rows are faster with {} for now (change {})", name_, plan.rows,
                 choice.all(end) ? std::to_string(plan.threads_each) + " threads" : "one thread", changes_);
  }
  return outcome;
}

Status RowThreads::share(const RowParts& plan, std::uint32_t threads_each, const Part& work) {
  if (plan.parts == 1) return work(0, threads_each);
  if (!crew_) crew_ = std::make_unique<RowCrew>(count_ - 1);
  std::vector<Status> outcomes(static_cast<std::size_t>(plan.parts));
  crew_->run(outcomes.size(),
             [&](std::size_t part) { outcomes[part] = work(static_cast<std::int64_t>(part), threads_each); });
  const auto failed = std::find_if(outcomes.begin(), outcomes.end(), [](const Status& one) { return !one.ok(); });
  return failed == outcomes.end() ? Status{} : std::move(*failed);
}

}  // namespace peaknet::model
