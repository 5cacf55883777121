#include "daemon/kernels/reference_kernels.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstring>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "base/pixel_type.hpp"
#include "daemon/kernels/sum_order.hpp"

namespace peaknet::kernels {
namespace {

template <class Visitor>
void visit_pixels(const FrameLayout& layout, const std::byte* event, const Visitor& visit) {
  switch (static_cast<PixelType>(layout.pixel_type)) {
    case PixelType::uint16:
      visit(reinterpret_cast<const std::uint16_t*>(event));
      break;
    case PixelType::int16:
      visit(reinterpret_cast<const std::int16_t*>(event));
      break;
    case PixelType::float32:
      visit(reinterpret_cast<const float*>(event));
      break;
  }
}

__extension__ using Wide = __int128;

template <class Integer>
Normalisation exact(const FrameLayout& layout, const Integer* pixels) {
  const std::uint64_t count = std::uint64_t{layout.panels} * layout.height * layout.width;
  std::int64_t sum = 0;     // |x| < 2^16, at most 2^30 pixels: below 2^46
  std::int64_t square = 0;  // below 2^62
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::int64_t x = pixels[i];
    sum += x;
    square += x * x;
  }
  const auto padded =
      static_cast<std::int64_t>(std::uint64_t{layout.panels} * layout.padded_height * layout.padded_width);
  const double n = static_cast<double>(padded);
  const double mean = static_cast<double>(sum) / n;
  const Wide spread = Wide{padded} * square - Wide{sum} * sum;
  const double variance = static_cast<double>(spread) / n / n;
  return {static_cast<float>(mean), static_cast<float>(1.0 / std::sqrt(variance + kNormEpsilon))};
}

// The counts of an event, as they are or calibrated. kMayBeOdd: they may be no numbers.
template <class Pixel>
struct Raw {
  static constexpr bool kMayBeOdd = std::is_floating_point_v<Pixel>;
  const Pixel* pixels;
  float operator()(std::uint64_t i) const { return static_cast<float>(pixels[i]); }
};
template <class Pixel>
struct Calibrated {
  static constexpr bool kMayBeOdd = true;
  const Pixel* pixels;
  Calibration known;
  float operator()(std::uint64_t i) const { return calibrated(static_cast<float>(pixels[i]), i, known); }
};

constexpr std::uint64_t kBlock = 4 * kSumLanes;  // pixels whose counts are looked at before they are used

// The exponent of a number that is not finite is all ones: one more carries into the top bit. In four sums, so that
// none waits for the one before.
bool all_finite(const float* counts, std::uint64_t count) {
  constexpr std::size_t kAtOnce = 16;
  std::uint32_t carried[kAtOnce] = {};
  std::uint64_t i = 0;
  for (; i + kAtOnce <= count; i += kAtOnce) {
    for (std::size_t k = 0; k < kAtOnce; ++k) carried[k] |= (FloatBits{counts[i + k]}.u & 0x7fffffffU) + 0x00800000U;
  }
  std::uint32_t any = 0;
  for (; i < count; ++i) any |= (FloatBits{counts[i]}.u & 0x7fffffffU) + 0x00800000U;
  for (const std::uint32_t one : carried) any |= one;
  return (any & 0x80000000U) == 0;
}

// Counts without odd ones, and how many those were.
struct SoundCounts {
  const float* first;
  std::uint64_t odd;
};

// Of at most kBlock pixels, 0 for the odd ones: in `room`, or where they are. In steps of their own, each of which the
// compiler does for many pixels at once. Without kLook it is known that none is odd.
template <bool kLook, class Counts>
SoundCounts sound_counts(const Counts counts, std::uint64_t from, std::uint64_t count, float* room) {
  const float* found = room;
  if constexpr (std::is_same_v<Counts, Raw<float>>) {
    found = counts.pixels + from;
  } else {
    for (std::uint64_t i = 0; i < count; ++i) room[i] = counts(from + i);
  }
  if (!kLook || all_finite(found, count)) return {found, 0};
  std::uint64_t odd = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    odd += is_odd(found[i]);
    room[i] = zero_if_odd(found[i]);
  }
  return {room, odd};
}

