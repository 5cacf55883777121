// `peaknet-writer peaks`: the peaks of masks that are in a file, found by the same code as those of a running writer.
#pragma once

#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <string>

#include "base/result.hpp"

namespace peaknet::writer {

struct PeaksRequest {
  std::filesystem::path file;      // HDF5
  std::string mask;                // its dataset of class maps: class 1 is peak, every other value background
  std::string image;               // its dataset of images; "": intensities are 0
  std::uint32_t panels = 1;        // stacked in y, where the datasets do not have them as a dimension
  std::uint64_t most = 0;          // components of an event beyond which its mask is no data; 0: the writer's default
  std::filesystem::path out = {};  // .csv or .h5, never written over; "": CSV to the stream
};

struct PeaksFound {
  std::uint64_t events = 0;
  std::uint64_t peaks = 0;
  std::uint64_t broken = 0;  // events whose mask had too many components: they have no peaks in the table
};

// One row for each peak, by event, panel and first pixel: event, panel, y and x (unweighted centre within the panel, 0
// = middle of the first pixel), y_weighted and x_weighted, n_pixels, sum, max, snr, y0, x0, y1, x1 (inclusive box) and
// first_index. A .h5 has them as columns /peaks/NAME and (events,) /n_peaks and /n_components. A table appears under
// its name only when it is whole. Errors: those of FrameStack, frames.differ, peaks.other-format, output.*.
Result<PeaksFound> find_peaks_in_file(const PeaksRequest& request, std::ostream& csv);

}  // namespace peaknet::writer
