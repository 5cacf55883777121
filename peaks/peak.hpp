// One Bragg peak: an 8-connected component of the mask within one panel. Positions count pixels, an integer is the
// centre of a pixel (SciPy's and CrystFEL's convention; nothing is ever added), y is the row (slow), x the column (fast
// axis), both within the panel. Both centres lie in the box.
#pragma once

#include <cstdint>

namespace peaknet::writer {

struct Peak {
  std::uint32_t panel = 0;
  double y = 0;  // unweighted centre: mean of the pixel indices
  double x = 0;
  double y_weighted = 0;  // mean weighted by the intensities above zero where `weighted`, else the unweighted centre
  double x_weighted = 0;
  bool weighted = false;  // the sum is positive
  std::uint64_t n_pixels = 0;
  double sum = 0;        // of the raw pixels; exact for integer pixels; 0 without an image
  double max = 0;        // largest pixel; 0 without an image
  std::uint32_t y0 = 0;  // smallest box that holds the peak, both ends inclusive
  std::uint32_t x0 = 0;
  std::uint32_t y1 = 0;
  std::uint32_t x1 = 0;
  std::uint64_t first_index =
      0;           // y * width + x of the first pixel in raster order: unique in a panel, defines the order
  double snr = 0;  // see local_ring.hpp; 0 where it cannot be measured
};

}  // namespace peaknet::writer
