// RowThreads: the threads of one network on the processor, and what they do. Includes nothing of torch.
//
// Threads: run() is called by one thread at a time. Errors: std::system_error where there are no more threads.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "base/result.hpp"
#include "daemon/model/row_crew.hpp"
#include "daemon/model/row_plan.hpp"
#include "daemon/model/thread_choice.hpp"

namespace peaknet::model {

class RowThreads {
 public:
  // `name`: of the network, for the log.
  RowThreads(std::string name, std::uint32_t count);

  std::uint32_t count() const { return count_; }

  // One part of a batch, with `parts.threads` threads of its own. It must not throw.
  using Part = std::function<Status(const RowParts& parts, std::int64_t part)>;
  // All parts, also where one fails, in the form that is faster now; returns the error of the first that has one.
  Status run(const RowPlan& plan, const Part& work);

 private:
  Status share(const RowParts& parts, const Part& work);

  std::string name_;
  std::uint32_t count_;
  std::map<std::pair<std::int64_t, std::int64_t>, ThreadChoice> choices_;  // by parts and their rows, apart
  std::uint64_t changes_ = 0;
  std::unique_ptr<RowCrew> crew_;  // null: no batch was shared yet
};

}  // namespace peaknet::model
