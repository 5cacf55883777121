// Whole small datasets and attributes of an open HDF5 file, as values. What is missing or of another kind is nothing.
// One thread uses a file at a time.
#pragma once

#include <hdf5.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cxi/hdf5.hpp"

namespace peaknet::writer {

// All values of a dataset of any shape.
template <class T>
std::optional<std::vector<T>> read_all(hid_t file, const std::string& name) {
  const H5Handle set(H5Dopen2(file, name.c_str(), H5P_DEFAULT), H5Dclose);
  if (!set.ok()) return std::nullopt;
  const H5Handle space(H5Dget_space(set.get()), H5Sclose);
  const auto count = H5Sget_simple_extent_npoints(space.get());
  if (count < 0) return std::nullopt;
  std::vector<T> values(static_cast<std::size_t>(count));
  if (H5Dread(set.get(), memory_type<T>(), H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) < 0) return std::nullopt;
  return values;
}

// Texts of variable length.
std::optional<std::vector<std::string>> read_texts(hid_t file, const std::string& name);

template <class T = std::uint64_t>
std::optional<T> number_attribute(hid_t file, const std::string& object, const char* name) {
  const H5Handle found(H5Aopen_by_name(file, object.c_str(), name, H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
  T value{};
  if (!found.ok() || H5Aread(found.get(), memory_type<T>(), &value) < 0) return std::nullopt;
  return value;
}
std::optional<std::string> text_attribute(hid_t file, const std::string& object, const char* name);

}  // namespace peaknet::writer
