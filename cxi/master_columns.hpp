// What a master has of its own, copied from the files of its run: the small columns (peaks, energies, times, names of
// events), and the mask. So they are right wherever the master is; only images need its files.
//
// Used by one thread.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "cxi/hdf5.hpp"

namespace peaknet::writer {

// A dataset of one row for each event. Compressed: where a file has fewer peaks than another, its rows end with zeros.
class CopiedColumn {
 public:
  // `dims`: of all files together. `type`: that of each.
  static Result<CopiedColumn> create(hid_t master, const std::filesystem::path& path, const std::string& name,
                                     const std::vector<hsize_t>& dims, hid_t type);

  // The next rows: some of those of a file of the run, or of the master before. `path` is for messages.
  Status append(hid_t file, const std::filesystem::path& path, hsize_t first, hsize_t rows);
  Status close();

 private:
  CopiedColumn(std::filesystem::path path, std::string name, H5Handle set)
      : path_(std::move(path)), name_(std::move(name)), set_(std::move(set)) {}
  std::filesystem::path path_;  // of the master
  std::string name_;
  H5Handle set_;
  hsize_t rows_ = 0;  // copied so far
  std::vector<std::byte> bytes_;
};

// A pixel of the run is good where it is good in all files.
class JoinedMask {
 public:
  // The mask of the next file; one of another shape, or none, adds nothing. `path` is for messages.
  Status add(hid_t file, const std::filesystem::path& path, const char* name);
  // Empty where no file had one.
  const std::vector<std::uint16_t>& pixels() const { return pixels_; }
  std::size_t width() const { return dims_.size() == 2 ? dims_[1] : 0; }

 private:
  std::vector<hsize_t> dims_;
  std::vector<std::uint16_t> pixels_;
  std::vector<std::byte> last_;  // as it is stored in the file before: nearly all of a run are the same
};

}  // namespace peaknet::writer
