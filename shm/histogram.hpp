// Histogram: times from 1 microsecond to about 18 minutes in log-linear buckets, 16 to an octave (error at most 6 %).
// Lives in the control segment; every add is one relaxed increment, readers copy while it is written. A hint: a killed
// process may lose the add it was making. Bucket layout after HdrHistogram.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstdint>

namespace peaknet::shm {

inline constexpr std::size_t kHistogramBuckets = 16 + 16 * 26;

class Histogram {
 public:
  using Counts = std::array<std::uint64_t, kHistogramBuckets>;

  void add(std::chrono::nanoseconds span) {
    const auto us = span.count() <= 0 ? std::uint64_t{0} : static_cast<std::uint64_t>(span.count()) / 1000;
    buckets_[bucket_of(us)].fetch_add(1, std::memory_order_relaxed);
    std::uint64_t seen = max_us_.load(std::memory_order_relaxed);
    while (us > seen && !max_us_.compare_exchange_weak(seen, us, std::memory_order_relaxed)) {
    }
  }
  void reset() {
    for (auto& bucket : buckets_) bucket.store(0, std::memory_order_relaxed);
    max_us_.store(0, std::memory_order_relaxed);
  }

  Counts copy() const {
    Counts counts{};
    for (std::size_t i = 0; i < counts.size(); ++i) counts[i] = buckets_[i].load(std::memory_order_relaxed);
    return counts;
  }
  std::uint64_t max_us() const { return max_us_.load(std::memory_order_relaxed); }

  static constexpr std::size_t bucket_of(std::uint64_t us) {
    if (us < 16) return us;
    const int octave = 63 - std::countl_zero(us);  // >= 4
    const std::size_t index = 16 * static_cast<std::size_t>(octave - 3) + (us >> (octave - 4)) - 16;
    return index < kHistogramBuckets ? index : kHistogramBuckets - 1;
  }
  // Largest microsecond value that falls into the bucket.
  static constexpr std::uint64_t upper_edge(std::size_t bucket) {
    if (bucket < 16) return bucket;
    const auto octave = bucket / 16 + 3;
    return ((std::uint64_t{bucket % 16} + 17) << (octave - 4)) - 1;
  }

 private:
  std::array<std::atomic<std::uint64_t>, kHistogramBuckets> buckets_{};
  std::atomic<std::uint64_t> max_us_{0};
};

// The value below which `fraction` of the counted times lie, in microseconds; 0 for an empty histogram.
inline std::uint64_t quantile_us(const Histogram::Counts& counts, std::uint64_t max_us, double fraction) {
  std::uint64_t total = 0;
  for (const auto count : counts) total += count;
  if (total == 0) return 0;
  const double target = fraction * static_cast<double>(total);
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    seen += counts[i];
    if (static_cast<double>(seen) >= target && seen > 0) return std::min(Histogram::upper_edge(i), max_us);
  }
  return max_us;
}

// Stages of a frame's way that are timed.
enum class Stage : std::uint32_t {
  q1_wait,  // commit -> taken by a device
  infer,    // taken -> result in the slot
  q2_wait,  // result -> taken by a writer
  write,    // taken by a writer -> durable (or filtered)
  total,    // commit -> durable (or filtered)
  kCount,
};
inline constexpr std::size_t kStages = static_cast<std::size_t>(Stage::kCount);
constexpr const char* name(Stage stage) {
  constexpr std::array<const char*, kStages> kNames = {"q1_wait", "infer", "q2_wait", "write", "total"};
  return kNames[static_cast<std::size_t>(stage)];
}

}  // namespace peaknet::shm
