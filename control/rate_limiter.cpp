#include "control/rate_limiter.hpp"

#include <algorithm>

namespace peaknet::control {
namespace {

constexpr std::size_t kMostPeers = 4096;  // known at a time; those at rest are forgotten beyond it

}  // namespace

double RateLimiter::refilled(const Bucket& bucket, Clock::time_point now) const {
  return std::min(at_once_, bucket.left + std::chrono::duration<double>(now - bucket.at).count() * per_second_);
}

bool RateLimiter::take(const std::string& peer, Clock::time_point now) {
  if (buckets_.size() >= kMostPeers && !buckets_.contains(peer)) {
    std::erase_if(buckets_, [&](const auto& entry) { return refilled(entry.second, now) >= at_once_; });
    if (buckets_.size() >= kMostPeers) return false;
  }
  const auto [entry, fresh] = buckets_.try_emplace(peer, Bucket{at_once_, now});
  Bucket& bucket = entry->second;
  bucket = {refilled(bucket, now), now};
  if (bucket.left < 1) return false;
  bucket.left -= 1;
  return true;
}

}  // namespace peaknet::control
