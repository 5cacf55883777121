// ImageSums: sum, largest value and virtual powder of the hits of a run, pixel by pixel, in the order of the frames in
// memory, which costs least, and their peakogram; in_slab() gives them as a file has its images.
//
// Bad pixels and padding are NaN from when they are known to be, and stay so. Values that are not finite are left out.
//
// Memory: 16 bytes a pixel. Used by one thread. Errors: std::bad_alloc at the construction.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "cxi/event.hpp"
#include "cxi/run_sums.hpp"

namespace peaknet::writer {

class ImageSums {
 public:
  explicit ImageSums(const FileFacts& facts);

  // Are these frames of the same kind, at the same places?
  bool fits(const FileFacts& facts) const;

  // What is no data in the frames that follow.
  void leave_out(const std::shared_ptr<const BadMask>& bad);
  void leave_out_padding(const Event& event);

  void add_peaks(const Event& event);
  // Many at once cost less: the sums go through the caches once for all of them.
  void add_images(std::span<const void* const> images);

  // Without times.
  RunSums in_slab() const;

 private:
  void forget(std::size_t pixel);
  template <class Pixel>
  void add(std::span<const void* const> images);

  std::uint32_t panels_, height_, width_;
  PixelType pixel_type_;
  SlabLayout slab_;
  std::vector<double> sum_;
  std::vector<float> maximum_;         // -inf: no value yet
  std::vector<std::uint32_t> powder_;  // in the slab
  PeakogramBuilder peakogram_;
  std::uint64_t hits_ = 0, summed_ = 0;
  std::shared_ptr<const BadMask> bad_;
  struct Area {
    std::uint32_t top = 0, left = 0, height = 0, width = 0;
    bool operator==(const Area&) const = default;
  } area_;  // of the frame that is no padding
};

}  // namespace peaknet::writer
