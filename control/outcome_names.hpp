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
  shm::Counter counter;
  const char* name;
};

inline constexpr std::array<Cause, 3> kDropCauses = {{{shm::Counter::dropped_oldest, "oldest"},
                                                      {shm::Counter::dropped_purged, "purged"},
                                                      {shm::Counter::dropped_shed, "shed"}}};
inline constexpr std::array<Cause, 5> kFailCauses = {{{shm::Counter::failed_model, "model"},
                                                      {shm::Counter::failed_descriptor, "descriptor"},
                                                      {shm::Counter::failed_quarantined, "quarantined"},
                                                      {shm::Counter::failed_mask, "mask"},
                                                      {shm::Counter::failed_pool_lost, "pool_lost"}}};
inline constexpr std::array<Cause, 2> kRefusalCauses = {
    {{shm::Counter::refused_full, "pool_full"}, {shm::Counter::producer_died, "producer_died"}}};

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
