// FileHoles: which bytes of a file nobody ever wrote, as its file system knows. One that has no holes, or a copy that
// filled them, knows of none; one that makes holes of zeros (ZFS with compression, `cp --sparse=always`) has them there
// too.
//
// One thread. It keeps the file open, beside whoever reads it.
#pragma once

#include <cstdint>
#include <string>

namespace peaknet::feed {

class FileHoles {
 public:
  FileHoles() = default;
  FileHoles(const FileHoles&) = delete;
  FileHoles& operator=(const FileHoles&) = delete;
  ~FileHoles();

  // Are these bytes in one? Always the same file; false where that is not known. A block at either end may be shared
  // with others; so it is asked of the whole blocks between, and no of less than one.
  bool contain(const std::string& path, std::uint64_t at, std::uint64_t bytes);

 private:
  int descriptor_ = -1;
};

}  // namespace peaknet::feed
