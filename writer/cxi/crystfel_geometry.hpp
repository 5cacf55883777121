// The panel keys of a CrystFEL geometry file (crystfel_geometry(5)): where each panel of the detector lies in the data
// array of a file. Read as CrystFEL reads it: a key without a panel's name holds for the panels that begin after it; a
// panel begins with the first key that has its name; ";" begins a comment; panels count in the order of the file. Bad
// regions, groups and keys about anything but the array are passed over.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace peaknet::writer {

struct GeometryPanel {
  std::string name;
  // First and last pixel in the data array, both inclusive: fs counts columns, ss rows.
  std::uint32_t min_fs = 0, max_fs = 0, min_ss = 0, max_ss = 0;
  std::string data;                // dataset, "" if the file does not say
  std::map<int, std::string> dim;  // what each dimension of it is: "%", "ss", "fs" or a number

  std::uint32_t width() const { return max_fs - min_fs + 1; }
  std::uint32_t height() const { return max_ss - min_ss + 1; }
};

struct CrystfelGeometry {
  std::string source;  // for messages
  std::vector<GeometryPanel> panels;
};

// Errors: geometry.not-readable, with the line. `source` names the text in messages.
Result<CrystfelGeometry> parse_crystfel_geometry(std::string_view text, const std::string& source);
Result<CrystfelGeometry> read_crystfel_geometry(const std::filesystem::path& path);

}  // namespace peaknet::writer
