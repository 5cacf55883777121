// Is a dataset stored whole? What of it was never written, cannot be found, or is given short by a filter, HDF5 shows
// as zeros or as memory of somebody else. For small arrays that are then read by H5Dread: each chunk is unpacked here
// once.
//
// The caller holds a Guard.
#pragma once

#include <hdf5.h>

#include <string>

namespace peaknet::hdf5 {

// Why not, in words that follow the dataset's name; empty: it is.
std::string not_stored_whole(hid_t dataset);

}  // namespace peaknet::hdf5
