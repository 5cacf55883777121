// HDF5 files for tests, written through the library.
#pragma once

#include <hdf5.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "feed/hdf5_file.hpp"

namespace peaknet::test {

template <class Number>
hid_t hdf5_type();
template <>
inline hid_t hdf5_type<std::uint8_t>() {
  return H5T_STD_U8LE;
}
template <>
inline hid_t hdf5_type<std::uint16_t>() {
  return H5T_STD_U16LE;
}
template <>
inline hid_t hdf5_type<std::int16_t>() {
  return H5T_STD_I16LE;
}
template <>
inline hid_t hdf5_type<std::int32_t>() {
  return H5T_STD_I32LE;
}
template <>
inline hid_t hdf5_type<std::uint32_t>() {
  return H5T_STD_U32LE;
}
template <>
inline hid_t hdf5_type<std::uint64_t>() {
  return H5T_STD_U64LE;
}
template <>
inline hid_t hdf5_type<std::int64_t>() {
  return H5T_STD_I64LE;
}
template <>
inline hid_t hdf5_type<float>() {
  return H5T_IEEE_F32LE;
}
template <>
inline hid_t hdf5_type<double>() {
  return H5T_IEEE_F64LE;
}

struct Storage {
  std::vector<hsize_t> chunk = {};  // empty: contiguous
  bool shuffle = false;
  int gzip = 0;
  bool fletcher32 = false;
  bool compact = false;
};

class FileWriter {
 public:
  explicit FileWriter(std::string path);
  // Groups on the way are made.
  template <class Number>
  FileWriter& add(const std::string& path, const std::vector<hsize_t>& dims, const std::vector<Number>& values,
                  const Storage& storage = {}) {
    write(path, dims, hdf5_type<Number>(), values.data(), storage);
    return *this;
  }
  // Numbers that are stored as `type`; texts of variable length.
  template <class Number>
  FileWriter& add_as(const std::string& path, const std::vector<hsize_t>& dims, hid_t type,
                     const std::vector<Number>& values, const Storage& storage = {}) {
    write(path, dims, type, values.data(), storage);
    return *this;
  }
  FileWriter& add_texts(const std::string& path, const std::vector<std::string>& texts);
  FileWriter& add_units(const std::string& path, const std::string& units);
  hid_t file() const { return file_.get(); }
  // A dataset of one chunk, packed already by a filter that the library need not have.
  FileWriter& add_packed(const std::string& path, const std::vector<hsize_t>& dims, hid_t type, H5Z_filter_t filter,
                         const std::vector<unsigned>& values, const std::vector<std::byte>& chunk);
  FileWriter& add_external_link(const std::string& path, const std::string& file, const std::string& target);
  // Closes the file. Its path, or its bytes.
  std::string path();
  std::vector<std::byte> bytes();

 private:
  void write(const std::string& path, const std::vector<hsize_t>& dims, hid_t type, const void* values,
             const Storage& storage);
  std::string path_;
  feed::Hdf5Guard guard_;
  feed::Hdf5Handle file_;
};

// 0, 1, 2, ... modulo `modulus`.
template <class Number>
std::vector<Number> counting(std::size_t n, std::size_t modulus = 251) {
  std::vector<Number> values(n);
  for (std::size_t i = 0; i < n; ++i) values[i] = static_cast<Number>(i % modulus);
  return values;
}

std::vector<std::byte> read_file(const std::string& path);

}  // namespace peaknet::test