double fold(std::array<double, kSumLanes>& values) {
  for (std::size_t half = values.size() / 2; half > 0; half /= 2) {
    for (std::size_t i = 0; i < half; ++i) values[i] += values[i + half];
  }
  return values.front();
}

// The sum of `term` over the counts, in the order of sum_order.hpp; so the lanes of a part are summed side by side here
// too, and no addition waits for the one before.
template <bool kLook, class Counts, class Term>
double ordered_sum(const Counts counts, std::uint64_t pixels, const Term term) {
  static_assert(kSumParts == kSumLanes);
  std::array<double, kSumLanes> parts{};
  for (std::uint32_t part = 0; part < kSumParts; ++part) {
    const PixelSpan span = part_of(pixels, part);
    std::array<double, kSumLanes> lanes{};
    float room[kBlock];
    for (std::uint64_t begin = span.begin; begin < span.end; begin += kBlock) {
      const std::uint64_t some = std::min(span.end - begin, kBlock);
      const float* block = sound_counts<kLook>(counts, begin, some, room).first;
      std::uint64_t i = 0;
      for (; i + kSumLanes <= some; i += kSumLanes) {
        for (std::size_t lane = 0; lane < kSumLanes; ++lane) lanes[lane] += term(block[i + lane]);
      }
      for (std::size_t lane = 0; i + lane < some; ++lane) lanes[lane] += term(block[i + lane]);
    }
    if (span.begin < span.end) parts[part] = fold(lanes);
  }
  return fold(parts);
}

template <bool kLook, class Counts>
Normalisation two_pass(const FrameLayout& layout, const Counts& counts) {
  const std::uint64_t count = std::uint64_t{layout.panels} * layout.height * layout.width;
  const std::uint64_t padded = std::uint64_t{layout.panels} * layout.padded_height * layout.padded_width;
  const double n = static_cast<double>(padded);
  const double mean = ordered_sum<kLook>(counts, count, [](float value) { return static_cast<double>(value); }) / n;
  if (!kLook && !std::isfinite(mean)) return two_pass<true>(layout, counts);  // finite floats have a finite sum
  const double of_pixels = ordered_sum<kLook>(counts, count, [mean](float value) {
    const double apart = static_cast<double>(value) - mean;
    return apart * apart;
  });
  const double spread = static_cast<double>(padded - count) * mean * mean + of_pixels;
  return {static_cast<float>(mean), static_cast<float>(1.0 / std::sqrt(spread / n + kNormEpsilon))};
}

struct AsFloat32 {
  using Stored = float;
  static float make(float value) { return value; }
};
struct AsBfloat16 {
  using Stored = std::uint16_t;
  static std::uint16_t make(float value) { return input_bfloat16(value); }
};
struct AsFloat16 {
  using Stored = std::uint16_t;
  static std::uint16_t make(float value) { return input_float16(value); }
};

// The loops over a row work on values of their own: what lies behind a pointer could change with every store, and a
// 32-bit index could wrap, and the compiler would take one pixel at a time. They return how many pixels are odd.
template <class As, class Counts>
std::uint64_t fill_row(const Counts counts, std::uint64_t from, std::uint64_t count, Normalisation normal,
                       typename As::Stored* out) {
  if constexpr (!Counts::kMayBeOdd) {
    for (std::uint64_t x = 0; x < count; ++x) out[x] = As::make(normalised(counts(from + x), normal));
    return 0;
  }
  std::uint64_t odd = 0;
  float room[kBlock];
  for (std::uint64_t begin = 0; begin < count; begin += kBlock) {
    const std::uint64_t some = std::min(count - begin, kBlock);
    const SoundCounts block = sound_counts<true>(counts, from + begin, some, room);
    for (std::uint64_t x = 0; x < some; ++x) out[begin + x] = As::make(normalised(block.first[x], normal));
    odd += block.odd;
  }
  return odd;
}

