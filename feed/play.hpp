// play: all frames of a source into the pool, at a rate or as fast as the pool takes them.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <stop_token>

#include "feed/deliver.hpp"
#include "feed/frame_source.hpp"
#include "feed/tally.hpp"
#include "shm/producer.hpp"

namespace peaknet::feed {

struct PlayFailure {
  Delivery::Outcome outcome;  // bad_frame or no_pool
  Error error;
};

// Frame i goes through producer i mod P; each producer has a thread of its own. With more than one producer the
// source's `fill` must allow several threads. `rate_hz`: of all producers together, 0: as fast as possible. Returns
// after the last frame, or when stopped (nullopt), or at the first frame that cannot be had: that is counted as failed,
// and the frames before it are committed.
std::optional<PlayFailure> play(FrameSource& source, std::span<const std::unique_ptr<shm::Producer>> producers,
                                double rate_hz, Tally& tally, const std::stop_token& stop);

}  // namespace peaknet::feed
