// The counters: what every participant did, as counters that survive its death.
//
// Invariant I2:
// committed = written + filtered + dropped{cause} + failed{cause} + in flight.
// Each participant id has its own line of counters, written by that participant alone, never reset, and inherited by
// the next participant with the same id. A total is the sum over all ids.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace peaknet::shm {

enum class Counter : std::uint32_t {
#define PEAKNET_COUNTER(name, place, cause, metric, help) name,
#include "shm/counters.inc"
#undef PEAKNET_COUNTER
  kCount,
};
inline constexpr std::size_t kCounters = static_cast<std::size_t>(Counter::kCount);
inline constexpr std::size_t kCounterLines = 32;
static_assert(kCounters <= kCounterLines);

using CounterLine = std::array<std::atomic<std::uint64_t>, kCounterLines>;
using CounterTotals = std::array<std::uint64_t, kCounterLines>;

// Where a counter stands in the equation: committed frames (begins) are in flight or have one of three kinds of end.
enum class Place : std::uint8_t {
  begins,
  ends,
  dropped,
  failed,
  stage,    // on the way: no end
  refused,  // frames that never existed
  beside,   // counts something else
};

// A line of shm/counters.inc.
struct CounterFacts {
  Counter counter;
  const char* name;
  Place place;
  const char* cause;
  const char* metric;
  const char* help;
};

inline constexpr std::array<CounterFacts, kCounters> kCounterFacts = {{
#define PEAKNET_COUNTER(name, place, cause, metric, help) {Counter::name, #name, Place::place, cause, metric, help},
#include "shm/counters.inc"
#undef PEAKNET_COUNTER
}};

constexpr const char* name(Counter counter) { return kCounterFacts[static_cast<std::size_t>(counter)].name; }

constexpr bool is_outcome(Place place) {
  return place == Place::ends || place == Place::dropped || place == Place::failed;
}

// The counters whose place is one that `Wanted` wants, in the order of the table.
template <auto Wanted>
constexpr auto counters_where() {
  constexpr auto count = static_cast<std::size_t>(
      std::count_if(kCounterFacts.begin(), kCounterFacts.end(), [](const auto& facts) { return Wanted(facts.place); }));
  std::array<Counter, count> found{};
  std::size_t at = 0;
  for (const CounterFacts& facts : kCounterFacts) {
    if (Wanted(facts.place)) found[at++] = facts.counter;
  }
  return found;
}

// Where a frame's life may end; the right side of the equation.
inline constexpr auto kOutcomes = counters_where<is_outcome>();

}  // namespace peaknet::shm
