// Reads the arrays of a NumPy .npz file: just as much of zip and npy as numpy.savez_compressed writes. For tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace peaknet::writer::test {

struct NpyArray {
  std::string type;  // NumPy's descr, such as "<u2"
  std::vector<std::size_t> shape;
  std::vector<char> bytes;

  template <class T>
  std::vector<T> as(const std::string& expected_type) const {
    if (type != expected_type) throw std::runtime_error("array of type " + type + ", expected " + expected_type);
    std::vector<T> values(bytes.size() / sizeof(T));
    std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
    return values;
  }
};

// Throws std::runtime_error with the path where the file is not as expected.
std::map<std::string, NpyArray> read_npz(const std::string& path);

}  // namespace peaknet::writer::test
