// Seeds of files: small sound files of every kind that a replay takes, with those that they lead to, for tests that
// change them at random.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "shm/geometry.hpp"

namespace peaknet::test {

struct NamedFile {
  std::string name;
  std::vector<std::byte> bytes;
};

struct FileSeed {
  std::string name;
  shm::Geometry frames;          // the pool that takes it
  std::vector<NamedFile> files;  // the first is the one to play; the others lie beside it
};

std::vector<FileSeed> file_seeds();

}  // namespace peaknet::test
