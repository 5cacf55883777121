// The counters: what every participant did, as counters that survive its death.
//
// Invariant I2: committed = written + filtered + dropped{cause} + failed{cause} + in flight.
// Each participant id has its own line of counters, written by that participant alone, never reset, and inherited by
// the next participant with the same id. A total is the sum over all ids.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace peaknet::shm {

enum class Counter : std::uint32_t {
  // the equation: exact, also over kill -9 (see Participant)
  committed,           // frames that exist
  dropped_oldest,      // overwritten in Q1 by policy drop_oldest
  dropped_purged,      // thrown away by an operator (stop --now)
  dropped_shed,        // passed over by a device because there were too many (shedding)
  failed_model,        // the model threw on the frame
  failed_descriptor,   // the slot's description was not that of a frame of this pool
  failed_quarantined,  // took its owner down kMaxAttempts times
  failed_mask,         // the mask had more components than a network that works can produce
  failed_pool_lost,    // was in a pool that somebody cut, overwrote or removed
  written,             // durable in a file
  filtered,            // fewer peaks than peaks.min_num_peak
  // beside the equation: exact too, they count single transitions
  inferred,  // a device put a result into the slot
  skipped,   // a device passed the frame over: the writer that finishes it counts dropped_shed
  // hints: may be short by what a killed process was just counting
  claimed,
  aborted,            // a producer gave its slot back unfilled
  refused_full,       // a claim found the pool full (policy drop_newest, or the deadline of a blocking claim)
  producer_died,      // slots taken back from producers that died while they filled them: those frames never existed
  redelivered,        // frames given back by, or taken back from, a device or a writer
  late_wakes,         // work found after a time-out: a lost wake-up; must stay 0
  blocked_ns,         // time producers waited for a free slot
  peaks,              // peaks written
  peaks_cut,          // peaks beyond peaks.max_num_peak
  files,              // files finished
  file_bytes,         // bytes of them
  duplicates,         // redelivered frames that a file held already: counted written, not written again
  pixels_not_finite,  // pixels that were NaN or infinite, and no known bad ones, of frames that a device took
  messages_lost,      // what producers that died had received from their senders and not brought into the pool (whole)
  kCount,
};
inline constexpr std::size_t kCounters = static_cast<std::size_t>(Counter::kCount);
inline constexpr std::size_t kCounterLines = 32;
static_assert(kCounters <= kCounterLines);

using CounterLine = std::array<std::atomic<std::uint64_t>, kCounterLines>;
using CounterTotals = std::array<std::uint64_t, kCounterLines>;

constexpr const char* name(Counter counter) {
  constexpr std::array<const char*, kCounters> kNames = {"committed",
                                                         "dropped_oldest",
                                                         "dropped_purged",
                                                         "dropped_shed",
                                                         "failed_model",
                                                         "failed_descriptor",
                                                         "failed_quarantined",
                                                         "failed_mask",
                                                         "failed_pool_lost",
                                                         "written",
                                                         "filtered",
                                                         "inferred",
                                                         "skipped",
                                                         "claimed",
                                                         "aborted",
                                                         "refused_full",
                                                         "producer_died",
                                                         "redelivered",
                                                         "late_wakes",
                                                         "blocked_ns",
                                                         "peaks",
                                                         "peaks_cut",
                                                         "files",
                                                         "file_bytes",
                                                         "duplicates",
                                                         "pixels_not_finite",
                                                         "messages_lost"};
  return kNames[static_cast<std::size_t>(counter)];
}

// Where a frame's life may end; the right side of the equation.
inline constexpr std::array<Counter, 10> kOutcomes = {
    Counter::written,      Counter::filtered,        Counter::dropped_oldest,    Counter::dropped_purged,
    Counter::dropped_shed, Counter::failed_model,    Counter::failed_descriptor, Counter::failed_quarantined,
    Counter::failed_mask,  Counter::failed_pool_lost};

}  // namespace peaknet::shm
