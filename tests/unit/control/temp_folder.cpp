#include "tests/unit/control/temp_folder.hpp"

#include <cstdlib>
#include <filesystem>
#include <stdexcept>

namespace peaknet::test {

// Short: the path of a Unix socket has 107 characters.
TempFolder::TempFolder() : path_("/tmp/peaknet_test_XXXXXX") {
  if (::mkdtemp(path_.data()) == nullptr) throw std::runtime_error("no temporary folder");
}

TempFolder::~TempFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace peaknet::test
