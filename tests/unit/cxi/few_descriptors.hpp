// A run of many files, and what HDF5 shows of its master to a process with fewer descriptors than files.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

#include "cxi/file_name.hpp"

namespace peaknet::test {

// Files of two of the sample's events each in the folder, until `names` has so many.
void add_copies(const std::filesystem::path& folder, std::size_t files, writer::FilesInTime& names);

// Another process reads all events with h5py. What it saw: "N events: I images, G are gaps, Z are zero", and that every
// event has its columns; what went wrong; or "skipped" without h5py.
std::string read_with_descriptors(const std::filesystem::path& master, std::size_t events, int descriptors);

}  // namespace peaknet::test
