// A message as a file of the HDF5 library that is read in parts, wherever it lies: the library sees what it asks for,
// and a read outside of the message fails.
#pragma once

#include <cstdint>

#include "feed/decoders/sandbox.hpp"
#include "feed/hdf5_file.hpp"

namespace peaknet::feed {

// Read-only. `message` must outlive the handle. None where the message is no HDF5 file. The caller holds the
// Hdf5Guard.
Hdf5Handle open_hdf5_message(const Sandbox::ReadAt& message, std::uint64_t message_bytes);

}  // namespace peaknet::feed
