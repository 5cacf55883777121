// BatchPlan: how many of the waiting frames go into the next batch, and which of the fixed batch sizes (buckets, in
// events) it runs as. A value, pure arithmetic. Rule (DESIGN 5): full bucket if there are enough; else the smallest
// bucket that holds all, unless more than a quarter of it would be padding: then the largest bucket that can be filled,
// and the rest waits for the next lane.
//
// The network sees rows, one for each panel. Where the device has no room for all panels of one event at once, the
// event is split: it runs in several passes, and its mask is joined again because each pass writes its own panels.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace peaknet::engine {

class BatchPlan {
 public:
  // Buckets 1, 2, 4, ... and `largest` itself. largest >= 1, panels >= 1.
  explicit BatchPlan(std::uint32_t largest, std::uint32_t panels = 1)
      : panels_(panels), pass_rows_(panels), limit_(largest) {
    for (std::uint32_t bucket = 1; bucket < largest; bucket *= 2) possible_.push_back(bucket);
    possible_.push_back(largest);
    buckets_ = possible_;
  }

  const std::vector<std::uint32_t>& buckets() const { return buckets_; }
  std::uint32_t largest() const { return buckets_.back(); }

  struct Batch {
    std::uint32_t frames;
    std::uint32_t bucket;  // >= frames
  };
  Batch choose(std::uint32_t waiting) const {
    if (waiting >= largest()) return {largest(), largest()};
    const auto up = bucket_for(waiting);
    if (4 * (up - waiting) <= up) return {waiting, up};
    const auto down = *std::prev(std::upper_bound(buckets_.begin(), buckets_.end(), waiting));
    return {down, down};
  }
  // The smallest bucket that holds so many frames, at most largest().
  std::uint32_t bucket_for(std::uint32_t frames) const {
    return *std::lower_bound(buckets_.begin(), buckets_.end(), frames);
  }

  // Use no bucket above this, 1 or more, until told otherwise. What the device cannot hold stays out of use.
  void limit(std::uint32_t events) {
    limit_ = events;
    use();
  }
  // So many rows at once were too many for the device: stay below for good. False: there is nothing below.
  bool lower(std::uint32_t rows) {
    while (possible_.size() > 1 && possible_.back() * panels_ >= rows) possible_.pop_back();
    while (possible_.size() == 1 && pass_rows_ > 1 && pass_rows_ >= rows) pass_rows_ /= 2;
    use();
    return rows_at_once(largest()) < rows;
  }

  // Rows that the network gets at once for a batch of this bucket.
  std::uint32_t rows_at_once(std::uint32_t bucket) const { return split() ? pass_rows_ : bucket * panels_; }
  // Events are split: every batch is one event, in passes() runs of the network. The last may have rows to spare.
  bool split() const { return pass_rows_ < panels_; }
  std::uint32_t passes() const { return (panels_ + pass_rows_ - 1) / pass_rows_; }
  // Rows of memory that a lane needs, also after lower() as often as it may be.
  std::uint32_t rows_of_lane() const { return std::max(possible_.back() * panels_, 2 * panels_ - 1); }

 private:
  void use() { buckets_.assign(possible_.begin(), std::upper_bound(possible_.begin(), possible_.end(), limit_)); }

  std::uint32_t panels_;
  std::uint32_t pass_rows_;
  std::uint32_t limit_;
  std::vector<std::uint32_t> possible_;  // by the device
  std::vector<std::uint32_t> buckets_;   // of these, those in use
};

}  // namespace peaknet::engine
