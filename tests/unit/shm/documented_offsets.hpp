// The offsets in the tables of a section of docs/formats/segment.md, which its records must have in memory.
#pragma once

#include <cstddef>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/child.hpp"

namespace peaknet::test {

inline std::vector<std::size_t> documented_offsets(const std::string& section) {
  std::ifstream document(source_dir() + "/docs/formats/segment.md");
  std::vector<std::size_t> documented;
  bool in_section = false;
  for (std::string line; std::getline(document, line);) {
    if (line.starts_with("## ")) in_section = line == "## " + section;
    std::size_t offset = 0;
    char bar = 0;
    std::istringstream row(line);
    if (in_section && row >> bar >> offset >> bar && bar == '|') documented.push_back(offset);
  }
  return documented;
}

}  // namespace peaknet::test
