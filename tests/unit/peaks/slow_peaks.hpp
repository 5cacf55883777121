// The slow, obvious way from mask to peaks, to compare the fast one with: flood fill from each pixel in raster order,
// then every number by its definition, pixel by pixel.
#pragma once

#include <vector>

#include "peaks/frame_view.hpp"
#include "peaks/peak.hpp"

namespace peaknet::writer::test {

struct SlowSearch {
  std::vector<Peak> peaks;
  std::size_t components = 0;
  std::size_t dropped_outside = 0;
};

SlowSearch slow_find(const MaskView& mask, const ImageView& image);

// Compares field by field; "" or what differs. Counts, boxes, order, and sums of integer pixels must be equal, the rest
// to rounding.
std::string difference(const std::vector<Peak>& found, const std::vector<Peak>& expected, bool integers);

}  // namespace peaknet::writer::test
