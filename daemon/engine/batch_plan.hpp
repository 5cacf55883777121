// BatchPlan: how many of the waiting frames go into the next batch, and which of the fixed batch sizes (buckets, in
// events) it runs as. A value, pure arithmetic. Rule (docs/design.md, section 5): full bucket if there are enough; else
// the smallest bucket that holds all, unless more than a quarter of it would be padding: then the largest bucket that
// can be filled, and the rest waits for the next lane.
//
// The network sees rows, one for each panel. Where the device has no room for all panels of one event at once, the
// event is split: it runs in several passes, and its mask is joined again because each pass writes its own panels. The
// same where a compiled model has no network for all panels of an event, only for fewer.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace peaknet::engine {

class BatchPlan {
 public:
  // Buckets 1, 2, 4, ... and `largest` itself. largest >= 1, panels >= 1.
  explicit BatchPlan(std::uint32_t largest, std::uint32_t panels = 1) : panels_(panels), limit_(largest) {
    for (std::uint32_t bucket = 1; bucket < largest; bucket *= 2) wanted_.push_back(bucket);
    wanted_.push_back(largest);
    use();
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
    if (waiting < buckets_.front()) return {waiting, buckets_.front()};  // there is nothing smaller to wait for
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
    const std::uint32_t before = std::exchange(most_rows_, std::min(most_rows_, rows - 1));
    if (use()) return true;
    most_rows_ = before;
    use();
    return false;
  }
  // The model runs with these numbers of rows alone; empty: with any. False, and nothing changed: none of them is of
  // use.
  bool offer(const std::vector<std::int64_t>& rows) {
    auto before = std::exchange(offered_, rows);
    if (use()) return true;
    offered_ = std::move(before);
    use();
    return false;
  }

  // Rows that the network gets at once for a batch of this bucket.
  std::uint32_t rows_at_once(std::uint32_t bucket) const { return split() ? pass_rows_ : bucket * panels_; }
  // Events are split: every batch is one event, in passes() runs of the network. The last may have rows to spare.
  bool split() const { return pass_rows_ < panels_; }
  std::uint32_t passes() const { return (panels_ + pass_rows_ - 1) / pass_rows_; }
  // Rows of memory that a lane needs, also after lower() and offer() as often as they may be.
  std::uint32_t rows_of_lane() const {
    const auto fits = std::find_if(wanted_.rbegin(), wanted_.rend(), [&](auto b) { return b * panels_ <= most_rows_; });
    return std::max(fits == wanted_.rend() ? 0 : *fits * panels_, 2 * panels_ - 1);
  }

 private:
  bool possible(std::uint32_t rows) const {
    return rows <= most_rows_ &&
           (offered_.empty() || std::find(offered_.begin(), offered_.end(), rows) != offered_.end());
  }
  // What is possible now, from all that was said. False: nothing.
  bool use() {
    buckets_.clear();
    pass_rows_ = panels_;
    for (const auto bucket : wanted_) {
      if (possible(bucket * panels_) && (bucket <= limit_ || buckets_.empty())) buckets_.push_back(bucket);
    }
    if (!buckets_.empty()) return true;
    buckets_ = {1};
    if (offered_.empty()) {  // halves of an event
      while (pass_rows_ > 1 && pass_rows_ > most_rows_) pass_rows_ /= 2;
    } else {
      pass_rows_ = 0;
      for (const auto rows : offered_) {
        if (rows > pass_rows_ && rows < panels_ && rows <= most_rows_) pass_rows_ = static_cast<std::uint32_t>(rows);
      }
    }
    if (pass_rows_ > 0 && pass_rows_ <= most_rows_) return true;
    pass_rows_ = std::max(1U, pass_rows_);
    return false;
  }

  std::uint32_t panels_;
  std::uint32_t pass_rows_ = 0;
  std::uint32_t limit_;
  std::uint32_t most_rows_ = ~0U;       // that the device holds at once
  std::vector<std::int64_t> offered_;   // by the model
  std::vector<std::uint32_t> wanted_;   // all, by the configuration
  std::vector<std::uint32_t> buckets_;  // of these, those in use
};

}  // namespace peaknet::engine
