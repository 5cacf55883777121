// EventBuilder: from a frame with its mask to an event for a file, or to the reason why it does not go into one.
//
// Keep one per thread (it keeps the peak finder's buffers). Reads the slot's mask and image, changes nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "config/config.hpp"
#include "cxi/event.hpp"
#include "cxi/slab.hpp"
#include "peaks/peak_finder.hpp"
#include "shm/consumer.hpp"

namespace peaknet::writer {

struct Verdict {
  // Set: the frame's life ends here (filtered, dropped_shed, failed_model, failed_mask). Not set: `event` belongs into
  // a file.
  std::optional<shm::Counter> outcome;
  Event event;
  std::optional<std::size_t> peaks_found;  // of a frame whose mask could be looked at, hit or not
  std::size_t peaks_cut = 0;               // found, but weaker than the peaks.max_num_peak strongest
};

// A frame with its result, whoever holds it. The descriptor has been checked against the geometry.
struct ResultFrame {
  const shm::FrameDescriptor& descriptor;
  const shm::Geometry& geometry;
  std::span<const std::uint64_t> mask;  // of geometry.mask_words(), where there is one
  const void* image;
};

class EventBuilder {
 public:
  explicit EventBuilder(const config::Config::Peaks& settings);

  // The positions of peaks are those in `slab`, whose places are one for each panel; without places panels are stacked.
  Verdict examine(const ResultFrame& frame, const SlabLayout& slab = {}, const BadMask& bad = {});
  Verdict examine(const shm::HeldFrame& frame, const SlabLayout& slab = {}, const BadMask& bad = {});

 private:
  config::Config::Peaks settings_;
  PeakFinder finder_;
  std::vector<Peak> peaks_;
};

// The name by which the frame is known in files and ledgers.
EventKey key_of(const shm::FrameDescriptor& descriptor);

}  // namespace peaknet::writer
