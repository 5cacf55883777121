// The pixel types a producer may put into the pool. The numbers are part of the shared memory layout and of no other
// meaning: never renumber. A number that came from outside this process goes through pixel_type_from() first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace peaknet {

enum class PixelType : std::uint32_t { uint16 = 1, int16 = 2, float32 = 3 };

// Bytes of one pixel; 0 for a number that is no PixelType.
constexpr std::size_t size_of(PixelType type) {
  switch (type) {
    case PixelType::uint16:
    case PixelType::int16:
      return 2;
    case PixelType::float32:
      return 4;
  }
  return 0;
}

// The name used in configuration files, messages and NumPy; "unknown" for a number that is no PixelType.
constexpr std::string_view name(PixelType type) {
  switch (type) {
    case PixelType::uint16:
      return "uint16";
    case PixelType::int16:
      return "int16";
    case PixelType::float32:
      return "float32";
  }
  return "unknown";
}

constexpr std::optional<PixelType> pixel_type_from(std::uint32_t number) {
  if (number < 1 || number > 3) return std::nullopt;
  return static_cast<PixelType>(number);
}

// The inverse of name(): exact, lower case.
constexpr std::optional<PixelType> parse_pixel_type(std::string_view text) {
  for (const PixelType type : {PixelType::uint16, PixelType::int16, PixelType::float32}) {
    if (text == name(type)) return type;
  }
  return std::nullopt;
}

}  // namespace peaknet
