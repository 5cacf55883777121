// Watchdog: systemd's is fed as long as the daemon moves.
//
// It moves if no frame is on a device, or some frame came off one since the last look; and if no worker's thread has
// stood in one call for longer than a model may take to load. A worker that waits for its device steps all the time,
// and gives the device up by itself; one that stands in a call of its device is given up by Engine::look_after; any
// other that stands still is a fault of ours.
//
// Threads: the supervisor's. Errors: none; what does not move is ended by systemd. After a crash: nothing is left.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "daemon/supervisor/systemd_notify.hpp"

namespace peaknet::supervisor {

// Does the daemon still move?
class Progress {
 public:
  using Time = std::chrono::steady_clock::time_point;
  explicit Progress(std::chrono::nanoseconds longest_call) : longest_call_(longest_call) {}

  // `frames` that came off devices so far, `in_flight` on them, `steps` of each worker that works.
  bool made(Time now, std::uint64_t frames, std::uint64_t in_flight, const std::vector<std::uint64_t>& steps) {
    const bool moved = frames != frames_ || in_flight == 0;
    frames_ = frames;
    if (calls_.size() != steps.size()) calls_.assign(steps.size(), {~0ULL, now});  // a device was lost, or is new
    for (std::size_t i = 0; i < steps.size(); ++i) {
      if (calls_[i].step != steps[i]) calls_[i] = {steps[i], now};
    }
    const auto too_long = [&](const Call& call) { return now - call.since > longest_call_; };
    return moved && std::none_of(calls_.begin(), calls_.end(), too_long);
  }

 private:
  struct Call {
    std::uint64_t step;
    Time since;
  };
  std::chrono::nanoseconds longest_call_;
  std::uint64_t frames_ = 0;
  std::vector<Call> calls_;
};

class Watchdog {
 public:
  using Time = Progress::Time;
  explicit Watchdog(std::chrono::nanoseconds longest_call) : progress_(longest_call) {}

  // Without effect where systemd has no watchdog for us. See Progress::made.
  void feed(Time now, std::uint64_t frames, std::uint64_t in_flight, const std::vector<std::uint64_t>& steps) {
    if (!interval_ || now < next_ || !progress_.made(now, frames, in_flight, steps)) return;
    notify_watchdog();
    next_ = now + *interval_;
  }

 private:
  Progress progress_;
  std::optional<std::chrono::microseconds> interval_ = watchdog_interval();
  Time next_{};
};

}  // namespace peaknet::supervisor
