#include "peaks/local_ring.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <limits>
#include <type_traits>

#include "base/no_count.hpp"

namespace peaknet::writer {
namespace {

constexpr std::size_t kCacheLine = 64;

// Sums over ring pixels. For floats of (pixel - origin), where origin is a pixel of the ring: a large pedestal then
// does not swallow the variance, and a constant ring has none. For integers exact, and origin is 0.
template <class Pixel>
struct Moments {
  using Square = std::conditional_t<std::is_integral_v<Pixel>, std::int64_t, double>;
  using Value = std::conditional_t<std::is_integral_v<Pixel>, std::int32_t, double>;
  std::int64_t n = 0;
  Value sum = 0;
  Square squares = 0;
  Value origin = 0;
};
static_assert(kRingMaxPixels * 65535 <= std::numeric_limits<std::int32_t>::max());

// A rectangle with both ends exclusive at the far side.
struct Area {
  std::uint32_t y0, x0, y1, x1;
};

// The box of a peak grown by `reach`, cut at the edges of the valid part.
Area grown(const MaskView& mask, std::uint32_t y0, std::uint32_t x0, std::uint32_t y1, std::uint32_t x1,
           std::uint32_t reach) {
  const std::uint32_t bottom = std::min(mask.valid_height, mask.height);
  const std::uint32_t right = std::min(mask.valid_width, mask.width);
  return {y0 < reach ? 0 : y0 - reach, x0 < reach ? 0 : x0 - reach, std::min(y1 + reach + 1, bottom),
          std::min(x1 + reach + 1, right)};
}

// The `count` (1..64) bits from x on: bit i is column x + i; those above are of unknown content.
std::uint64_t bits_from(const std::uint64_t* words, std::uint32_t x, std::uint32_t count) {
  const std::uint32_t shift = x % 64;
  const std::uint64_t* word = words + x / 64;
  std::uint64_t bits = load_word(word) >> shift;
  if (shift + count > 64) bits |= load_word(word + 1) << (64 - shift);
  return bits;
}

// A row of the mask, and with kBad of the bad pixels.
template <bool kBad>
struct RowBits {
  const std::uint64_t* mask;
  const std::uint64_t* bad;

