#include "feed/decoders/numpy_type.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "feed/event_facts.hpp"

namespace peaknet::feed {
namespace {

float from_half(std::uint16_t bits) {
  const std::uint32_t sign = std::uint32_t{bits & 0x8000U} << 16, exponent = bits >> 10 & 0x1fU, part = bits & 0x3ffU;
  if (exponent == 0) {
    constexpr float kSmallest = 1.0F / 16777216.0F;
    const float value = static_cast<float>(part) * kSmallest;
    return sign != 0 ? -value : value;
  }
  const std::uint32_t wide = exponent == 0x1f ? 0xffU : exponent + 112;
  return std::bit_cast<float>(sign | wide << 23 | part << 13);
}

std::uint64_t ticks_of(std::string_view unit) {
  if (unit == "[s]") return 1;
  if (unit == "[ms]") return 1'000;
  if (unit == "[us]") return 1'000'000;
  return unit == "[ns]" ? 1'000'000'000 : 0;
}

}  // namespace

std::optional<NumpyType> numpy_type(std::string_view descr) {
  if (descr.size() < 3 || descr[2] < '1' || descr[2] > '8') return std::nullopt;
  NumpyType found;
  found.bytes = static_cast<std::size_t>(descr[2] - '0');
  found.big_endian = descr[0] == '>' && found.bytes > 1;
  if (descr[0] != '<' && descr[0] != '>' && !(descr[0] == '|' && found.bytes == 1)) return std::nullopt;
  const std::string_view unit = descr.substr(3);
  std::optional<SampleType> type;
  switch (descr[1]) {
    case 'f':
      found.half = found.bytes == 2;
      type = found.half ? SampleType::f32 : float_type(found.bytes);
      break;
    case 'u':
    case 'i':
      type = integer_type(found.bytes, descr[1] == 'i');
      break;
    case 'b':
      if (found.bytes == 1) type = SampleType::u8;
      break;
    case 'M':
      found.ticks = ticks_of(unit);
      if (found.bytes == 8 && found.ticks != 0) type = SampleType::u64;
      break;
    default:
      break;
  }
  if (!type || (found.ticks == 0 && !unit.empty())) return std::nullopt;
  found.type = *type;
  return found;
}

void bring_home(std::span<const std::byte> from, const NumpyType& type, std::span<std::byte> to) {
  const std::size_t count = from.size() / type.bytes, width = size_of(type.type);
  for (std::size_t i = 0; i < count; ++i) {
    std::array<std::byte, 8> element{};
    std::memcpy(element.data(), from.data() + i * type.bytes, type.bytes);
    if (type.big_endian) std::reverse(element.begin(), element.begin() + static_cast<std::ptrdiff_t>(type.bytes));
    if (type.half) {
      std::uint16_t bits = 0;
      std::memcpy(&bits, element.data(), sizeof bits);
      const float value = from_half(bits);
      std::memcpy(element.data(), &value, sizeof value);
    } else if (type.ticks != 0) {
      std::int64_t time = 0;
      std::memcpy(&time, element.data(), sizeof time);
      const auto ticks = static_cast<std::uint64_t>(time);
      const std::uint64_t packed =
          time <= 0 ? 0 : timestamp_from_parts(ticks / type.ticks, ticks % type.ticks * (1'000'000'000 / type.ticks));
      std::memcpy(element.data(), &packed, sizeof packed);
    }
    std::memcpy(to.data() + i * width, element.data(), width);
  }
}

}  // namespace peaknet::feed
