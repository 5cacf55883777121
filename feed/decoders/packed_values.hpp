// PackedValues and ValueReader: numbers, short texts and errors as bytes, to another process of this program. The
// reader takes any bytes: what is not there is 0 or empty, and `good` is false from then on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"

namespace peaknet::feed {

class PackedValues {
 public:
  void put(std::uint64_t number) { append(&number, sizeof number); }
  void put_bytes(std::span<const std::byte> bytes) {
    put(bytes.size());
    append(bytes.data(), bytes.size());
  }
  void put_text(std::string_view text) { put_bytes(std::as_bytes(std::span(text))); }
  std::vector<std::byte> bytes() && { return std::move(bytes_); }

 private:
  void append(const void* from, std::size_t n) {
    if (n == 0) return;
    const std::size_t before = bytes_.size();
    bytes_.resize(before + n);
    std::memcpy(bytes_.data() + before, from, n);
  }
  std::vector<std::byte> bytes_;
};

class ValueReader {
 public:
  explicit ValueReader(std::span<const std::byte> bytes) : rest_(bytes) {}
  bool good() const { return good_; }
  std::uint64_t take() {
    std::uint64_t number = 0;
    if (const auto bytes = raw(sizeof number); !bytes.empty()) std::memcpy(&number, bytes.data(), sizeof number);
    return number;
  }
  std::span<const std::byte> take_bytes() { return raw(take()); }
  std::string take_text() {
    const auto bytes = take_bytes();
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  std::uint64_t left() const { return rest_.size(); }

 private:
  std::span<const std::byte> raw(std::uint64_t n) {
    good_ = good_ && n <= rest_.size();
    if (!good_) return {};
    const auto bytes = rest_.first(n);
    rest_ = rest_.subspan(n);
    return bytes;
  }
  std::span<const std::byte> rest_;
  bool good_ = true;
};

inline void put_error(PackedValues& out, const Error& error) {
  for (const std::string* text : {&error.id, &error.what, &error.untouched, &error.remedy}) out.put_text(*text);
}
inline Error take_error(ValueReader& in) {
  Error error;
  for (std::string* text : {&error.id, &error.what, &error.untouched, &error.remedy}) *text = in.take_text();
  return error;
}

}  // namespace peaknet::feed
