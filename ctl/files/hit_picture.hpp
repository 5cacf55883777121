// HitPictures: which frames that a Tap copied are hits, as the writer judges them, and their pictures: peaks circled,
// panels where the geometry says, bad pixels left out; and pictures of what was summed over them. For `view` and the
// live page.
//
// Threads: one at a time. Errors: what does not fit is no reason for no picture; the picture says what it lacks.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "config/config.hpp"
#include "ctl/options.hpp"
#include "ctl/target.hpp"
#include "cxi/slab.hpp"
#include "hits/bad_pixels.hpp"
#include "hits/event_builder.hpp"
#include "imaging/detector_view.hpp"
#include "imaging/frame_picture.hpp"
#include "shm/tap.hpp"

namespace peaknet::ctl {

// What pictures of an instance go by.
struct PictureSettings {
  config::Config config = {};  // its defaults, where it is not known
  std::string remark = {};     // what is not known, and what that means for a picture
};
PictureSettings picture_settings(const Options& options, const Target& target);

// "": it could not be made.
std::string png_of(const imaging::Canvas& canvas);

class HitPictures {
 public:
  explicit HitPictures(PictureSettings settings);

  // The peaks of a hit; nothing: a frame of a pool that has gone, or no hit.
  std::optional<std::vector<writer::PeakRow>> peaks_of(const shm::TapFrame& frame);

  // Of a frame that peaks_of() took last. Errors: picture.not-made.
  Result<imaging::FramePicture> draw(const shm::TapFrame& frame, const std::vector<writer::PeakRow>& peaks,
                                     std::vector<std::string> header,
                                     std::uint32_t largest_side = imaging::kLargestSide) const;

  // A slab of numbers, NaN where there are none.
  struct Slab {
    std::uint32_t height, width;
    std::span<const float> values;
  };
  // Of frames like these. Errors: picture.not-made.
  Result<imaging::FramePicture> draw_slab(const shm::Geometry& frames, const Slab& slab, writer::EventBeam beam,
                                          std::uint32_t largest_side);

 private:
  void lay_out(const shm::Geometry& frames);

  PictureSettings settings_;
  writer::EventBuilder examiner_;
  writer::BadPixels bad_pixels_;
  shm::Geometry laid_out_;  // that the rest is for
  writer::SlabLayout slab_;
  std::shared_ptr<const writer::BadMask> bad_;
  std::string remark_;  // what could not be used
};

}  // namespace peaknet::ctl
