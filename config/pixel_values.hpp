// The values of each pixel that preprocess.pedestal, gain and bad_pixels name as FILE:DATASET of HDF5.
//
// Invariant I9: a value belongs to the pixel at its place. An array fits if its shape is that of an event, as panels
// (C, H, W) or as their stack (C * H, W); dimensions of 1 do not count. A flat array is taken in the order of an
// event's pixels, with a warning. One that has the right number of values in another shape is refused: its rows and
// columns may be exchanged.
//
// Thread-compatible; reads the file and keeps nothing open. Errors: preprocess.unreadable (the cause),
// preprocess.bad-size (how many numbers there are and how many pixels), preprocess.bad-shape (both shapes),
// preprocess.bad-value (how many values are of no use).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace peaknet::config {

struct PixelShape {
  std::uint64_t panels = 0, height = 0, width = 0;
  std::uint64_t pixels() const { return panels * height * width; }
};

// Where `key` is the name below preprocess and `where` is FILE:DATASET; either may have colons of its own.
struct PixelDataset {
  std::string key;
  std::string where;
  PixelShape shape;
};

struct PixelValues {
  std::vector<float> values;          // all finite
  std::vector<std::string> warnings;  // what its owner should look at
};
Result<PixelValues> read_pixel_values(const PixelDataset& dataset);

// A pixel is bad where the value is not 0, whatever its type: a fraction, a high bit, a negative number, NaN.
inline constexpr double kManyBad = 0.30;  // a warning from this share on; all of them are refused
struct BadPixels {
  std::vector<std::uint8_t> bad;  // 1 or 0 for each pixel
  std::uint64_t count = 0;
  std::vector<std::string> warnings;
  std::string share() const;  // "12 of 6144 pixels (0.2 %)"
  // Sixteen hex digits that two programs compare: the same where the same pixels of as many are bad.
  std::string digest() const;
};
Result<BadPixels> read_bad_pixels(const PixelDataset& dataset);

}  // namespace peaknet::config
