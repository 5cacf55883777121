// Findings: what a program did that a real device would leave to luck. One line each on stderr, and exit code 99 at the
// end of a process that had one, so that no test passes over it.
//
// Threads: any; it has a lock of its own and may be called with or without the Machine's.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>

namespace peaknet::gpusim {

inline constexpr int kExitFindings = 99;

class Findings {
 public:
  void add(const std::string& what);
  std::uint64_t count() const;
  // Forget those so far: a test that provokes one on purpose takes it with this.
  std::uint64_t take();

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::uint64_t> told_;
  std::uint64_t count_ = 0;
};

}  // namespace peaknet::gpusim
