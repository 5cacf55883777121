#include "feed/hdf5_facts.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <optional>

#include "base/log_line.hpp"
#include "feed/decoders/column.hpp"
#include "feed/event_facts.hpp"
#include "feed/hdf5_open.hpp"
#include "shm/descriptor.hpp"

namespace peaknet::feed {
namespace {

constexpr std::uint64_t kMostFacts = std::uint64_t{1} << 24;
constexpr std::size_t kLongestText = 64;

struct EnergyPlace {
  const char* path;
  const char* unit;  // where the file says none
};
// NeXus' /entry/instrument/source/energy is that of the electrons.
constexpr std::array<EnergyPlace, 13> kEnergyPlaces = {
    {{"/LCLS/photon_energy_eV", "eV"},
     {"/photon_energy_eV", "eV"},
     {"/entry_1/instrument_1/source_1/energy", "J"},
     {"/entry_1/data_1/photon_energy_eV", "eV"},
     {"/LCLS/photon_wavelength_A", "angstrom"},
     {"/entry/instrument/beam/incident_energy", "eV"},
     {"/entry/instrument/beam/incident_wavelength", "angstrom"},
     {"/entry/sample/beam/incident_energy", "eV"},
     {"/entry/sample/beam/incident_wavelength", "angstrom"},
     {"/entry/instrument/monochromator/energy", "eV"},
     {"/entry/instrument/monochromator/wavelength", "angstrom"},
     {"/entry_1/instrument_1/beam_1/incident_energy", "eV"},
     {"/entry_1/instrument_1/beam_1/incident_wavelength", "angstrom"}}};

struct FileOfFacts {
  hid_t file;
  const std::string& path;
  std::uint64_t frames;
  ArrayFiles& files;
};

// One text of a dataset or an attribute, of a fixed or a variable length.
std::vector<std::string> texts_of(hid_t type, std::uint64_t count, const std::function<herr_t(hid_t, void*)>& read) {
  std::vector<std::string> texts;
  if (H5Tis_variable_str(type) > 0) {
    std::vector<char*> pointers(count, nullptr);
    if (read(type, pointers.data()) < 0) return {};
    for (char* text : pointers) {
      texts.emplace_back(text == nullptr ? "" : text);
      H5free_memory(text);
    }
    return texts;
  }
  const std::size_t width = H5Tget_size(type);
  std::vector<char> all(width * count);
  if (read(type, all.data()) < 0) return {};
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::string_view text(all.data() + i * width, width);
    texts.emplace_back(text.substr(0, text.find('\0')));
  }
  return texts;
}

// A column of texts, cut at 64 characters, in the form in which messages have them.
Column column_of(const std::vector<std::string>& texts) {
  std::size_t width = 1;
  for (const auto& text : texts) width = std::max(width, std::min(text.size(), kLongestText));
  Column column{SampleType::u8, std::vector<std::byte>(width * texts.size()), {.width = width, .wide = false}};
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const auto bytes = std::as_bytes(std::span(texts[i])).first(std::min(texts[i].size(), width));
    std::copy(bytes.begin(), bytes.end(), column.bytes.begin() + static_cast<std::ptrdiff_t>(i * width));
  }
  return column;
}

// nullopt: not there, or not one value for all frames or one for each.
std::optional<Column> read_fact(const FileOfFacts& from, const std::string& place) {
  const auto found = look_up(from.file, from.path, place);
  if (!found) {
    log::warn("{}: not used", found.error().what);
    return std::nullopt;
  }
  if (!*found) return std::nullopt;
  const Hdf5Array& array = **found;
  const std::uint64_t count = array.elements();
  if (count == 0 || count > kMostFacts || (count != 1 && count != from.frames)) {
    log::warn("{} of {} has {} values for {} frames: not used", place, from.path, count, from.frames);
    return std::nullopt;
  }
  const Hdf5Handle type(H5Dget_type(array.dataset.get()), H5Tclose);
  if (H5Tget_class(type.get()) == H5T_STRING) {
    const auto texts = texts_of(type.get(), count, [&](hid_t as, void* to) {
      return H5Dread(array.dataset.get(), as, H5S_ALL, H5S_ALL, H5P_DEFAULT, to);
    });
    if (texts.size() != count) return std::nullopt;
    return column_of(texts);
  }
  if (!array.type) {
    log::warn("{} of {} is neither numbers nor text: not used", place, from.path);
    return std::nullopt;
  }
  Column column{*array.type, std::vector<std::byte>(count * size_of(*array.type))};
  const auto numbers = from.files.get(from.path, place);
  const Status read = numbers ? (*numbers)->read({std::vector<std::uint64_t>(array.dims.size(), 0), array.dims},
                                                 column.bytes.data(), from.files)
                              : Status(numbers.error());
  if (read) return column;
  log::warn("{}: not used", read.error().what);
  return std::nullopt;
}

