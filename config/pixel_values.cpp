#include "config/pixel_values.hpp"

#include <hdf5.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <span>
#include <utility>

#include "base/special_file.hpp"
#include "config/readable_hdf5.hpp"
#include "hdf5/guard.hpp"
#include "hdf5/handle.hpp"
#include "hdf5/stored_whole.hpp"

namespace peaknet::config {
namespace {

using Dims = std::vector<hsize_t>;

Error unusable(const std::string& id, const PixelDataset& asked, const std::string& what,
               const std::string& remedy = "FILE:DATASET of an HDF5 file with one number for each pixel of an event") {
  return {id, "preprocess." + asked.key + ": " + asked.where + " " + what, "nothing was started", remedy};
}

// The file ends at the first colon before which there is one: names of detectors have colons, and so may folders.
std::pair<std::string, std::string> file_and_dataset(const std::string& where) {
  std::size_t split = where.rfind(':');
  for (std::size_t colon = where.find(':'); colon != std::string::npos; colon = where.find(':', colon + 1)) {
    std::error_code unknown;
    if (!std::filesystem::is_regular_file(where.substr(0, colon), unknown)) continue;
    split = colon;
    break;
  }
  return {where.substr(0, split), where.substr(split + 1)};
}

std::string text(std::span<const hsize_t> dims) {
  std::string all;
  for (const hsize_t dim : dims) all += (all.empty() ? "" : ", ") + std::to_string(dim);
  return "(" + all + ")";
}

Dims without_ones(Dims dims) {
  std::erase(dims, hsize_t{1});
  return dims;
}

// Nothing where the array fits, else a warning or the reason to refuse it.
Result<std::vector<std::string>> compare(const PixelDataset& asked, const Dims& dims) {
  const PixelShape& shape = asked.shape;
  const Dims event = {shape.panels, shape.height, shape.width};
  const Dims stack = {shape.panels * shape.height, shape.width};
  const Dims found = without_ones(dims);
  if (found == without_ones(event) || found == without_ones(stack)) return std::vector<std::string>{};
  const std::string differs =
      "has the shape " + text(dims) + ", an event is " + text(event) + " or, stacked, " + text(stack);
  if (found.size() == 1) {
    return std::vector<std::string>{"preprocess." + asked.key + ": " + asked.where + " " + differs +
                                    ": its values are taken in the order of an event's pixels"};
  }
  const bool exchanged = found == without_ones({shape.panels, shape.width, shape.height}) ||
                         found == without_ones({shape.width, shape.panels * shape.height}) ||
                         found == without_ones({shape.width, shape.height, shape.panels});
  return unusable("preprocess.bad-shape", asked,
                  differs + (exchanged ? ": its rows and columns are exchanged" : ": its values would go astray"),
                  "store the array in the shape of an event" + std::string(exchanged ? ", transposed" : ""));
}

// What to read an element as, so that nothing is lost: a negative id where it is no number.
hid_t widest(hid_t type) {
  switch (H5Tget_class(type)) {
    case H5T_FLOAT:
      return H5T_NATIVE_DOUBLE;
    case H5T_INTEGER:
      return H5Tget_sign(type) == H5T_SGN_NONE ? H5T_NATIVE_UINT64 : H5T_NATIVE_INT64;
    case H5T_ENUM:  // what h5py makes of bool
      return H5T_NATIVE_INT64;
    case H5T_BITFIELD:
      return H5T_NATIVE_B64;
    default:
      return H5I_INVALID_HID;
  }
}

// Of a link that leads nowhere HDF5 says that it cannot be opened.
Error not_there(const PixelDataset& asked, hid_t file, const std::string& name) {
  const std::string said = hdf5_said();
  const hdf5::Handle access(H5Pcreate(H5P_LINK_ACCESS), H5Pclose);
  follow_no_special_file(access.get());
  const bool named = said == kSpecialFile || H5Lexists(file, name.c_str(), access.get()) > 0;
  return unusable(
      "preprocess.unreadable", asked,
      "cannot be read: " + (named ? "'" + name + "' cannot be opened: " + said : "there is no dataset '" + name + "'"));
}

// Calls read(dataset, its type) where the dataset fits; what it warns of comes back.
template <class Read>
Result<std::vector<std::string>> with_dataset(const PixelDataset& asked, Read&& read) {
  const hdf5::Guard guard;  // it prints nothing: the cause is told by us
  const auto [path, name] = file_and_dataset(asked.where);
  const ReadableHdf5 opened = open_readable_hdf5(path);
  const hdf5::Handle file(opened.file, H5Fclose);
  if (!file.ok()) {
    return unusable("preprocess.unreadable", asked,
                    "cannot be read: '" + path + "' does not open as HDF5: " + opened.why, opened.remedy);
  }
  const hdf5::Handle access(H5Pcreate(H5P_DATASET_ACCESS), H5Pclose);
  follow_no_special_file(access.get());
  const hdf5::Handle dataset(H5Dopen2(file.get(), name.c_str(), access.get()), H5Dclose);
  if (!dataset.ok()) return not_there(asked, file.get(), name);
  const hdf5::Handle space(H5Dget_space(dataset.get()), H5Sclose);
  const hssize_t count = space.ok() ? H5Sget_simple_extent_npoints(space.get()) : -1;
  if (count < 0 || static_cast<std::uint64_t>(count) != asked.shape.pixels()) {
    return unusable(
        "preprocess.bad-size", asked,
        "has " + std::to_string(count) + " numbers, an event has " + std::to_string(asked.shape.pixels()) + " pixels");
  }
  Dims dims(static_cast<std::size_t>(H5Sget_simple_extent_ndims(space.get())));
  H5Sget_simple_extent_dims(space.get(), dims.data(), nullptr);
  auto warnings = compare(asked, dims);
  if (!warnings) return warnings;
  const hdf5::Handle type(H5Dget_type(dataset.get()), H5Tclose);
  if (widest(type.get()) < 0) return unusable("preprocess.unreadable", asked, "cannot be read as numbers");
  if (const std::string why = hdf5::not_stored_whole(dataset.get()); !why.empty()) {
    return unusable(
        "preprocess.unreadable", asked, why,
        "write the whole array itself into a dataset (h5repack -l CONTI -f NONE, if those zeros are meant)");
  }
  if (!read(dataset.get(), type.get())) return unusable("preprocess.unreadable", asked, "cannot be read as numbers");
  return warnings;
}

// NaN is not 0 either.
template <class Number>
bool read_not_zero(hid_t dataset, hid_t type, std::uint64_t pixels, std::vector<std::uint8_t>& bad) {
  std::vector<Number> values(pixels);
  if (H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) < 0) return false;
  bad.resize(pixels);
  std::transform(values.begin(), values.end(), bad.begin(),
                 [](Number value) { return static_cast<std::uint8_t>(value != Number{0} ? 1 : 0); });
  return true;
}

}  // namespace

