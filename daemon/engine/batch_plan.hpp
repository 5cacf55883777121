// BatchPlan: how many of the waiting frames go into the next batch, and which of the fixed batch sizes (buckets) it
// runs as. A value, pure arithmetic. Rule (DESIGN 5): full bucket if there are enough; else the smallest bucket that
// holds all, unless more than a quarter of it would be padding: then the largest bucket that can be filled, and the
// rest waits for the next lane.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace peaknet::engine {

class BatchPlan {
 public:
  // Buckets 1, 2, 4, ... and `largest` itself. largest >= 1.
  explicit BatchPlan(std::uint32_t largest) {
    for (std::uint32_t bucket = 1; bucket < largest; bucket *= 2) buckets_.push_back(bucket);
    buckets_.push_back(largest);
  }

  const std::vector<std::uint32_t>& buckets() const { return buckets_; }
  std::uint32_t largest() const { return buckets_.back(); }

  struct Batch {
    std::uint32_t frames;
    std::uint32_t bucket;  // >= frames
  };
  Batch choose(std::uint32_t waiting) const {
    if (waiting >= largest()) return {largest(), largest()};
    const auto up = *std::lower_bound(buckets_.begin(), buckets_.end(), waiting);
    if (4 * (up - waiting) <= up) return {waiting, up};
    const auto down = *std::prev(std::upper_bound(buckets_.begin(), buckets_.end(), waiting));
    return {down, down};
  }

 private:
  std::vector<std::uint32_t> buckets_;
};

}  // namespace peaknet::engine
