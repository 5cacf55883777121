// Bounded wait: every wait for a device ends, because a device that hangs never answers and never says so.
//
// The bound is a multiple of the longest that a batch may take (engine.stuck_seconds), since first runs specialise and
// a model comes from a disk. Time in which this thread did not run counts for little: a machine that slept is no hang.
// Who gave up must keep all that the device may still touch (left_behind.hpp).
//
// Threads: the one that owns the device. Errors: device.stuck; engine.given-up.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "base/result.hpp"

namespace peaknet::engine {

inline constexpr int kPatienceInWarmUp = 4;
inline constexpr int kPatienceInLoading = 10;
inline constexpr std::chrono::milliseconds kLookSlice{100};  // in which a wait looks whether it should end
inline constexpr std::chrono::seconds kLongestLook{1};  // of a time in which we did not look, no more counts against it
inline constexpr const char* kGivenUp = "engine.given-up";

struct WaitBound {
  using Clock = std::chrono::steady_clock;
  std::chrono::nanoseconds longest{0};  // 0: as long as `goes_on`
  std::string untouched;                // what an error says of it
  std::function<bool()> goes_on;        // asked after each slice; false: the wait is given up
  std::function<Clock::time_point()> now = Clock::now;
};

// Until `done_within` says that it is done. `doing`: "cuda:0: loading a model", for the error.
Status wait_bounded(const std::function<bool(std::chrono::nanoseconds slice)>& done_within, const std::string& doing,
                    const WaitBound& bound);

}  // namespace peaknet::engine
