// ThreadChoice: whether the threads of LibTorch work together on each part of a batch, or each on a part of its own
// (RowPlan). Together they meet at a barrier after each of the network's hundreds of steps. That is fast while each has
// a processor; where another program takes one of them, all spin for the one that is not there, and a run takes a
// hundred times as long. Nothing tells beforehand which it will be, so the last runs do.
//
// A value, fed with durations; no clock, no thread of its own.
//  - The first runs measure both forms; the very first of each does not count, runtimes prepare things in it.
//  - Then together, until those runs take longer than the others did.
//  - Then apart for a pause, after which together is tried again. Each time it is left the pause doubles, up to
//    kLongestPause, and it is kTries times as long as the last try: tries cost little, however busy the machine is.
//  - One run in kRefresh is apart, so that what together is compared with stays true.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>

namespace peaknet::model {

class ThreadChoice {
 public:
  using Duration = std::chrono::duration<double>;
  using Time = std::chrono::steady_clock::time_point;
  static constexpr Duration kShortestPause{0.25};
  static constexpr Duration kLongestPause{8};
  static constexpr int kTries = 30;
  static constexpr std::uint64_t kRefresh = 128;

  // The form of the run that begins now.
  bool together(Time now) const {
    if (runs_ < kFirst) return runs_ % 2 == 0;
    if (!left_) return runs_ % kRefresh != 0;
    return now - *left_ >= pause_;
  }

  // A run took so long and ended now. True: from now on it is the other form.
  bool ran(bool together, Duration took, Time now) {
    if (runs_++ < kFirst / 2) return false;
    if (together && left_) return tried(took, now);
    auto& taken = together ? together_ : apart_;
    taken = taken ? *taken + (took - *taken) / 16 : took;  // a hiccup is no reason, a collapse is
    if (left_ || runs_ < kFirst || *together_ <= *apart_) return false;
    leave(took, now);
    return true;
  }

 private:
  static constexpr std::uint64_t kFirst = 4;

  bool tried(Duration took, Time now) {
    together_ = took;
    if (took >= *apart_) {
      leave(took, now);
      return false;
    }
    back_ = now;
    left_.reset();
    return true;
  }
  void leave(Duration took, Time now) {
    const bool lasted = !left_ && back_ && now - *back_ > pause_;
    pause_ = lasted ? kShortestPause : std::clamp(pause_ * 2, kShortestPause, kLongestPause);
    pause_ = std::max(pause_, took * kTries);
    left_ = now;
  }

  std::uint64_t runs_ = 0;
  std::optional<Duration> together_, apart_;  // what a run takes
  std::optional<Time> left_;                  // since when it is apart
  std::optional<Time> back_;                  // since when it is together again
  Duration pause_{0};
};

}  // namespace peaknet::model
