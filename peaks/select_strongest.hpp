// Cuts a list of peaks down to the strongest, for files and readers that hold only so many.
#pragma once

#include <cstddef>
#include <vector>

#include "peaks/peak.hpp"

namespace peaknet::writer {

// Keeps the `max_num_peak` peaks with the greatest sum, in raster order, and returns how many were cut. Equal sums:
// the larger maximum stays, then the earlier peak. A sum that is not finite (a broken pixel) counts as weaker than any
// number.
std::size_t keep_strongest(std::vector<Peak>& peaks, std::size_t max_num_peak);

}  // namespace peaknet::writer
