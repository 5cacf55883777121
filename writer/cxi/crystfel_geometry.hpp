// The panel keys of a CrystFEL geometry file (crystfel_geometry(5)): where each panel of the detector lies in the data
// array of a file, and its bad regions. Read as CrystFEL reads it: a key without a panel's name holds for the panels
// that begin after it; a panel begins with the first key that has its name; a name that begins with "bad" is that of a
// region;
// ";" begins a comment; limits may be written as 95.0. A byte-order mark is no part of the first key. Groups and keys
// about anything but the array are passed over.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace peaknet::writer {

struct Place {
  double x = 0, y = 0;
};

struct GeometryPanel {
  std::string name;
  // First and last pixel in the data array, both inclusive: fs counts columns, ss rows.
  std::uint32_t min_fs = 0, max_fs = 0, min_ss = 0, max_ss = 0;
  std::string data;                // dataset, "" if the file does not say
  std::map<int, std::string> dim;  // what each dimension of it is: "%", "ss", "fs" or a number
  // In the laboratory, in pixels: where the first pixel lies, and the steps to the next column and to the next row.
  Place corner, fs, ss;

  std::uint32_t width() const { return max_fs - min_fs + 1; }
  std::uint32_t height() const { return max_ss - min_ss + 1; }
};

// Pixels that are no data: a rectangle of the data array (fs and ss), or of the laboratory (x and y, from one pixel's
// corner to the next). All bounds belong to it.
struct BadRegion {
  std::string name;
  std::string panel;  // "": of every panel
  bool in_array = false;
  double min_fs = 0, max_fs = 0, min_ss = 0, max_ss = 0;
  double min_x = -std::numeric_limits<double>::infinity(), max_x = -min_x;
  double min_y = -std::numeric_limits<double>::infinity(), max_y = -min_y;

  // Does it hold the pixel in that column and row of the data array, which is one of the panel?
  bool holds(const GeometryPanel& of, std::uint32_t column, std::uint32_t row) const;
};

struct CrystfelGeometry {
  std::string source;                 // for messages
  std::vector<GeometryPanel> panels;  // in the order of the file
  std::vector<BadRegion> bad;
};

// Errors: geometry.not-readable, with the line. `source` names the text in messages.
Result<CrystfelGeometry> parse_crystfel_geometry(std::string_view text, const std::string& source);
Result<CrystfelGeometry> read_crystfel_geometry(const std::filesystem::path& path);

}  // namespace peaknet::writer
