// From a frame that a Tap copied to the picture of a hit: its peaks as the writer finds them, circled, its panels where
// the geometry says. For `view` and the live page. No state.
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"
#include "imaging/frame_picture.hpp"
#include "peaks/peak_finder.hpp"
#include "shm/tap.hpp"

namespace peaknet::ctl {

// Nothing: no frame of its pool, or fewer than `fewest` peaks.
std::vector<writer::Peak> peaks_of(const shm::TapFrame& frame, writer::PeakFinder& finder, std::uint32_t fewest);

struct HitRequest {
  const shm::TapFrame& frame;
  const std::vector<writer::Peak>& peaks;
  std::string geometry_file;  // CrystFEL's; "" or one that does not fit: panels are as they are in the frame
  std::vector<std::string> header = {};
  std::uint32_t largest_side = imaging::kLargestSide;
};
// Errors: picture.not-made.
Result<imaging::FramePicture> draw_hit(const HitRequest& hit);

}  // namespace peaknet::ctl
