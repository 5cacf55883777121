// ThreadChoice: whether a run of a network shall use all threads it may, or one. LibTorch's threads meet at a barrier
// after each of its hundreds of steps. That is fast while each has a processor; where another program takes one of
// them, all spin for the one that is not there, and a run takes a hundred times as long. Nothing tells beforehand which
// it will be, so the last runs do.
//
// A value, fed with durations; no clock, no thread of its own.
//  - The first runs measure both ways; the very first of each does not count, runtimes prepare things in it.
//  - Then all threads, until their runs take longer than those of one thread did.
//  - Then one thread for a pause, after which all are tried again. Each time they are left the pause doubles, up to
//    kLongestPause, so a machine that is busy for hours pays for one try in eight seconds.
//  - One run in kRefresh is with one thread, so that what it is compared with stays true.
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
  static constexpr std::uint64_t kRefresh = 128;

  // Shall the run that begins now use all threads?
  bool all(Time now) const {
    if (runs_ < kFirst) return runs_ % 2 == 0;
    if (!left_) return runs_ % kRefresh != 0;
    return now - *left_ >= pause_;
  }

  // A run took so long and ended now. True: from now on it is the other way.
  bool ran(bool with_all, Duration took, Time now) {
    const bool prepared = runs_++ >= 2;
    if (!prepared) return false;
    if (!with_all) {
      one_ = mean(one_, took);
      return runs_ >= kFirst && !left_ && judge(now);
    }
    if (left_) {  // a try
      all_ = took;
      if (took < *one_) {
        back_ = now;
        left_.reset();
        return true;
      }
      leave(now);
      return false;
    }
    all_ = mean(all_, took);
    return runs_ > kFirst && judge(now);
  }

 private:
  static constexpr std::uint64_t kFirst = 4;

  static Duration mean(const std::optional<Duration>& before, Duration took) {
    return before ? *before + (took - *before) / 4 : took;
  }
  bool judge(Time now) {
    if (*all_ <= *one_) return false;
    leave(now);
    return true;
  }
  void leave(Time now) {
    const bool lasted = !left_ && back_ && now - *back_ > pause_;
    pause_ = lasted ? kShortestPause : std::clamp(pause_ * 2, kShortestPause, kLongestPause);
    left_ = now;
  }

  std::uint64_t runs_ = 0;
  std::optional<Duration> one_, all_;  // what a run takes
  std::optional<Time> left_;           // since when it is one thread
  std::optional<Time> back_;           // since when it is all again
  Duration pause_{0};
};

}  // namespace peaknet::model
