#include "feed/pixel_convert.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "shm/copy_image.hpp"

namespace peaknet::feed {
namespace {

template <class Number>
Number load(const std::byte* from) {
  Number value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

// Converts one number and says whether it came through unchanged. Written without branches, so that loops become
// vectors.
template <class From, class To>
bool convert_one(From value, To& out) {
  if constexpr (std::is_integral_v<To>) {
    // Clamped first: converting a float out of range is undefined. NaN becomes the lower limit, and unequal to itself.
    constexpr auto kLow = std::numeric_limits<To>::min();
    constexpr auto kHigh = std::numeric_limits<To>::max();
    if constexpr (std::is_integral_v<From>) {
      out = static_cast<To>(
          value);  // NOLINT(bugprone-signed-char-misuse,cert-str34-c): int8 is a number here, sign and all
      return std::in_range<To>(value);
    } else {
      const From low = value >= static_cast<From>(kLow) ? value : static_cast<From>(kLow);
      const From clamped = low <= static_cast<From>(kHigh) ? low : static_cast<From>(kHigh);
      out = static_cast<To>(clamped);
      return static_cast<From>(out) == value;
    }
  } else if constexpr (std::is_integral_v<From>) {
    out = static_cast<To>(value);
    if constexpr (sizeof(From) <= 2) return true;
    // The lowest number is a power of two, so a float holds it; but it is no count.
    if constexpr (sizeof(From) == 4)
      return static_cast<double>(out) == static_cast<double>(value) &&
             (!std::is_signed_v<From> || value != std::numeric_limits<From>::min());
    constexpr std::int64_t kExact = std::int64_t{1} << 53;  // beyond, double does not tell neighbours apart
    return std::cmp_less_equal(value, kExact) && std::cmp_greater_equal(value, -kExact) &&
           static_cast<double>(out) == static_cast<double>(value);
  } else {
    out = static_cast<To>(value);
    return static_cast<From>(out) == value || std::isnan(value);
  }
}

// Of a value that does not fit: what the pool has for it if it is not a count at all.
template <class From, class To>
std::optional<To> no_count(From value) {
  constexpr auto kTop32 = std::numeric_limits<std::uint32_t>::max();
  using Limits = std::numeric_limits<From>;
  constexpr To kHigh = std::is_integral_v<To> ? std::numeric_limits<To>::max() : std::numeric_limits<To>::quiet_NaN();
  constexpr To kLow = std::is_integral_v<To> ? std::numeric_limits<To>::min() : std::numeric_limits<To>::quiet_NaN();
  if constexpr (std::is_floating_point_v<From>) {
    if (!std::isfinite(value)) return value > 0 ? kHigh : kLow;
    if (value >= static_cast<From>(kTop32 - 1) && value <= From{4294967296}) return kHigh;
  } else if constexpr (sizeof(From) > 1) {
    if (value == Limits::max() || (!Limits::is_signed && value == Limits::max() - 1)) return kHigh;
    if (Limits::is_signed && value == Limits::min()) return kLow;
    if (sizeof(From) == 8 && (std::cmp_equal(value, kTop32) || std::cmp_equal(value, kTop32 - 1))) return kHigh;
    if (Limits::is_signed && sizeof(From) >= 4 && (value == static_cast<From>(-1) || value == static_cast<From>(-2)))
      return kLow;
  }
  return std::nullopt;
}

// What an integer pool has instead of a value that it cannot hold: the nearest, without a fraction.
template <class From, class To>
To nearest(From value, To converted) {
  if constexpr (std::is_integral_v<From> && std::is_integral_v<To>) {
    if (std::cmp_less(value, std::numeric_limits<To>::min())) return std::numeric_limits<To>::min();
    if (std::cmp_greater(value, std::numeric_limits<To>::max())) return std::numeric_limits<To>::max();
  }
  return converted;  // of floats, convert_one clamps
}

template <class From, class To>
Conversion convert(const std::byte* from, std::byte* to, std::size_t pixels, bool may_round,
                   std::span<const std::uint8_t> bad) {
  Conversion result;
  constexpr std::size_t kBlock = 4096;
  for (std::size_t begin = 0; begin < pixels; begin += kBlock) {
    const std::size_t end = std::min(pixels, begin + kBlock);
    unsigned changed = 0;
    for (std::size_t i = begin; i < end; ++i) {
      To out;
      changed |= static_cast<unsigned>(!convert_one(load<From>(from + i * sizeof(From)), out));
      std::memcpy(to + i * sizeof(To), &out, sizeof out);
    }
    if (changed == 0) continue;
    for (std::size_t i = begin; i < end; ++i) {
      To out;
      const From value = load<From>(from + i * sizeof(From));
      if (convert_one(value, out)) continue;
      auto instead = no_count<From, To>(value);
      // A rounded value is still that value; a finite one that became infinite is not.
      if (!instead && may_round &&
          std::isfinite(static_cast<double>(value)) == std::isfinite(static_cast<double>(out))) {
        result.narrowed = true;
        continue;
      }
      if (!instead && !bad.empty() && bad[i] != 0) instead = nearest(value, out);
      if (instead) {
        std::memcpy(to + i * sizeof(To), &*instead, sizeof(To));
        ++result.no_counts;
        continue;
      }
      if (!result.misfit) result.misfit = i;
      if (++result.misfits == kMostMisfits) return result;
    }
  }
  return result;
}

template <class From>
Conversion convert_to(const std::byte* from, std::byte* to, PixelType type, std::size_t pixels, Narrowing narrowing,
                      std::span<const std::uint8_t> bad) {
  switch (type) {
    case PixelType::uint16:
      return convert<From, std::uint16_t>(from, to, pixels, false, bad);
    case PixelType::int16:
      return convert<From, std::int16_t>(from, to, pixels, false, bad);
    case PixelType::float32:
      break;
  }
  return convert<From, float>(from, to, pixels, std::is_same_v<From, double> && narrowing == Narrowing::allow, bad);
}

std::string range_of(PixelType type) {
  switch (type) {
    case PixelType::uint16:
      return "uint16 (whole numbers 0 to 65535)";
    case PixelType::int16:
      return "int16 (whole numbers -32768 to 32767)";
    case PixelType::float32:
      break;
  }
  return "float32 (24 significant bits)";
}

}  // namespace

Conversion convert_pixels(const std::byte* from, SampleType from_type, std::byte* to, PixelType to_type,
                          std::size_t pixels, Narrowing narrowing, std::span<const std::uint8_t> bad) {
  if (from_type == sample_type_of(to_type)) {
    shm::copy_image(to, {from, pixels * size_of(to_type)});
    return {};
  }
  return with_type(
      from_type, [&](auto number) { return convert_to<decltype(number)>(from, to, to_type, pixels, narrowing, bad); });
}

std::string value_text(const std::byte* from, SampleType type) {
  return with_type(type, [&](auto number) -> std::string {
    using Number = decltype(number);
    const auto value = load<Number>(from);
    if constexpr (std::is_integral_v<Number>) {
      return std::to_string(value);
    } else {
      std::array<char, 32> text{};
      std::snprintf(text.data(), text.size(), "%.9g", static_cast<double>(value));
      return text.data();
    }
  });
}

Error misfit_error(const std::string& where, const std::byte* frame, std::size_t at, std::size_t pixels,
                   SampleType from_type, PixelType to_type, std::span<const std::uint8_t> bad) {
  std::vector<std::byte> scratch(pixels * sizeof(float));
  const auto misfits = [&](PixelType type, Narrowing narrowing) {
    return convert_pixels(frame, from_type, scratch.data(), type, pixels, narrowing, bad).misfits;
  };
  const std::size_t all = misfits(to_type, Narrowing::allow);
  const std::string others = all <= 1 ? ""
                                      : (all == kMostMisfits ? ", as at least " : ", as ") + std::to_string(all - 1) +
                                            " other pixels of this frame";
  Error error{"frame.value",
              where + " has the " + std::string(name(from_type)) + " value " +
                  value_text(frame + at * size_of(from_type), from_type) + ", which the pool's " + range_of(to_type) +
                  " cannot hold" + others,
              "the frame was not taken", "correct such pixels at the source, or mark them in preprocess.bad_pixels"};
  for (const PixelType other : {PixelType::uint16, PixelType::int16, PixelType::float32}) {
    if (misfits(other, Narrowing::refuse) == 0) {
      error.remedy = "set pool.dtype to " + std::string(name(other)) + ", which holds this whole frame";
      return error;
    }
  }
  if (from_type == SampleType::f64 && misfits(PixelType::float32, Narrowing::allow) == 0) {
    error.remedy = "set pool.dtype to float32 and allow rounding with --narrow";
  }
  return error;
}

}  // namespace peaknet::feed
