#include "daemon/engine/bounded_wait.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

namespace peaknet::engine {
namespace {

std::string seconds(std::chrono::nanoseconds span) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.3g s", std::chrono::duration<double>(span).count());
  return text.data();
}

}  // namespace

Status wait_bounded(const std::function<bool(std::chrono::nanoseconds slice)>& done_within, const std::string& doing,
                    const WaitBound& bound) {
  std::chrono::nanoseconds waited{0};
  for (auto looked = bound.now(); !done_within(kLookSlice);) {
    const auto now = bound.now();
    waited += std::min<std::chrono::nanoseconds>(now - std::exchange(looked, now), kLongestLook);
    if (!bound.goes_on()) return Error{kGivenUp, doing + " was given up", bound.untouched, ""};
    if (bound.longest.count() == 0 || waited < bound.longest) continue;
    return Error{"device.stuck", doing + " is not done after " + seconds(bound.longest), bound.untouched,
                 "see nvidia-smi and dmesg (Xid); a larger engine.stuck_seconds if the model is that slow"};
  }
  return {};
}

}  // namespace peaknet::engine
