#include "daemon/model/row_threads.hpp"

#include <algorithm>
#include <bit>
#include <chrono>
#include <vector>

#include "base/log_line.hpp"

namespace peaknet::model {

RowThreads::RowThreads(std::string name, std::uint32_t count) : name_(std::move(name)), count_(count) {
  log::info("{} runs on the processor with {}", name_,
            count_ == 1 ? "one thread" : std::to_string(count_) + " threads, rows of a batch at the same time");
}

Status RowThreads::run(const RowPlan& plan, const Part& work) {
  if (!plan.together) return share(plan.apart, work);
  auto& choice = choices_[{plan.apart.parts, plan.apart.rows}];
  const auto begin = std::chrono::steady_clock::now();
  const bool together = choice.together(begin);
  auto outcome = share(together ? *plan.together : plan.apart, work);
  const auto end = std::chrono::steady_clock::now();
  if (choice.ran(together, end - begin, end) && std::has_single_bit(++changes_)) {  // the 1st, 2nd, 4th, ...
    const RowParts& now = choice.together(end) ? *plan.together : plan.apart;
    log::info("{}: {} x {} rows run faster with {} thread{} each for now (change {})", name_, now.parts, now.rows,
              now.threads, now.threads == 1 ? "" : "s", changes_);
  }
  return outcome;
}

Status RowThreads::share(const RowParts& parts, const Part& work) {
  if (parts.parts == 1) return work(parts, 0);
  if (!crew_) crew_ = std::make_unique<RowCrew>(count_ - 1);
  std::vector<Status> outcomes(static_cast<std::size_t>(parts.parts));
  crew_->run(outcomes.size(), [&](std::size_t part) { outcomes[part] = work(parts, static_cast<std::int64_t>(part)); });
  const auto failed = std::find_if(outcomes.begin(), outcomes.end(), [](const Status& one) { return !one.ok(); });
  return failed == outcomes.end() ? Status{} : std::move(*failed);
}

}  // namespace peaknet::model
