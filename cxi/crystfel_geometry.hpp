// A CrystFEL geometry file (crystfel_geometry(5)): where each panel of the detector lies in the data array of a file
// and in the laboratory, its bad regions, and what is said of distance and photon energy. Read as CrystFEL reads it: a
// key without a panel's name holds for the panels that begin after it; a panel begins with the first key that has its
// name; a name that begins with "bad" is that of a region;
// ";" begins a comment; limits may be written as 95.0. A byte-order mark is no part of the first key. Groups and
// all other keys are passed over. A distance or an energy that cannot be read is not known: it refuses no file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace peaknet::writer {

struct Place {
  double x = 0, y = 0;
};

// A step from one pixel to the next; z is along the beam.
struct Direction : Place {
  double z = 0;
};

// From the sample to a panel: a number, or the name of a dataset that has it for each event; plus an offset.
struct CameraLength {
  std::optional<double> metres;
  std::string dataset;
  double dataset_unit = 1e-3;  // metres; CrystFEL takes a dataset without a unit for millimetres
  double offset = 0;           // metres
  bool operator==(const CameraLength&) const = default;
};

// Our files' only dataset of distances: the encoder value of the detector's stage, for each event.
inline constexpr const char* kEncoderValue = "/LCLS/detector_1/EncoderValue";
// Metres; NaN: not known.
double distance_of(const CameraLength& length, double encoder_value_mm);

struct GeometryPanel {
  std::string name;
  // First and last pixel in the data array, both inclusive: fs counts columns, ss rows.
  std::uint32_t min_fs = 0, max_fs = 0, min_ss = 0, max_ss = 0;
  std::string data;                // dataset, "" if the file does not say
  std::map<int, std::string> dim;  // what each dimension of it is: "%", "ss", "fs" or a number
  // In the laboratory, in pixels: where the first pixel lies, and the steps to the next column and to the next row.
  Place corner;
  Direction fs, ss;
  double pixels_per_metre = 0;  // 0: the file does not say
  CameraLength length;

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
  std::vector<BadRegion> bad;         // with all of each panel that is not to be used (no_index)
  std::string unread_mask;  // the last file or dataset that it names for a mask, but for that of our own files
  std::optional<double> photon_energy_ev;  // where the file says a number
  // detector_shift_x and _y: all panels lie so far from where their corners say, in metres. Nothing: a dataset has it,
  // or it cannot be read.
  std::optional<Place> shift = Place{};
};

// Errors: geometry.not-readable, with the line. `source` names the text in messages.
Result<CrystfelGeometry> parse_crystfel_geometry(std::string_view text, const std::string& source);
Result<CrystfelGeometry> read_crystfel_geometry(const std::filesystem::path& path);

}  // namespace peaknet::writer