template <class As, class Counts>
std::uint64_t fill_event(const FrameLayout& layout, const Counts& counts, Normalisation normal, const TensorView& input,
                         std::int64_t first_row) {
  using Stored = typename As::Stored;
  const Stored padding = As::make(normalised(0.0F, normal));
  std::uint64_t odd = 0;
  for (std::uint32_t panel = 0; panel < layout.panels; ++panel) {
    auto* plane = static_cast<Stored*>(input.data) + (first_row + panel) * input.strides[0];
    for (std::uint32_t y = 0; y < layout.padded_height; ++y) {
      Stored* out = plane + y * input.strides[2];
      if (y < layout.top || y >= layout.top + layout.height) {
        std::fill_n(out, layout.padded_width, padding);
        continue;
      }
      const std::uint64_t line = (std::uint64_t{panel} * layout.height + (y - layout.top)) * layout.width;
      out = std::fill_n(out, layout.left, padding);
      odd += fill_row<As>(counts, line, layout.width, normal, out);
      std::fill_n(out + layout.width, layout.padded_width - layout.left - layout.width, padding);
    }
  }
  return odd;
}

template <class Counts>
std::uint64_t fill_as(const FrameLayout& layout, const Counts& counts, Normalisation normal, const TensorView& input,
                      std::int64_t first_row) {
  switch (input.element) {
    case Element::float32:
      return fill_event<AsFloat32>(layout, counts, normal, input, first_row);
    case Element::bfloat16:
      return fill_event<AsBfloat16>(layout, counts, normal, input, first_row);
    case Element::float16:
      return fill_event<AsFloat16>(layout, counts, normal, input, first_row);
  }
  return 0;
}

struct FromFloat32 {
  using Stored = float;
  static float value(float stored) { return stored; }
};
struct FromBfloat16 {
  using Stored = std::uint16_t;
  static float value(std::uint16_t stored) { return from_bfloat16(stored); }
};
struct FromFloat16 {
  using Stored = std::uint16_t;
  static float value(std::uint16_t stored) { return from_float16(stored); }
};

// Logits of the pixels of a word: the next pixel is `step` elements on, the next class `apart`.
template <class From>
struct Logits {
  const typename From::Stored* first;
  std::int64_t apart, step;
  int classes;

  bool is_peak(std::int64_t x) const {
    const typename From::Stored* at = first + x * step;
    const float one = From::value(at[apart]);
    bool peak = peak_beats(one, From::value(at[0]), 0);
    for (int k = 2; k < classes && peak; ++k) peak = peak_beats(one, From::value(at[k * apart]), k);
    return peak;
  }
  bool all_finite(std::int64_t x) const {
    bool all = true;
    for (int k = 0; k < classes; ++k) all = all && is_finite(From::value(first[x * step + k * apart]));
    return all;
  }
};

constexpr std::uint32_t kWord = 64;  // pixels

// Two classes in planes of their own: one byte a pixel, without a branch, so that the compiler takes many at once.
// With kFinite, `finite` becomes false if one of the logits is not.
template <class From, bool kFinite>
std::uint64_t whole_word(const typename From::Stored* zero, const typename From::Stored* one, bool& finite) {
  float a[kWord];
  float b[kWord];
  for (std::size_t x = 0; x < kWord; ++x) {
    a[x] = From::value(zero[x]);
    b[x] = From::value(one[x]);
  }
  std::uint8_t peak[kWord];
  for (std::size_t x = 0; x < kWord; ++x) {
    peak[x] = static_cast<std::uint8_t>(static_cast<int>(b[x] > a[x]) |
                                        (static_cast<int>(is_nan(b[x])) & static_cast<int>(!is_nan(a[x]))));
  }
  if constexpr (kFinite) {
    int all = 1;
    for (std::size_t x = 0; x < kWord; ++x)
      all &= static_cast<int>(is_finite(a[x])) & static_cast<int>(is_finite(b[x]));
    finite = finite && all != 0;
  }
  std::uint64_t word = 0;
  for (std::size_t octet = 0; octet < 8; ++octet) {
    std::uint64_t bytes = 0;
    std::memcpy(&bytes, peak + 8 * octet, 8);
    // The lowest bits of eight bytes, side by side: the product adds byte i shifted so that it ends in bit 56 + i.
    word |= ((bytes * 0x0102040810204080U) >> 56) << (8 * octet);
  }
  return word;
}

