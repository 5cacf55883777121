// RateLimiter: how many requests one peer may send in a time, so that one that floods the socket costs the daemon a
// short reply each and not the work they ask for. Used by the server's thread alone.
#pragma once

#include <chrono>
#include <string>
#include <unordered_map>

namespace peaknet::control {

class RateLimiter {
 public:
  using Clock = std::chrono::steady_clock;
  // `per_second` in the long run, `at_once` after a rest.
  RateLimiter(double per_second, double at_once) : per_second_(per_second), at_once_(at_once) {}

  // May this peer have one more request carried out now?
  bool take(const std::string& peer, Clock::time_point now);
  std::size_t peers() const { return buckets_.size(); }

 private:
  struct Bucket {
    double left;
    Clock::time_point at;
  };
  double refilled(const Bucket& bucket, Clock::time_point now) const;
  double per_second_;
  double at_once_;
  std::unordered_map<std::string, Bucket> buckets_;
};

}  // namespace peaknet::control
