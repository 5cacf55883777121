// Column: a small field of a message, one number or one short text per event, in whatever type it came.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "feed/decoders/decoder.hpp"
#include "feed/sample_type.hpp"

namespace peaknet::feed {

// Texts of a fixed width in bytes; 0: no texts. `wide`: four bytes a character (NumPy's U).
struct TextType {
  std::size_t width = 0;
  bool wide = false;
};

struct Column {
  SampleType type = SampleType::f64;
  std::vector<std::byte> bytes;
  TextType text = {};  // texts, and no numbers, if this has a width

  std::size_t size() const { return bytes.size() / (text.width > 0 ? text.width : size_of(type)); }
  // Of a column of texts: what they say, NaN where that is no number.
  std::vector<double> numbers() const;
  // 64-bit integers are as timestamp_from_packed has them; other numbers are as timestamp_from_number has them, texts
  // as timestamp_from_text.
  std::vector<std::uint64_t> timestamps() const;
  // Wavelengths as photon energies in eV; NaN where there is none.
  std::vector<double> energies(config::WavelengthUnit unit) const;

 private:
  std::vector<std::string> texts() const;
  std::vector<std::uint64_t> raw_timestamps() const;
};

// Where a field may be in the dialects whose names are paths (HDF5, FastBinary), the likeliest first: under its own
// name and in the places that lclstreamer's examples use.
std::vector<std::string> raw_places(const DecodeOptions& options);
std::vector<std::string> image_places(const DecodeOptions& options);
std::vector<std::string> timestamp_places(const DecodeOptions& options);
std::vector<std::string> wavelength_places(const DecodeOptions& options);

// message.bad-field: what is wrong with a field.
Error bad_field(const std::string& field, const std::string& what);
// message.bad-field, unless the column has a value for each event.
Status check_length(const Column& column, const std::string& field, std::uint64_t events);

}  // namespace peaknet::feed
