// Opening an HDF5 file that a person named, and what to say where it does not open: whether it is no such file, of a
// newer format, still being written, or left behind by a killed writer, each with the remedy that works.
//
// File systems without locks are no obstacle. A file that a SWMR writer has open, or had when it was killed, is read as
// it is at that moment. The caller holds an hdf5::Guard.
#pragma once

#include <hdf5.h>

#include <string>

namespace peaknet::config {

struct ReadableHdf5 {
  hid_t file = H5I_INVALID_HID;  // read-only, the caller's to close; negative: `why` and `remedy` say more
  bool of_swmr_writer = false;
  std::string why, remedy;
};
ReadableHdf5 open_readable_hdf5(const std::string& path);

// For a link or dataset access list: an external link to a pipe, a socket or a device is not followed, since opening
// one may never end. hdf5_said() then says so.
void follow_no_special_file(hid_t access);

// What the library said last, the innermost; "no details" if nothing.
std::string hdf5_said();

// What helps where it says so of this file.
std::string hdf5_remedy(const std::string& path, const std::string& said);

}  // namespace peaknet::config