#if defined(__SSE2__)
// The same for float32, sixteen pixels at a time. `four` gives four pixels, all ones where the second class wins.
template <class Four>
std::uint64_t word_of_fours(const Four& four) {
  std::uint64_t word = 0;
#pragma GCC unroll 1  // more at once do not fit into the registers
  for (std::size_t x = 0; x < kWord; x += 16) {
    const __m128i low = _mm_packs_epi32(four(x), four(x + 4));
    const __m128i high = _mm_packs_epi32(four(x + 8), four(x + 12));
    word |= std::uint64_t{static_cast<std::uint16_t>(_mm_movemask_epi8(_mm_packs_epi16(low, high)))} << x;
  }
  return word;
}

// Not (b <= a) is also true where one of them is NaN, so a must be none.
std::uint64_t word_of_any_floats(const float* zero, const float* one) {
  return word_of_fours([&](std::size_t x) {
    const __m128 a = _mm_loadu_ps(zero + x);
    const __m128 b = _mm_loadu_ps(one + x);
    return _mm_castps_si128(_mm_and_ps(_mm_cmpnle_ps(b, a), _mm_cmpord_ps(a, a)));
  });
}

// Where both are finite, so is their difference, or it is too large: then each is looked at. The upper half of a number
// that is not finite is at least 0x7f80 without its sign, and no lower half is greater than 0x7fff.
std::uint64_t word_of_checked_floats(const float* zero, const float* one, bool& finite) {
  const __m128i no_sign = _mm_set1_epi32(0x7fffffff);
  __m128i largest = _mm_setzero_si128();
  const std::uint64_t word = word_of_fours([&](std::size_t x) {
    const __m128 a = _mm_loadu_ps(zero + x);
    const __m128 b = _mm_loadu_ps(one + x);
    largest = _mm_max_epi16(largest, _mm_and_si128(_mm_castps_si128(_mm_sub_ps(b, a)), no_sign));
    return _mm_castps_si128(_mm_cmplt_ps(a, b));
  });
  if (_mm_movemask_epi8(_mm_cmpgt_epi16(largest, _mm_set1_epi32(0x7f7f7fff))) == 0) return word;
  for (std::size_t x = 0; x < kWord; ++x) finite = finite && is_finite(zero[x]) && is_finite(one[x]);
  return word_of_any_floats(zero, one);
}
template <>
std::uint64_t whole_word<FromFloat32, false>(const float* zero, const float* one, bool& /*finite*/) {
  return word_of_any_floats(zero, one);
}
template <>
std::uint64_t whole_word<FromFloat32, true>(const float* zero, const float* one, bool& finite) {
  return word_of_checked_floats(zero, one, finite);
}
#endif

template <class From, bool kFinite>
std::uint64_t word_of(const Logits<From>& logits, std::uint32_t count, bool& finite) {
  if (count == kWord && logits.step == 1 && logits.classes == 2)
    return whole_word<From, kFinite>(logits.first, logits.first + logits.apart, finite);
  std::uint64_t word = 0;
  for (std::uint32_t bit = 0; bit < count; ++bit) {
    word |= std::uint64_t{logits.is_peak(bit)} << bit;
    if constexpr (kFinite) finite = finite && logits.all_finite(bit);
  }
  return word;
}

