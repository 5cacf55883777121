#include "tests/gpusim/findings.hpp"

#include <cstdio>
#include <utility>

namespace peaknet::gpusim {

namespace {
constexpr std::uint64_t kTold = 3;  // of one kind; the rest is counted
}

void Findings::add(const std::string& what) {
  const std::lock_guard hold(mutex_);
  ++count_;
  if (++told_[what] <= kTold) std::fprintf(stderr, "gpusim: FINDING: %s\n", what.c_str());
}

std::uint64_t Findings::count() const {
  const std::lock_guard hold(mutex_);
  return count_;
}

std::uint64_t Findings::take() {
  const std::lock_guard hold(mutex_);
  return std::exchange(count_, 0);
}

}  // namespace peaknet::gpusim
