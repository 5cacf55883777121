// ModelArchive: the records of a model file, which is a ZIP archive (with or without ZIP64) whose records lie in one
// folder: a .pt2 keeps them as they are, a .pt may pack some (deflate). LibTorch's own reader does not compare the
// records' checksums, and what lies in them is run: so this one does. Everything in the file is checked before it is
// believed. Thread-compatible.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "base/result.hpp"

namespace peaknet::model {

class ModelArchive {
 public:
  // Errors: model.unreadable with what is wrong with the file.
  static Result<ModelArchive> open(const std::string& path);

  // Sizes of the records by name, unpacked, without the folder that all are in.
  const std::map<std::string, std::uint64_t>& records() const { return sizes_; }

  // A record, by parts in their order. Errors: model.unreadable, also after parts were given: if its checksum is wrong.
  using Take = std::function<Status(const char* part, std::size_t bytes)>;
  Status read(const std::string& record, const Take& take) const;

  // Reads all records: is each what was written? Errors: model.unreadable, which names the first that is not.
  Status check() const;

 private:
  struct Place {
    std::uint64_t header = 0;  // where its local header begins
    std::uint64_t stored = 0;  // bytes in the file
    std::uint32_t crc = 0;
    bool packed = false;
  };
  std::string path_;
  std::map<std::string, std::uint64_t> sizes_;
  std::map<std::string, Place> places_;
};

}  // namespace peaknet::model
