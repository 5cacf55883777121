// Column: a small field of a message, one number or one short text per event, in whatever type it came.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
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

// Names of paths, with and without a slash before them, are the same.
inline std::string_view without_slash(std::string_view name) {
  while (name.starts_with('/')) name.remove_prefix(1);
  return name;
}

// message.bad-field: what is wrong with a field.
Error bad_field(const std::string& field, const std::string& what);
// A value for each event: one for all is given to each; of another number nobody knows to which they belong, and there
// is none.
template <class Value>
std::vector<Value> for_each_event(std::vector<Value> values, std::uint64_t events) {
  if (values.size() == 1) values.assign(events, Value(values.front()));
  if (values.size() != events) values.clear();
  return values;
}
// message.bad-field, if the column has so many values that panels may have been taken for events, or events for panels.
Status check_length(const Column& column, const std::string& field, std::uint64_t events);

}  // namespace peaknet::feed
