// A thin skin over HDF5's C interface: its error stack as an Error, and a writer of small datasets and attributes that
// remembers its first failure. For these files alone.
//
// HDF5 knows filter 32008 by our own registration, so that a file is made in the same way on every machine. One thread
// uses a file at a time.
#pragma once

#include <hdf5.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/pixel_type.hpp"
#include "base/result.hpp"
#include "hdf5/guard.hpp"
#include "hdf5/handle.hpp"

namespace peaknet::writer {

// The right to use HDF5 as these files need it, for as long as it lives; cheap from the second time on.
hdf5::Guard use_hdf5();

using H5Handle = hdf5::Handle;

// An Error from HDF5's error stack of this thread (so before any other call of HDF5, also one in a destructor, clears
// it): that of the disk where a call of the system failed, else output.hdf5.
Error hdf5_error(std::string_view action, const std::filesystem::path& path);
// Of a file that a person has named and that could not be opened for reading: its disk is not the matter.
Error unreadable_file(const std::filesystem::path& path);

// The type in files (little-endian) and in memory.
template <class T>
hid_t file_type() {
  if constexpr (std::is_same_v<T, float>) return H5T_IEEE_F32LE;
  if constexpr (std::is_same_v<T, double>) return H5T_IEEE_F64LE;
  if constexpr (std::is_same_v<T, std::int8_t>) return H5T_STD_I8LE;
  if constexpr (std::is_same_v<T, std::int16_t>) return H5T_STD_I16LE;
  if constexpr (std::is_same_v<T, std::uint8_t>) return H5T_STD_U8LE;
  if constexpr (std::is_same_v<T, std::uint16_t>) return H5T_STD_U16LE;
  if constexpr (std::is_same_v<T, std::int32_t>) return H5T_STD_I32LE;
  if constexpr (std::is_same_v<T, std::uint32_t>) return H5T_STD_U32LE;
  if constexpr (std::is_same_v<T, std::int64_t>) return H5T_STD_I64LE;
  if constexpr (std::is_same_v<T, std::uint64_t>) return H5T_STD_U64LE;
}
template <class T>
hid_t memory_type() {
  if constexpr (std::is_same_v<T, float>) return H5T_NATIVE_FLOAT;
  if constexpr (std::is_same_v<T, double>) return H5T_NATIVE_DOUBLE;
  if constexpr (std::is_same_v<T, std::int8_t>) return H5T_NATIVE_INT8;
  if constexpr (std::is_same_v<T, std::int16_t>) return H5T_NATIVE_INT16;
  if constexpr (std::is_same_v<T, std::uint8_t>) return H5T_NATIVE_UINT8;
  if constexpr (std::is_same_v<T, std::uint16_t>) return H5T_NATIVE_UINT16;
  if constexpr (std::is_same_v<T, std::int32_t>) return H5T_NATIVE_INT32;
  if constexpr (std::is_same_v<T, std::uint32_t>) return H5T_NATIVE_UINT32;
  if constexpr (std::is_same_v<T, std::int64_t>) return H5T_NATIVE_INT64;
  if constexpr (std::is_same_v<T, std::uint64_t>) return H5T_NATIVE_UINT64;
}

// Of pixels as they lie in memory.
hid_t memory_type_of(PixelType type);

// An attribute of an object that is there.
Status write_attribute(hid_t file, const std::filesystem::path& path, const std::string& object,
                       const std::string& name, hid_t file_type, hid_t memory_type, const H5Handle& space,
                       const void* values);

// Writes small things into an open file. After the first failure it does nothing more; look at status() at the end.
class H5Writer {
 public:
  H5Writer(hid_t file, std::filesystem::path path) : file_(file), path_(std::move(path)) {}

  // Groups above a dataset or link are made as needed. `name` is a path from the root.
  void group(const std::string& name);
  // A dataset of one dimension, or of two where `columns` is given; contiguous.
  template <class T>
  void dataset(const std::string& name, std::span<const T> values, std::size_t columns = 0) {
    const std::size_t rows = columns == 0 ? values.size() : values.size() / columns;
    raw_dataset(name, file_type<T>(), memory_type<T>(), values.data(), rows, columns);
  }
  template <class T>
  void dataset(const std::string& name, const std::vector<T>& values, std::size_t columns = 0) {
    dataset(name, std::span<const T>(values), columns);
  }
  // The same in two dimensions, with the deflate filter, which every HDF5 has.
  template <class T>
  void packed_dataset(const std::string& name, const std::vector<T>& values, std::size_t columns) {
    packed_raw_dataset(name, file_type<T>(), memory_type<T>(), values.data(), values.size() / columns, columns);
  }
  template <class T>
  requires std::is_arithmetic_v<T>
  void number(const std::string& name, T value) {  // scalar
    scalar_dataset(name, file_type<T>(), memory_type<T>(), &value);
  }
  // A dataset that shows those of the same name in other files of the same folder, one after the other in their first
  // dimension. Whoever reads it without such a file reads `absent`, and no error.
  struct VirtualDataset {
    struct Part {
      std::string file;  // its name
      std::vector<hsize_t> dims;
    };
    std::string name;
    std::vector<Part> parts;
    double absent = 0;
  };
  void virtual_dataset(const VirtualDataset& shown, hid_t type);
  void texts(const std::string& name, const std::vector<std::string>& values);  // (N,), variable length, UTF-8
  // The same, of more texts than should be in memory at once: `part(i)` gives the next counts[i] of them, in order.
  using TextPart = std::function<Result<std::vector<std::string>>(std::size_t index)>;
  void texts(const std::string& name, const std::vector<std::uint64_t>& counts, const TextPart& part);
  void text(const std::string& name, const std::string& value);  // scalar, variable length
  void soft_link(const std::string& name, const std::string& target);

  // Scalar attributes of an object that is there; texts have variable length (the CXI validator wants it).
  void attribute(const std::string& object, const std::string& name, const std::string& value);
  void attribute(const std::string& object, const std::string& name, const char* value) {
    attribute(object, name, std::string(value));
  }
  template <class T>
  requires std::is_arithmetic_v<T>
  void attribute(const std::string& object, const std::string& name, T value) {
    raw_attribute(object, name, file_type<T>(), memory_type<T>(), &value);
  }

  Status status() const { return status_; }

 private:
  void raw_dataset(const std::string& name, hid_t file_type, hid_t memory_type, const void* values, std::size_t rows,
                   std::size_t columns);
  void packed_raw_dataset(const std::string& name, hid_t file_type, hid_t memory_type, const void* values,
                          std::size_t rows, std::size_t columns);
  void scalar_dataset(const std::string& name, hid_t file_type, hid_t memory_type, const void* value);
  void make_dataset(const std::string& name, hid_t file_type, hid_t memory_type, const H5Handle& space,
                    const void* values, hid_t creation = H5P_DEFAULT);
  void raw_attribute(const std::string& object, const std::string& name, hid_t file_type, hid_t memory_type,
                     const void* value);
  bool good(bool happened, const std::string& action);
  hid_t file_;
  std::filesystem::path path_;
  Status status_;
};

}  // namespace peaknet::writer
