// TimeShare: lets a piece of work have a share of the time and no more: what it took is paid back before it goes on.
//
// Over any span it has at most the share of it, the `most` that it may save up, and the last piece. Used by one thread.
#pragma once

#include <algorithm>
#include <chrono>

namespace peaknet::writer {

class TimeShare {
 public:
  using Clock = std::chrono::steady_clock;

  TimeShare(double share, Clock::duration most, Clock::time_point now)
      : share_(share), most_(most), at_(now), credit_(most) {}

  bool has_some(Clock::time_point now) {
    const auto earned = std::chrono::duration_cast<Clock::duration>(std::max(now - at_, Clock::duration(0)) * share_);
    if (earned > Clock::duration(0)) at_ = now;
    credit_ = std::min(most_, credit_ + earned);
    return credit_ > Clock::duration(0);
  }
  void spend(Clock::duration taken) { credit_ -= taken; }

 private:
  double share_;
  Clock::duration most_;
  Clock::time_point at_;
  Clock::duration credit_;
};

}  // namespace peaknet::writer
