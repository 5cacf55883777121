// OriginalTiming: frames with the pauses that lay between them when they were measured, or received. The first frame is
// due at once. Where time falls back by more than a second (the files are played again, or another run comes) it
// begins anew with that frame; by less, ranks have overtaken each other, and the frame is due at once. A frame without
// a time is due with the one before it. A pause of more than ten seconds is cut to that: a clock was set, or a stamp is
// wrong, and nobody waits for the year 2106. One thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <stop_token>

namespace peaknet::feed {

class OriginalTiming {
 public:
  using Clock = std::chrono::steady_clock;

  // When a frame of the time `ns` (nanoseconds since 1970; 0: unknown) is due, if asked at `now`.
  Clock::time_point due(std::int64_t ns, Clock::time_point now) {
    if (ns == 0) return now;
    if (!first_ || ns < latest_ - kFallBack) {
      first_ = ns;
      latest_ = ns;
      start_ = now;
    }
    if (ns > latest_ + kLongestPause) {
      cut_ += ns - latest_ - kLongestPause;
      ++cuts_;
      *first_ += ns - latest_ - kLongestPause;
    }
    if (ns > latest_) latest_ = ns;
    return start_ + std::chrono::nanoseconds(ns - *first_);
  }
  // Wait until then. False if stopped.
  bool wait_for(std::int64_t ns, const std::stop_token& stop) {
    return wait_for(ns, stop, [] {});
  }
  // `known` is called when it is known until when that is.
  template <class Known>
  bool wait_for(std::int64_t ns, const std::stop_token& stop, Known known) {
    const auto until = due(ns, Clock::now());
    known();
    if (until <= Clock::now()) return !stop.stop_requested();
    std::mutex mutex;
    std::condition_variable_any nobody;
    std::unique_lock lock(mutex);
    nobody.wait_until(lock, stop, until, [] { return false; });
    return !stop.stop_requested();
  }
  // How many pauses were cut, and what was left out of them.
  std::uint64_t cuts() const { return cuts_; }
  std::chrono::nanoseconds cut() const { return std::chrono::nanoseconds(cut_); }
  bool knows_any() const { return first_.has_value(); }

 private:
  static constexpr std::int64_t kFallBack = 1'000'000'000, kLongestPause = 10 * kFallBack;
  std::optional<std::int64_t> first_;
  std::int64_t latest_ = 0, cut_ = 0;
  std::uint64_t cuts_ = 0;
  Clock::time_point start_;
};

}  // namespace peaknet::feed
