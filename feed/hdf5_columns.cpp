#include "feed/hdf5_columns.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/text.hpp"
#include "feed/frame_shape.hpp"
#include "feed/hdf5_open.hpp"

namespace peaknet::feed {
namespace {

constexpr std::size_t kMostNames = 1000;
constexpr const char* kMissingValue = "missing_value";

std::string absolute(const std::string& place) { return place.starts_with('/') ? place : "/" + place; }

// "": nothing there is near.
std::string nearest_dataset(hid_t file, const std::string& place) {
  const auto slash = place.rfind('/');
  const std::string group = place.substr(0, slash == 0 ? 1 : slash);
  const std::string near = nearest(place.substr(slash + 1), names_in(file, group, kMostNames, ExternalLinks::follow));
  return near.empty() ? "" : (slash == 0 ? "/" : group + "/") + near;
}

// Empty where the file names none, of this type.
std::vector<std::byte> missing_of(hid_t file, const std::string& dataset, SampleType type) {
  if (H5Aexists_by_name(file, dataset.c_str(), kMissingValue, H5P_DEFAULT) <= 0) return {};
  const Hdf5Handle attribute(H5Aopen_by_name(file, dataset.c_str(), kMissingValue, H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
  const Hdf5Handle stored(attribute ? H5Aget_type(attribute.get()) : -1, H5Tclose);
  const Hdf5Handle space(attribute ? H5Aget_space(attribute.get()) : -1, H5Sclose);
  if (!stored || !space || H5Sget_simple_extent_npoints(space.get()) != 1) return {};
  const auto number_class = type == SampleType::f32 || type == SampleType::f64 ? H5T_FLOAT : H5T_INTEGER;
  const Hdf5Handle native(H5Tget_native_type(stored.get(), H5T_DIR_ASCEND), H5Tclose);
  if (H5Tget_class(stored.get()) != number_class || !native || H5Tget_size(native.get()) != size_of(type)) return {};
  std::vector<std::byte> value(size_of(type));
  return H5Aread(attribute.get(), native.get(), value.data()) < 0 ? std::vector<std::byte>{} : value;
}

bool all_are(std::span<const std::byte> values, std::span<const std::byte> missing) {
  if (missing.empty()) return false;
  for (std::size_t at = 0; at < values.size(); at += missing.size()) {
    if (std::memcmp(values.data() + at, missing.data(), missing.size()) != 0) return false;
  }
  return true;
}

}  // namespace

Hdf5Columns::Hdf5Columns(const config::FeedColumns& wanted, hid_t file, std::string path, std::uint64_t frames,
                         ArrayFiles& files)
    : path_(std::move(path)), columns_(wanted) {
  for (std::size_t i = 0; i < columns_.size(); ++i) places_.push_back(find(file, i, wanted, frames, files));
}

Hdf5Columns::Place Hdf5Columns::find(hid_t file, std::size_t column, const config::FeedColumns& wanted,
                                     std::uint64_t frames, ArrayFiles& files) {
  const std::string from = absolute(wanted.from[column]);
  std::vector<std::string> places = column_places(wanted.from[column]);  // a recorded message is such a file
  places.push_back(wanted.table[column].dataset);
  for (const std::string& place : places) {
    const std::string dataset = absolute(place);
    const auto there = look_up(file, path_, dataset);
    if (!there) {
      columns_.absent(column, "cannot be read: " + there.error().what);
      return {};
    }
    if (!*there) continue;
    const auto array = files.get(path_, dataset);
    if (!array) {
      columns_.absent(column, "cannot be read: " + array.error().what);
      return {};
    }
    const auto& dims = (*array)->dims();
    const bool rows = !dims.empty() && dims.front() == frames;
    std::uint64_t values = 1;
    for (std::size_t i = rows ? 1 : 0; i < dims.size(); ++i)
      values = __builtin_mul_overflow(values, dims[i], &values) ? ~std::uint64_t{0} : values;
    if (values == 0 || values > shm::kMostColumnValues || (!rows && dims.size() > 1)) {
      columns_.absent(column, "has the shape " + shape_text(dims) + " for " + std::to_string(frames) + " frames");
      return {};
    }
    return {dataset, rows, missing_of(file, dataset, (*array)->type())};
  }
  const std::string near = nearest_dataset(file, from);
  columns_.absent(column, "is no dataset of " + path_ + (near.empty() ? "" : " (did you mean '" + near + "'?)"));
  return {};
}

const EventColumns& Hdf5Columns::read(std::uint64_t frame, ArrayFiles& files) {
  for (std::size_t i = 0; i < places_.size(); ++i) {
    const Place& place = places_[i];
    if (place.dataset.empty()) continue;
    const auto array = files.get(path_, place.dataset);
    if (!array) {
      columns_.absent(i, "cannot be read: " + array.error().what);
      continue;
    }
    Box box{std::vector<std::uint64_t>((*array)->dims().size(), 0), (*array)->dims()};
    if (place.rows) {
      box.start.front() = frame;
      box.count.front() = 1;
    }
    Column values{(*array)->type(), std::vector<std::byte>(box.elements() * size_of((*array)->type()))};
    if (auto read = (*array)->read(box, values.bytes.data(), files); !read) {
      columns_.absent(i, "cannot be read: " + read.error().what);
    } else if (all_are(values.bytes, place.missing)) {
      columns_.unknown(i);
    } else {
      columns_.found(i, std::move(values));
    }
  }
  return columns_;
}

void Hdf5Columns::look_through(ArrayFiles& files, DiskArray::Seen& seen) {
  for (const Place& place : places_) {
    if (place.dataset.empty()) continue;
    if (const auto array = files.get(path_, place.dataset)) (*array)->look_through(files, seen);
  }
}

}  // namespace peaknet::feed
