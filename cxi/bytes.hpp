// ByteWriter, ByteReader: values to bytes and back, little-endian, for the ledger. The reader never reads past its end:
// from the first value that does not fit on, everything is zero and ok() is false.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace peaknet::writer {
static_assert(std::endian::native == std::endian::little, "the shared memory and the ledger are little-endian");

class ByteWriter {
 public:
  template <class T>
  requires std::is_arithmetic_v<T>
  void put(T value) { put_raw(&value, sizeof value); }
  void put_text(std::string_view text) {
    put(static_cast<std::uint32_t>(text.size()));
    put_raw(text.data(), text.size());
  }
  template <class T>
  requires std::is_trivially_copyable_v<T>
  void put_all(std::span<const T> values) {
    put(static_cast<std::uint32_t>(values.size()));
    put_raw(values.data(), values.size_bytes());
  }
  void put_bytes(std::span<const std::byte> bytes) { put_raw(bytes.data(), bytes.size()); }
  void pad_to(std::size_t multiple) { bytes_.resize((bytes_.size() + multiple - 1) / multiple * multiple); }

  std::size_t size() const { return bytes_.size(); }
  std::span<const std::byte> bytes() const { return bytes_; }
  std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  void put_raw(const void* data, std::size_t size);
  std::vector<std::byte> bytes_;
};

class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) : rest_(bytes) {}

  template <class T>
  requires std::is_arithmetic_v<T> T get() {
    T value{};
    if (const auto raw = next(sizeof(T)); !raw.empty()) std::memcpy(&value, raw.data(), sizeof(T));
    return value;
  }
  std::string get_text() {
    const auto raw = next(get<std::uint32_t>());
    return {reinterpret_cast<const char*>(raw.data()), raw.size()};
  }
  template <class T>
  requires std::is_trivially_copyable_v<T> std::vector<T> get_all() {
    const auto raw = next(std::size_t{get<std::uint32_t>()} * sizeof(T));
    std::vector<T> values(raw.size() / sizeof(T));
    if (!raw.empty()) std::memcpy(values.data(), raw.data(), raw.size());
    return values;
  }

  bool ok() const { return ok_; }
  bool at_end() const { return rest_.empty(); }
  std::span<const std::byte> rest() const { return rest_; }

 private:
  std::span<const std::byte> next(std::size_t size) {
    ok_ = ok_ && size <= rest_.size();
    if (!ok_) return {};
    const auto raw = rest_.first(size);
    rest_ = rest_.subspan(size);
    return raw;
  }
  std::span<const std::byte> rest_;
  bool ok_ = true;
};

}  // namespace peaknet::writer
