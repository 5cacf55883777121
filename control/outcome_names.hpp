// The names of causes by which frames are dropped, fail or are refused, in documents and metrics alike.
#pragma once

#include <algorithm>
#include <array>
#include <string_view>

#include "shm/counters.hpp"
#include "shm/errors.hpp"
#include "shm/layout.hpp"

namespace peaknet::control {

struct Cause {
  shm::Counter counter{};
  const char* name = nullptr;
};

template <shm::Place Wanted>
constexpr bool is_at(shm::Place place) {
  return place == Wanted;
}

// Those of one place in the equation, as shm/counters.inc has them.
template <shm::Place Wanted>
constexpr auto causes_of() {
  constexpr auto counters = shm::counters_where<is_at<Wanted>>();
  std::array<Cause, counters.size()> causes{};
  for (std::size_t i = 0; i < counters.size(); ++i)
    causes[i] = {counters[i], shm::kCounterFacts[static_cast<std::size_t>(counters[i])].cause};
  return causes;
}
inline constexpr auto kDropCauses = causes_of<shm::Place::dropped>();
inline constexpr auto kFailCauses = causes_of<shm::Place::failed>();
inline constexpr auto kRefusalCauses = causes_of<shm::Place::refused>();

// What a feed could not take of its input, by how the ids of its errors begin; docs/feed.md names each.
inline constexpr std::array<std::string_view, 13> kFeedCauses = {
    "decoder.threw", "dialect.", "fast_binary.", "file.",    "frame.absent", "frame.shape", "frame.value",
    "hdf5.",         "input.",   "listen.",      "message.", "npz.",         "simplon."};

inline bool is_feed_cause(std::string_view id) {
  return std::any_of(kFeedCauses.begin(), kFeedCauses.end(), [&](auto begin) { return id.starts_with(begin); });
}

// A feed could not take something since the run began.
inline bool is_refusal_of_run(const shm::ErrorSummary& kind, const shm::ControlLayout& layout) {
  return is_feed_cause(kind.id) && kind.last_ns >= layout.run.started_ns.load();
}

}  // namespace peaknet::control
