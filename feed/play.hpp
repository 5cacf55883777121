// play: all frames of a source into the pool, at a rate or as fast as the pool takes them.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <stop_token>

#include "feed/deliver.hpp"
#include "feed/feed_counters.hpp"
#include "feed/frame_source.hpp"
#include "shm/producer.hpp"

namespace peaknet::feed {

// What a frame that cannot be had does. One whose pixels are not there (frame.absent) never ends a replay: it is
// counted and named, and the first of them is the failure that play ends with.
enum class BadFrames : std::uint8_t { end, skip };

struct PlayFailure {
  Delivery::Outcome outcome;  // bad_frame or no_pool
  Error error;
};

// When frames go. `hz`: so many a second of all producers together, 0: as fast as possible; `batch`: so many
// are due together, as a burst. `original`: with the pauses
// that lay between them (original_timing.hpp), by the times of their receipt where they were recorded, else by their
// own; with one producer alone.
struct Speed {
  double hz = 0.0;
  std::uint64_t batch = 1;
  bool original = false;
};

// Frame i goes through producer i mod P; each producer has a thread of its own. With more than one producer the
// source's `fill` must allow several threads. Returns after the last frame, or when stopped (nullopt), or at the first
// frame that cannot be had: that is counted as failed, and the frames before it are committed. With BadFrames::skip
// such frames are counted and logged (ThrottledLog), and nothing ends with them. Original timing of
// frames without any time: replay.no-time.
std::optional<PlayFailure> play(FrameSource& source, std::span<const std::unique_ptr<shm::Producer>> producers,
                                const Speed& speed, FeedCounters& tally, const std::stop_token& stop,
                                BadFrames bad = BadFrames::end);

}  // namespace peaknet::feed
