// History: what happened in each second of the last ten minutes and in each minute of the last day, in the control
// segment of the instance, so that every tool sees the same past; and how many peaks the frames of the run had.
//
// peaknetd alone writes the rings, once a second: the differences of the counters since its last look. Time without a
// daemon has no points: what happened then is in the counters, but not when. A point says how long it looked; a rate is
// its count over its span.
//
// Threads: one writes, any number read. A point that is just being written is left out by readers. Whatever a member of
// the group scribbled into the rings, the result is points. After a crash: the next peaknetd adds to what is there.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace peaknet::shm {

enum class Measure : std::uint32_t {
  committed,
  inferred,
  written,
  filtered,
  dropped,  // by any cause
  failed,   // by any cause
  refused,
  peaks,
  kCount,
};
inline constexpr std::size_t kMeasures = static_cast<std::size_t>(Measure::kCount);
constexpr const char* name(Measure measure) {
  constexpr std::array<const char*, kMeasures> kNames = {"committed", "inferred", "written", "filtered",
                                                         "dropped",   "failed",   "refused", "peaks"};
  return kNames[static_cast<std::size_t>(measure)];
}

// As it lies in the rings.
struct HistoryPoint {
  std::atomic<std::int64_t> at{0};  // which second or minute since 1970; 0: none, or it is being written
  std::atomic<std::uint32_t> span_ms{0};
  std::atomic<std::uint32_t> run{0};  // the run's ordinal at its end
  std::array<std::atomic<std::uint64_t>, kMeasures> counts{};
};
struct alignas(64) History {
  std::array<HistoryPoint, 600> seconds;
  std::array<HistoryPoint, 1440> minutes;
};

// A copy of a point.
struct Past {
  std::int64_t at = 0;  // as in HistoryPoint
  std::uint32_t span_ms = 0;
  std::uint32_t run = 0;
  std::array<std::uint64_t, kMeasures> counts{};
};

// The second `past.at` into both rings. The writer alone.
void add_second(History& history, const Past& past);

// The points that are not older than their ring, the oldest first. `now_s`: seconds since 1970.
std::vector<Past> seconds_of(const History& history, std::int64_t now_s);
std::vector<Past> minutes_of(const History& history, std::int64_t now_s);

// Peaks of a frame: up to 15 each number for itself, above four buckets to a doubling. A hint, as Histogram.
class PeakHistogram {
 public:
  static constexpr std::size_t kBuckets = 52;
  using Counts = std::array<std::uint64_t, kBuckets>;

  void add(std::size_t peaks) { buckets_[bucket_of(peaks)].fetch_add(1, std::memory_order_relaxed); }
  void reset() {
    for (auto& bucket : buckets_) bucket.store(0, std::memory_order_relaxed);
  }
  Counts copy() const {
    Counts counts{};
    for (std::size_t i = 0; i < kBuckets; ++i) counts[i] = buckets_[i].load(std::memory_order_relaxed);
    return counts;
  }

  static constexpr std::size_t bucket_of(std::size_t peaks) {
    if (peaks < 16) return peaks;
    const auto octave = static_cast<std::size_t>(std::bit_width(peaks)) - 1;  // >= 4
    return std::min(kBuckets - 1, 16 + 4 * (octave - 4) + (peaks >> (octave - 2)) % 4);
  }
  // The smallest number in the bucket; the last bucket has no end.
  static constexpr std::size_t lower_edge(std::size_t bucket) {
    if (bucket < 16) return bucket;
    const std::size_t octave = (bucket - 16) / 4 + 4;
    return (4 + bucket % 4) << (octave - 2);
  }

 private:
  std::array<std::atomic<std::uint64_t>, kBuckets> buckets_{};
};

}  // namespace peaknet::shm
