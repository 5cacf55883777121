// PackageArchive: the records of a .pt2 file, which is a ZIP archive (with or without ZIP64) of stored records in one
// folder. LibTorch's own reader does not compare the records' checksums, and what lies in them is run: so this one
// does. Everything in the file is checked before it is believed. Thread-compatible.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "base/result.hpp"

namespace peaknet::model {

class PackageArchive {
 public:
  // Errors: model.unreadable with what is wrong with the file.
  static Result<PackageArchive> open(const std::string& path);

  // Sizes of the records by name, without the folder that all are in.
  const std::map<std::string, std::uint64_t>& records() const { return sizes_; }

  // A record, by parts in their order. Errors: model.unreadable, also after parts were given: if its checksum is wrong.
  Status read(const std::string& record, const std::function<Status(const char* part, std::size_t bytes)>& take) const;

 private:
  struct Place {
    std::uint64_t header = 0;  // where its local header begins
    std::uint32_t crc = 0;
  };
  std::string path_;
  std::map<std::string, std::uint64_t> sizes_;
  std::map<std::string, Place> places_;
};

}  // namespace peaknet::model
