// npz messages for tests, byte for byte as NumPy writes them: ZIP64 sizes in the local headers, ordinary ones in the
// directory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

namespace peaknet::test {

template <class Number>
std::string descr() {
  const char kind = std::is_floating_point_v<Number> ? 'f' : std::is_signed_v<Number> ? 'i' : 'u';
  return std::string(sizeof(Number) == 1 ? "|" : "<") + kind + std::to_string(sizeof(Number));
}

class NpzWriter {
 public:
  explicit NpzWriter(bool deflate = false) : deflate_(deflate) {}

  template <class Number>
  NpzWriter& add(const std::string& key, const std::vector<std::uint64_t>& dims, const std::vector<Number>& values) {
    std::vector<std::byte> raw(values.size() * sizeof(Number));
    if (!raw.empty()) std::memcpy(raw.data(), values.data(), raw.size());
    return add_member(key + ".npy", npy(header(descr<Number>(), dims), raw));
  }
  // Any bytes as a member. `claimed`: what the archive says of its unpacked size, if not the truth.
  NpzWriter& add_member(const std::string& name, const std::vector<std::byte>& content,
                        std::uint64_t claimed = ~std::uint64_t{0});
  std::vector<std::byte> bytes() const;

  static std::string header(const std::string& descr, const std::vector<std::uint64_t>& dims, bool fortran = false);
  static std::vector<std::byte> npy(const std::string& header, const std::vector<std::byte>& raw);

 private:
  struct Entry {
    std::string name;
    std::uint32_t crc;
    std::uint64_t packed, unpacked, offset;
  };
  bool deflate_;
  std::vector<std::byte> out_;
  std::vector<Entry> entries_;
};

}  // namespace peaknet::test