// Returns whether all logits are finite; without kFinite nobody looks.
template <class From, bool kFinite>
bool pack_event(const FrameLayout& layout, const TensorView& logits, std::int64_t first_row, std::uint64_t* mask) {
  using Stored = typename From::Stored;
  bool finite = true;
  for (std::uint32_t panel = 0; panel < layout.panels; ++panel) {
    const auto* plane = static_cast<const Stored*>(logits.data) + (first_row + panel) * logits.strides[0];
    for (std::uint32_t y = 0; y < layout.height; ++y) {
      const Stored* row = plane + (y + layout.top) * logits.strides[2] + layout.left * logits.strides[3];
      for (std::uint32_t x = 0; x < layout.width; x += kWord) {
        const Logits<From> here{row + x * logits.strides[3], logits.strides[1], logits.strides[3],
                                static_cast<int>(logits.shape[1])};
        *mask++ = word_of<From, kFinite>(here, std::min(layout.width - x, kWord), finite);
      }
    }
  }
  return finite;
}

template <class From>
void pack_as(const FrameLayout& layout, const TensorView& logits, std::int64_t first_row, std::uint64_t* mask,
             std::uint64_t* not_finite) {
  if (not_finite == nullptr) {
    pack_event<From, false>(layout, logits, first_row, mask);
  } else {
    *not_finite = pack_event<From, true>(layout, logits, first_row, mask) ? 0 : 1;
  }
}

}  // namespace

Normalisation normalisation_of(const FrameLayout& layout, const std::byte* event) {
  Normalisation normal;
  visit_pixels(layout, event, [&](const auto* pixels) {
    using Pixel = std::remove_cv_t<std::remove_pointer_t<decltype(pixels)>>;
    if (layout.calibration.any()) {
      normal = two_pass<false>(layout, Calibrated<Pixel>{pixels, layout.calibration});
    } else if constexpr (std::is_same_v<Pixel, float>) {
      normal = two_pass<false>(layout, Raw<float>{pixels});
    } else {
      normal = exact(layout, pixels);
    }
  });
  return normal;
}

void ReferenceKernels::before(const FrameLayout& layout, const std::byte* const* events, std::uint32_t count,
                              const TensorView& input, std::uint64_t* const* odd, void* /*stream*/) {
  for (std::uint32_t i = 0; i < count; ++i) {
    const Normalisation normal = layout.normalise ? normalisation_of(layout, events[i]) : Normalisation{};
    const std::int64_t first_row = std::int64_t{i} * layout.panels;
    visit_pixels(layout, events[i], [&](const auto* pixels) {
      using Pixel = std::remove_cv_t<std::remove_pointer_t<decltype(pixels)>>;
      const std::uint64_t found =
          layout.calibration.any()
              ? fill_as(layout, Calibrated<Pixel>{pixels, layout.calibration}, normal, input, first_row)
              : fill_as(layout, Raw<Pixel>{pixels}, normal, input, first_row);
      if (odd != nullptr) *odd[i] = found;
    });
  }
}

void ReferenceKernels::after(const FrameLayout& layout, const TensorView& logits, std::uint64_t* const* masks,
                             std::uint64_t* const* not_finite, std::uint32_t count, void* /*stream*/) {
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::int64_t first_row = std::int64_t{i} * layout.panels;
    std::uint64_t* flag = not_finite == nullptr ? nullptr : not_finite[i];
    switch (logits.element) {
      case Element::float32:
        pack_as<FromFloat32>(layout, logits, first_row, masks[i], flag);
        break;
      case Element::bfloat16:
        pack_as<FromBfloat16>(layout, logits, first_row, masks[i], flag);
        break;
      case Element::float16:
        pack_as<FromFloat16>(layout, logits, first_row, masks[i], flag);
        break;
    }
  }
}

}  // namespace peaknet::kernels
