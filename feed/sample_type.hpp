// SampleType: the number types in which files and messages may hold pixels; little-endian in memory. The pool itself
// knows three of them (PixelType).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/pixel_type.hpp"

namespace peaknet::feed {

enum class SampleType : std::uint8_t { u8, i8, u16, i16, u32, i32, u64, i64, f32, f64 };
inline constexpr std::size_t kSampleTypes = 10;

// May a field hold texts instead of numbers?
enum class Texts : std::uint8_t { refuse, allow };

constexpr std::size_t size_of(SampleType type) {
  constexpr std::array<std::size_t, kSampleTypes> kSizes = {1, 1, 2, 2, 4, 4, 8, 8, 4, 8};
  return kSizes[static_cast<std::size_t>(type)];
}

constexpr std::string_view name(SampleType type) {
  constexpr std::array<std::string_view, kSampleTypes> kNames = {"uint8", "int8",   "uint16", "int16",   "uint32",
                                                                 "int32", "uint64", "int64",  "float32", "float64"};
  return kNames[static_cast<std::size_t>(type)];
}

constexpr std::optional<SampleType> integer_type(std::size_t bytes, bool is_signed) {
  switch (bytes) {
    case 1:
      return is_signed ? SampleType::i8 : SampleType::u8;
    case 2:
      return is_signed ? SampleType::i16 : SampleType::u16;
    case 4:
      return is_signed ? SampleType::i32 : SampleType::u32;
    case 8:
      return is_signed ? SampleType::i64 : SampleType::u64;
    default:
      return std::nullopt;
  }
}
constexpr std::optional<SampleType> float_type(std::size_t bytes) {
  if (bytes == 4) return SampleType::f32;
  if (bytes == 8) return SampleType::f64;
  return std::nullopt;
}

// Calls `work` with a number (zero) of the type that `type` names.
template <class Work>
constexpr auto with_type(SampleType type, Work work) {
  switch (type) {
    case SampleType::u8:
      return work(std::uint8_t{});
    case SampleType::i8:
      return work(std::int8_t{});
    case SampleType::u16:
      return work(std::uint16_t{});
    case SampleType::i16:
      return work(std::int16_t{});
    case SampleType::u32:
      return work(std::uint32_t{});
    case SampleType::i32:
      return work(std::int32_t{});
    case SampleType::u64:
      return work(std::uint64_t{});
    case SampleType::i64:
      return work(std::int64_t{});
    case SampleType::f32:
      return work(float{});
    case SampleType::f64:
      break;
  }
  return work(double{});
}

constexpr SampleType sample_type_of(PixelType type) {
  switch (type) {
    case PixelType::uint16:
      return SampleType::u16;
    case PixelType::int16:
      return SampleType::i16;
    case PixelType::float32:
      break;
  }
  return SampleType::f32;
}

}  // namespace peaknet::feed