  // Which of `count` (1..64) columns from x are neither in the mask nor bad.
  std::uint64_t usable(std::uint32_t x, std::uint32_t count) const {
    std::uint64_t out = bits_from(mask, x, count);
    if constexpr (kBad) out |= bits_from(bad, x, count);
    return ~out & mask_tail(count);
  }
};

template <class Pixel>
void add_pixel(Moments<Pixel>& moments, bool use, Pixel pixel) {
  if constexpr (std::is_integral_v<Pixel>) {
    // No branch: in a crowded mask it could not be foreseen.
    const bool counts = use && !is_no_count(pixel);
    const std::int32_t value = pixel & -std::int32_t{counts};
    moments.n += std::int64_t{counts};
    moments.sum += value;
    moments.squares += std::int64_t{value} * value;
  } else {
    if (!use || is_no_count(pixel)) return;
    const auto value = static_cast<double>(pixel);
    if (moments.n == 0) moments.origin = value;
    ++moments.n;
    moments.sum += value - moments.origin;
    moments.squares += (value - moments.origin) * (value - moments.origin);
  }
}

// Adds the usable pixels of columns [x0, x1).
template <class Pixel, bool kBad>
void add_columns(const RowBits<kBad>& bits, const Pixel* pixels, std::uint32_t x0, std::uint32_t x1,
                 Moments<Pixel>& moments) {
  for (std::uint32_t x = x0; x < x1;) {
    const std::uint32_t end = x + std::min(x1 - x, std::uint32_t{64});
    for (std::uint64_t use = bits.usable(x, end - x); x < end; ++x, use >>= 1) {
      add_pixel(moments, (use & 1) != 0, pixels[x]);
    }
  }
}

// The same for as many columns as the ring is wide: nearly all that there is to do.
template <class Pixel, bool kBad>
void add_side(const RowBits<kBad>& bits, const Pixel* pixels, std::uint32_t x, Moments<Pixel>& moments) {
  const std::uint64_t use = bits.usable(x, kRingWidth);
  for (std::uint32_t i = 0; i < kRingWidth; ++i) add_pixel(moments, (use >> i & 1) != 0, pixels[x + i]);
}

template <bool kBad, class Pixel>
double snr_of(const MaskView& mask, const Pixel* pixels, const Peak& peak, std::uint64_t& pixels_read) {
  const Area outer = grown(mask, peak.y0, peak.x0, peak.y1, peak.x1, kRingGap + kRingWidth);
  Area inner = grown(mask, peak.y0, peak.x0, peak.y1, peak.x1, kRingGap);
  if (outer.y0 >= outer.y1 || outer.x0 >= outer.x1) return 0;
  inner.x0 = std::min(inner.x0, outer.x1);  // where the box reaches into the padding
  inner.y0 = std::min(inner.y0, outer.y1);

  const std::size_t words_per_row = mask.words_per_row();
  RowBits<kBad> bits{mask.panel(peak.panel) + outer.y0 * words_per_row, nullptr};
  if constexpr (kBad) bits.bad = mask.bad_of_panel(peak.panel) + outer.y0 * words_per_row;
  const Pixel* row = pixels + (std::size_t{peak.panel} * mask.height + outer.y0) * mask.width;
  const bool whole_sides = inner.x0 - outer.x0 == kRingWidth && outer.x1 - inner.x1 == kRingWidth;
  Moments<Pixel> moments;
  for (std::uint32_t y = outer.y0; y < outer.y1; ++y, row += mask.width) {
    if (y < inner.y0 || y >= inner.y1) {
      add_columns(bits, row, outer.x0, outer.x1, moments);
    } else if (whole_sides) {
      add_side(bits, row, outer.x0, moments);
      add_side(bits, row, inner.x1, moments);
    } else {
      add_columns(bits, row, outer.x0, inner.x0, moments);
      add_columns(bits, row, inner.x1, outer.x1, moments);
    }
    bits.mask += words_per_row;
    if constexpr (kBad) bits.bad += words_per_row;
  }
  pixels_read += std::uint64_t{outer.y1 - outer.y0} * (outer.x1 - outer.x0) -
                 std::uint64_t{inner.y1 - inner.y0} * (inner.x1 - inner.x0);
  if (moments.n < std::int64_t{kRingMinPixels}) return 0;

  const auto used = static_cast<double>(moments.n);
  const double offset = static_cast<double>(moments.sum) / used;  // of the mean, from origin
  double variance = std::max(0.0, static_cast<double>(moments.squares) / used - offset * offset);
  if constexpr (std::is_integral_v<Pixel>) variance = std::max(variance, 1.0 / 12.0);
  if (!(variance > 0)) return 0;
  const auto n = static_cast<double>(peak.n_pixels);
  return (peak.sum - n * (static_cast<double>(moments.origin) + offset)) / std::sqrt(variance * n);
}

template <class Pixel>
double snr_in(const MaskView& mask, const ImageView& image, const Peak& peak, std::uint64_t& pixels_read) {
  const auto* const pixels = static_cast<const Pixel*>(image.pixels);
  return mask.bad == nullptr ? snr_of<false>(mask, pixels, peak, pixels_read)
                             : snr_of<true>(mask, pixels, peak, pixels_read);
}

bool is_local(std::uint32_t y0, std::uint32_t x0, std::uint32_t y1, std::uint32_t x1) {
  return y1 - y0 < kRingMaxBox && x1 - x0 < kRingMaxBox;
}

}  // namespace

double local_snr(const MaskView& mask, const ImageView& image, const Peak& peak, std::uint64_t& pixels_read) {
  if (!image.present() || !std::isfinite(peak.sum) || !is_local(peak.y0, peak.x0, peak.y1, peak.x1)) return 0;
  switch (image.type) {
    case PixelType::uint16:
      return snr_in<std::uint16_t>(mask, image, peak, pixels_read);
    case PixelType::int16:
      return snr_in<std::int16_t>(mask, image, peak, pixels_read);
    case PixelType::float32:
      return snr_in<float>(mask, image, peak, pixels_read);
  }
  return 0;
}

void prefetch_ring(const MaskView& mask, const ImageView& image, std::uint32_t panel, std::uint32_t y0,
                   std::uint32_t x0, std::uint32_t y1, std::uint32_t x1) {
  if (!image.present() || !is_local(y0, x0, y1, x1)) return;
  const Area outer = grown(mask, y0, x0, y1, x1, kRingGap + kRingWidth);
  const std::size_t bytes = size_of(image.type);
  const auto* panel_pixels =
      static_cast<const std::byte*>(image.pixels) + std::size_t{panel} * mask.height * mask.width * bytes;
  for (std::uint32_t y = outer.y0; y < outer.y1; ++y) {
    const std::byte* row = panel_pixels + std::size_t{y} * mask.width * bytes;
    const std::byte* const end = row + outer.x1 * bytes;
    for (const std::byte* at = row + outer.x0 * bytes; at < end; at += kCacheLine) __builtin_prefetch(at);
    if (outer.x0 < outer.x1) __builtin_prefetch(end - 1);
  }
}

}  // namespace peaknet::writer
