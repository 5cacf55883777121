// Registers and arithmetic of a translated kernel, as the PTX ISA describes them. A register is bits: a wider one takes
// a narrow value with the value's own sign, a narrower reading takes its low bits.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "tests/gpusim/kernel_abi.hpp"

namespace peaknet::gpusim {

template <class Value, class Register>
Value get(Register bits) {
  if constexpr (std::is_same_v<Value, Register>) {
    return bits;
  } else if constexpr (std::is_same_v<Value, bool>) {
    return bits != 0;
  } else if constexpr (std::is_same_v<Register, bool>) {
    return static_cast<Value>(bits);
  } else if constexpr (sizeof(Value) == sizeof(Register)) {
    return std::bit_cast<Value>(bits);
  } else {
    static_assert(sizeof(Value) < sizeof(Register) && std::is_integral_v<Register> && std::is_integral_v<Value>);
    return static_cast<Value>(bits);
  }
}

template <class Value, class Register>
void put(Register& to, Value value) {
  if constexpr (std::is_same_v<Value, Register>) {
    to = value;
  } else if constexpr (sizeof(Value) == sizeof(Register)) {
    to = std::bit_cast<Register>(value);
  } else {
    static_assert(std::is_integral_v<Register> && std::is_integral_v<Value>);
    to = static_cast<Register>(value);
  }
}

// cvt: integers keep their low bits, a floating value that does not fit an integer becomes the nearest one, NaN 0.
template <class To, class From>
To convert(From value) {
  if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    if (value != value) return 0;
    if (value <= static_cast<From>(std::numeric_limits<To>::min())) return std::numeric_limits<To>::min();
    if (value >= static_cast<From>(std::numeric_limits<To>::max())) return std::numeric_limits<To>::max();
    return static_cast<To>(value);
  } else {
    return static_cast<To>(value);
  }
}

template <class Unsigned>
Unsigned add_carry(Unsigned a, Unsigned b, std::uint32_t in, std::uint32_t* out) {
  const auto sum = static_cast<Unsigned>(a + b + in);
  if (out != nullptr) *out = in != 0 ? sum <= a : sum < a;
  return sum;
}
template <class Unsigned>
Unsigned sub_carry(Unsigned a, Unsigned b, std::uint32_t in, std::uint32_t* out) {
  if (out != nullptr) *out = in != 0 ? a <= b : a < b;
  return static_cast<Unsigned>(a - b - in);
}

__extension__ using Wide = __int128;
__extension__ using UnsignedWide = unsigned __int128;
inline std::int64_t mul_hi(std::int64_t a, std::int64_t b) { return static_cast<std::int64_t>((Wide{a} * b) >> 64); }
inline std::uint64_t mul_hi(std::uint64_t a, std::uint64_t b) {
  return static_cast<std::uint64_t>((UnsignedWide{a} * b) >> 64);
}
inline std::uint32_t mul_hi(std::uint32_t a, std::uint32_t b) {
  return static_cast<std::uint32_t>((std::uint64_t{a} * b) >> 32);
}
inline std::int32_t mul_hi(std::int32_t a, std::int32_t b) {
  return static_cast<std::int32_t>((std::int64_t{a} * b) >> 32);
}

inline void count_division(Thread& thread, std::size_t bytes) {
  ++thread.divisions;
  if (bytes == 8) ++thread.wide_divisions;
}
template <class Value>
Value div_int(Thread& thread, Value a, Value b) {
  count_division(thread, sizeof a);
  return b == 0 ? static_cast<Value>(~Value{0}) : static_cast<Value>(a / b);
}
template <class Value>
Value rem_int(Thread& thread, Value a, Value b) {
  count_division(thread, sizeof a);
  return b == 0 ? a : static_cast<Value>(a % b);
}

template <class Value>
Value shl_clamped(Value value, std::uint32_t by) {
  return by >= 8 * sizeof(Value) ? Value{0} : static_cast<Value>(static_cast<std::make_unsigned_t<Value>>(value) << by);
}
template <class Value>
Value shr_clamped(Value value, std::uint32_t by) {
  if (by >= 8 * sizeof(Value)) return std::is_signed_v<Value> && value < 0 ? static_cast<Value>(-1) : Value{0};
  return static_cast<Value>(value >> by);
}
inline std::uint32_t funnel_left(std::uint32_t low, std::uint32_t high, std::uint32_t by) {
  return static_cast<std::uint32_t>(((std::uint64_t{high} << 32 | low) << (by & 31)) >> 32);
}
inline std::uint32_t funnel_right(std::uint32_t low, std::uint32_t high, std::uint32_t by) {
  return static_cast<std::uint32_t>((std::uint64_t{high} << 32 | low) >> (by & 31));
}
template <class Value>
Value bit_insert(Value a, Value b, std::uint32_t at, std::uint32_t length) {
  at &= 255;
  length &= 255;
  if (at >= 8 * sizeof(Value) || length == 0) return b;
  const Value ones = length >= 8 * sizeof(Value) ? ~Value{0} : static_cast<Value>((Value{1} << length) - 1);
  const auto mask = static_cast<Value>(ones << at);
  return static_cast<Value>((b & ~mask) | ((a << at) & mask));
}

template <class Value>
bool either_nan(Value a, Value b) {
  if constexpr (std::is_floating_point_v<Value>) {
    return a != a || b != b;
  } else {
    return false;
  }
}
#define PEAKNET_GPUSIM_COMPARE(name, expression) \
  template <class Value>                         \
  bool compare_##name(Value a, Value b) {        \
    return expression;                           \
  }
PEAKNET_GPUSIM_COMPARE(eq, a == b)
PEAKNET_GPUSIM_COMPARE(ne, a != b && !either_nan(a, b))
PEAKNET_GPUSIM_COMPARE(lt, a < b)
PEAKNET_GPUSIM_COMPARE(le, a <= b)
PEAKNET_GPUSIM_COMPARE(gt, a > b)
PEAKNET_GPUSIM_COMPARE(ge, a >= b)
PEAKNET_GPUSIM_COMPARE(equ, a == b || either_nan(a, b))
PEAKNET_GPUSIM_COMPARE(neu, a != b)
PEAKNET_GPUSIM_COMPARE(ltu, a < b || either_nan(a, b))
PEAKNET_GPUSIM_COMPARE(leu, a <= b || either_nan(a, b))
PEAKNET_GPUSIM_COMPARE(gtu, a > b || either_nan(a, b))
PEAKNET_GPUSIM_COMPARE(geu, a >= b || either_nan(a, b))
PEAKNET_GPUSIM_COMPARE(num, !either_nan(a, b))
PEAKNET_GPUSIM_COMPARE(nan, either_nan(a, b))
#undef PEAKNET_GPUSIM_COMPARE

}  // namespace peaknet::gpusim