Result<PixelValues> read_pixel_values(const PixelDataset& asked) {
  PixelValues found;
  auto warnings = with_dataset(asked, [&](hid_t dataset, hid_t) {
    found.values.resize(asked.shape.pixels());
    return H5Dread(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, found.values.data()) >= 0;
  });
  if (!warnings) return warnings.error();
  const auto wrong =
      std::count_if(found.values.begin(), found.values.end(), [](float value) { return !std::isfinite(value); });
  if (wrong != 0) {
    return unusable("preprocess.bad-value", asked,
                    "has " + std::to_string(wrong) + " values that are no numbers; such pixels belong into bad_pixels");
  }
  found.warnings = std::move(*warnings);
  return found;
}

std::string BadPixels::share() const {
  std::array<char, 32> percent{};
  const double part = 100 * static_cast<double>(count) / static_cast<double>(std::max<std::size_t>(bad.size(), 1));
  std::snprintf(percent.data(), percent.size(), "%.2g", part);
  return std::to_string(count) + " of " + std::to_string(bad.size()) + " pixels (" +
         (part >= 99.5 ? (count == bad.size() ? "100" : "more than 99") : percent.data()) + " %)";
}

// FNV-1a: it tells one mask from another, it need not withstand who makes them alike.
std::string BadPixels::digest() const {
  std::uint64_t hash = 0xcbf29ce484222325ULL ^ bad.size();
  for (const std::uint8_t pixel : bad) hash = (hash ^ pixel) * 0x100000001b3ULL;
  std::array<char, 17> text{};
  std::snprintf(text.data(), text.size(), "%016llx", static_cast<unsigned long long>(hash));
  return text.data();
}

Result<BadPixels> read_bad_pixels(const PixelDataset& asked) {
  BadPixels found;
  auto warnings = with_dataset(asked, [&](hid_t dataset, hid_t type) {
    const hid_t wide = widest(type);
    const std::uint64_t pixels = asked.shape.pixels();
    if (H5Tget_class(type) == H5T_FLOAT) return read_not_zero<double>(dataset, wide, pixels, found.bad);
    return read_not_zero<std::uint64_t>(dataset, wide, pixels, found.bad);
  });
  if (!warnings) return warnings.error();
  found.warnings = std::move(*warnings);
  found.count = static_cast<std::uint64_t>(std::count(found.bad.begin(), found.bad.end(), std::uint8_t{1}));
  const std::string polarity = "a pixel is bad where the value is not 0; where 1 means good, store 1 - mask";
  if (found.count == found.bad.size() && found.count > 0)
    return unusable("preprocess.bad-value", asked, "marks all " + std::to_string(found.count) + " pixels as bad",
                    polarity);
  if (static_cast<double>(found.count) >= kManyBad * static_cast<double>(found.bad.size()) && found.count > 0) {
    found.warnings.push_back("preprocess." + asked.key + ": " + asked.where + " marks " + found.share() +
                             " as bad: " + polarity);
  }
  return found;
}

}  // namespace peaknet::config
