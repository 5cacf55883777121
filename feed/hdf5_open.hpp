// Opening an HDF5 file that a person named, and what to say where it does not open: whether it is no such file, of a
// newer format, still being written, or left behind by a killed writer, each with the remedy that works.
//
// File systems without locks are no obstacle. A file that a SWMR writer has open, or had when it was killed, is read as
// it is at that moment.
#pragma once

#include <optional>
#include <string>

#include "base/result.hpp"
#include "feed/hdf5_file.hpp"

namespace peaknet::feed {

// Read-only. The caller holds the Hdf5Guard. Errors: file.unreadable.
Result<Hdf5Handle> open_hdf5_file(const std::string& path);

// The dataset at `path` in an open file of this name: nullopt if nothing is there, or a group. What is there and cannot
// be opened is not "not there", nor is what has no values. Errors: file.unreadable, with where a dead link leads to.
Result<std::optional<Hdf5Array>> look_up(hid_t file, const std::string& file_name, const std::string& path,
                                         ExternalLinks links = ExternalLinks::follow);

// Id file.incomplete: what `what` shows is not there.
Error incomplete(const std::string& what, const std::string& why);

// Id file.unreadable: `what` cannot be read.
Error unreadable(const std::string& what, const std::string& why, const std::string& remedy);

}  // namespace peaknet::feed
