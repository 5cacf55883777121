// FeedCounters: what became of the frames that this feed was given. The pool's counters count the same from their side
// (committed, refused_full); only the feed knows what it could not even offer.
//
// Any thread may call everything at any time.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "feed/slot_wait.hpp"

namespace peaknet::feed {

struct Counts {
  std::uint64_t committed = 0;                  // in Q1
  std::uint64_t refused = 0;                    // the pool was full and its policy refuses new frames
  std::map<std::string, std::uint64_t> failed;  // by cause (Error::id): a frame, or a message that could not be opened
  std::uint64_t narrowed = 0;                   // committed frames that lost precision from float64 to float32
  std::uint64_t no_counts = 0;                  // pixels of committed frames that hold no count (pixel_convert.hpp)
  std::uint64_t messages = 0;                   // received (listen)
  std::uint64_t missing = 0;  // messages that senders numbered and that never came (sequence_gaps.hpp)
  std::uint64_t unclear = 0;  // senders whose numbers tell nothing

  // Of `failed`: what a stop has left.
  std::uint64_t stopped() const {
    const auto found = failed.find("feed.stopped");
    return found == failed.end() ? 0 : found->second;
  }
  std::uint64_t failures() const {
    std::uint64_t sum = 0;
    for (const auto& [cause, n] : failed) sum += n;
    return sum;
  }
};

class FeedCounters {
 public:
  void committed(bool narrowed, std::uint64_t no_counts = 0) {
    if (no_counts > 0) no_counts_.fetch_add(no_counts, std::memory_order_relaxed);
    committed_.fetch_add(1, std::memory_order_relaxed);
    if (narrowed) narrowed_.fetch_add(1, std::memory_order_relaxed);
  }
  void refused() { refused_.fetch_add(1, std::memory_order_relaxed); }
  void message() { messages_.fetch_add(1, std::memory_order_relaxed); }
  // Totals, as SequenceGaps knows them now.
  void gaps(std::uint64_t missing, std::uint64_t unclear) {
    missing_.store(missing, std::memory_order_relaxed);
    unclear_.store(unclear, std::memory_order_relaxed);
  }
  void failed(const std::string& cause, std::uint64_t by = 1) {
    const std::lock_guard lock(mutex_);
    failed_[cause] += by;
  }

  // Of whoever brings frames in for this tally.
  SlotWait& slot_wait() { return slot_wait_; }
  const SlotWait& slot_wait() const { return slot_wait_; }

  Counts counts() const {
    Counts now;
    now.committed = committed_.load(std::memory_order_relaxed);
    now.refused = refused_.load(std::memory_order_relaxed);
    now.narrowed = narrowed_.load(std::memory_order_relaxed);
    now.no_counts = no_counts_.load(std::memory_order_relaxed);
    now.messages = messages_.load(std::memory_order_relaxed);
    now.missing = missing_.load(std::memory_order_relaxed);
    now.unclear = unclear_.load(std::memory_order_relaxed);
    const std::lock_guard lock(mutex_);
    now.failed = failed_;
    return now;
  }

 private:
  std::atomic<std::uint64_t> committed_{0}, refused_{0}, narrowed_{0}, no_counts_{0}, messages_{0}, missing_{0},
      unclear_{0};
  SlotWait slot_wait_;
  mutable std::mutex mutex_;
  std::map<std::string, std::uint64_t> failed_;
};

}  // namespace peaknet::feed
