#include "npz.hpp"

#include <zlib.h>

#include <fstream>
#include <iterator>

namespace peaknet::writer::test {
namespace {

template <class T>
T number_at(const std::vector<char>& data, std::size_t at) {
  T value;
  if (at + sizeof value > data.size()) throw std::runtime_error("cut short");
  std::memcpy(&value, data.data() + at, sizeof value);
  return value;
}

std::vector<char> inflate_raw(const char* data, std::size_t size, std::size_t inflated_size) {
  std::vector<char> out(inflated_size);
  z_stream stream{};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) throw std::runtime_error("zlib cannot start");
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data));
  stream.avail_in = static_cast<uInt>(size);
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int result = inflate(&stream, Z_FINISH);
  inflateEnd(&stream);
  if (result != Z_STREAM_END) throw std::runtime_error("a member does not inflate");
  return out;
}

// The text between `before` and `after` in the npy header, a Python dictionary.
std::string between(const std::string& text, const std::string& before, const std::string& after) {
  const std::size_t begin = text.find(before);
  const std::size_t end = text.find(after, begin + before.size());
  if (begin == std::string::npos || end == std::string::npos) throw std::runtime_error("npy header without " + before);
  return text.substr(begin + before.size(), end - begin - before.size());
}

NpyArray parse_npy(const std::vector<char>& data) {
  if (data.size() < 10 || std::memcmp(data.data(), "\x93NUMPY\x01", 7) != 0) throw std::runtime_error("not npy 1.0");
  const std::size_t header_size = number_at<std::uint16_t>(data, 8);
  if (10 + header_size > data.size()) throw std::runtime_error("npy header cut short");
  const std::string header(data.data() + 10, header_size);
  if (header.find("'fortran_order': False") == std::string::npos) throw std::runtime_error("not in C order");
  NpyArray array;
  array.type = between(header, "'descr': '", "'");
  const std::string shape = between(header, "'shape': (", ")");
  for (std::size_t at = 0; at < shape.size();) {
    array.shape.push_back(std::stoul(shape.substr(at)));
    at = shape.find(',', at);
    if (at == std::string::npos || ++at == shape.size()) break;
  }
  array.bytes.assign(data.begin() + static_cast<std::ptrdiff_t>(10 + header_size), data.end());
  return array;
}

}  // namespace

std::map<std::string, NpyArray> read_npz(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot open " + path);
  const std::vector<char> data{std::istreambuf_iterator<char>(file), {}};
  try {
    // The sizes are in the central directory, which the end record (22 bytes, no comment) points to.
    if (data.size() < 22) throw std::runtime_error("cut short");
    const std::size_t end = data.size() - 22;
    if (number_at<std::uint32_t>(data, end) != 0x06054b50) throw std::runtime_error("no zip end record");
    const std::size_t count = number_at<std::uint16_t>(data, end + 10);
    std::size_t at = number_at<std::uint32_t>(data, end + 16);
    std::map<std::string, NpyArray> arrays;
    for (std::size_t i = 0; i < count; ++i) {
      const auto method = number_at<std::uint16_t>(data, at + 10);
      const std::size_t size = number_at<std::uint32_t>(data, at + 20);
      const std::size_t inflated_size = number_at<std::uint32_t>(data, at + 24);
      const std::size_t name_size = number_at<std::uint16_t>(data, at + 28);
      const std::size_t extra = number_at<std::uint16_t>(data, at + 30);
      const std::size_t comment = number_at<std::uint16_t>(data, at + 32);
      const std::size_t local = number_at<std::uint32_t>(data, at + 42);
      const std::string name(data.data() + at + 46, name_size);
      const std::size_t begin =
          local + 30 + number_at<std::uint16_t>(data, local + 26) + number_at<std::uint16_t>(data, local + 28);
      if (begin + size > data.size()) throw std::runtime_error("member cut short");
      std::vector<char> member(data.begin() + static_cast<std::ptrdiff_t>(begin),
                               data.begin() + static_cast<std::ptrdiff_t>(begin + size));
      if (method == 8) member = inflate_raw(data.data() + begin, size, inflated_size);
      arrays[name.substr(0, name.rfind(".npy"))] = parse_npy(member);
      at += 46 + name_size + extra + comment;
    }
    return arrays;
  } catch (const std::exception& e) {
    throw std::runtime_error(path + ": " + e.what());
  }
}

}  // namespace peaknet::writer::test
