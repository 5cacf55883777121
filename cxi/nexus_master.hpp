// JoinedNexus: the NXmx tree of a master, from those of its files (nexus.hpp): their detector, where it is the same in
// all, and the wavelength and distance of each event. Used by one thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "cxi/nexus.hpp"

namespace peaknet::writer {

class JoinedNexus {
 public:
  // The next file, or some rows of it. `path` is for messages, and for write().
  Status add(hid_t file, const std::filesystem::path& path, std::uint64_t first, std::uint64_t rows);
  // Into the master, which has its image and mask or gets them; or why there is no tree. `run`: what all files
  // say of it.
  Status write(hid_t master, const std::filesystem::path& path, const shm::RunFacts& run);

 private:
  std::string unknown_;          // why there can be none
  std::filesystem::path first_;  // the file whose detector it is
  std::string digest_;
  NexusEvents said_;
};

}  // namespace peaknet::writer
