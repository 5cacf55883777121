// Hdf5Facts: what a file says of its frames beside their pixels: photon energy, time, fiducial, encoder value, at the
// places of CXI, LCLS and NeXus. A value's `units` attribute decides; without one the place does. What cannot be true
// is unknown, with a warning that names value and place.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "feed/hdf5_array.hpp"

namespace peaknet::feed {

struct Hdf5Facts {
  std::vector<double> energies;           // eV; empty, one, or one per frame
  std::vector<double> encoder_values;     // empty, one, or one per frame
  std::vector<std::uint64_t> timestamps;  // empty, one, or one per frame
  std::vector<std::uint32_t> fiducials;   // empty or one per frame
};

// The caller holds the Hdf5Guard. Nothing fails: a fact that cannot be read is not there, and the log says why.
Hdf5Facts read_hdf5_facts(hid_t file, const std::string& path, std::uint64_t frames, ArrayFiles& files);

}  // namespace peaknet::feed