// Empty: the file says none.
std::string unit_of(hid_t file, const std::string& place) {
  for (const char* name : {"units", "unit", "Units", "Unit", "UNITS", "UNIT"}) {
    if (H5Aexists_by_name(file, place.c_str(), name, H5P_DEFAULT) <= 0) continue;
    const Hdf5Handle attribute(H5Aopen_by_name(file, place.c_str(), name, H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
    const Hdf5Handle type(attribute ? H5Aget_type(attribute.get()) : -1, H5Tclose);
    const Hdf5Handle space(attribute ? H5Aget_space(attribute.get()) : -1, H5Sclose);
    if (!type || !space || H5Tget_class(type.get()) != H5T_STRING || H5Sget_simple_extent_npoints(space.get()) != 1)
      return std::string("of the attribute ") + name + ", which is not one text";
    const auto texts = texts_of(type.get(), 1, [&](hid_t as, void* to) { return H5Aread(attribute.get(), as, to); });
    return texts.empty() ? std::string() : texts.front();
  }
  return {};
}

std::vector<double> read_energies(const FileOfFacts& from) {
  for (const auto& [place, usual] : kEnergyPlaces) {
    const auto column = read_fact(from, place);
    if (!column) continue;
    std::string unit = unit_of(from.file, place);
    if (unit.empty()) unit = usual;
    std::vector<double> energies = column->numbers();
    bool known = false, warned = false;
    for (double& value : energies) {
      const double said = value;
      value = energy_in_unit(said, unit);
      known = known || !std::isnan(value);
      const bool none = std::isnan(said) || said == 0.0 || said == -999.0;  // how people write that there is no value
      if (!std::isnan(value) || warned || none) continue;
      warned = true;
      log::warn("{} of {} says {} {}, which is no photon energy between {} eV and 1 MeV: unknown", place, from.path,
                said, unit, kLowestEnergy);
    }
    if (known) return energies;
  }
  return {};
}

// A time that is given and cannot be told is unknown, and not in silence.
void warn_of_unknown(const FileOfFacts& from, const std::string& place, const std::vector<std::uint64_t>& times) {
  const auto unknown = std::count(times.begin(), times.end(), std::uint64_t{0});
  if (unknown == 0) return;
  const auto first = std::find(times.begin(), times.end(), std::uint64_t{0}) - times.begin();
  log::warn("{} of {}: {} of {} values (the first: {}) are no times that can be told: unknown", place, from.path,
            unknown, times.size(), first);
}

std::vector<std::uint64_t> read_times(const FileOfFacts& from) {
  const auto seconds = read_fact(from, "/LCLS/machineTime");
  const auto nanoseconds = seconds ? read_fact(from, "/LCLS/machineTimeNanoSeconds") : std::nullopt;
  if (seconds && nanoseconds && seconds->size() == nanoseconds->size()) {
    const auto whole = seconds->numbers(), part = nanoseconds->numbers();
    std::vector<std::uint64_t> times;
    for (std::size_t i = 0; i < whole.size(); ++i) {
      const bool good = whole[i] > 0.0 && whole[i] < 4294967296.0 && part[i] >= 0.0 && part[i] < 1e9;
      times.push_back(good ? timestamp_from_packed(timestamp_from_parts(static_cast<std::uint64_t>(whole[i]),
                                                                        static_cast<std::uint64_t>(part[i])))
                           : 0);
    }
    warn_of_unknown(from, "/LCLS/machineTime", times);
    return times;
  }
  const std::string place = "/LCLS/detector_1/timestamp";
  const auto packed = read_fact(from, place);
  if (!packed) return {};
  auto times = packed->timestamps();
  warn_of_unknown(from, place, times);
  return times;
}

}  // namespace

Hdf5Facts read_hdf5_facts(hid_t file, const std::string& path, std::uint64_t frames, ArrayFiles& files) {
  const FileOfFacts from{file, path, frames, files};
  Hdf5Facts facts;
  facts.energies = read_energies(from);
  facts.timestamps = read_times(from);
  if (const auto column = read_fact(from, "/LCLS/fiducial"); column && column->size() == frames) {
    for (const double value : column->numbers())
      facts.fiducials.push_back(value >= 0 && value <= INT32_MAX ? static_cast<std::uint32_t>(value)
                                                                 : shm::kNoFiducial);
  }
  if (const auto column = read_fact(from, "/LCLS/detector_1/EncoderValue")) {
    for (const double value : column->numbers())
      facts.encoder_values.push_back(std::isfinite(value) ? value : std::nan(""));
  }
  return facts;
}

}  // namespace peaknet::feed
