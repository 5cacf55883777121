// ThrottledLog: bad input in the log without drowning it. The first fault of each cause is logged with its whole text;
// later ones of that cause at most every ten seconds, with the number of those that were left out. Any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "base/result.hpp"

namespace peaknet::feed {

class ThrottledLog {
 public:
  explicit ThrottledLog(std::chrono::nanoseconds interval = std::chrono::seconds(10)) : interval_(interval) {}

  // True if this one was logged.
  bool report(const Error& error);

 private:
  struct Cause {
    std::chrono::steady_clock::time_point logged;
    std::uint64_t silent = 0;
  };
  const std::chrono::nanoseconds interval_;
  std::mutex mutex_;
  std::map<std::string, Cause> causes_;
};

}  // namespace peaknet::feed
