#include "peaks/mask_bits.hpp"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstddef>
#include <cstring>

#include "peaks/frame_view.hpp"

namespace peaknet::writer {
namespace {

static_assert(std::endian::native == std::endian::little, "the lowest bit is the first byte");

// Eight bits to eight bytes of 0 or 1.
std::uint64_t spread(std::uint8_t bits) {
  const std::uint64_t alone = bits * 0x0101'0101'0101'0101U & 0x8040'2010'0804'0201U;  // bit i in byte i
  return (alone + 0x7f7f'7f7f'7f7f'7f7fU) >> 7 & 0x0101'0101'0101'0101U;
}

}  // namespace

void pack_mask(std::span<const std::uint8_t> classes, std::uint32_t panels, std::uint32_t height, std::uint32_t width,
               std::vector<std::uint64_t>& words) {
  const std::size_t rows = std::size_t{panels} * height;
  const std::size_t per_row = mask_words_per_row(width);
  assert(classes.size() >= rows * width);
  words.assign(rows * per_row, 0);
  for (std::size_t row = 0; row < rows; ++row) {
    const std::uint8_t* from = classes.data() + row * width;
    std::uint64_t* to = words.data() + row * per_row;
    for (std::size_t x = 0; x < width; ++x) to[x / 64] |= std::uint64_t{from[x] == 1} << (x % 64);
  }
}

void unpack_mask(std::span<const std::uint64_t> words, std::uint32_t panels, std::uint32_t height, std::uint32_t width,
                 std::vector<std::uint8_t>& classes) {
  const std::size_t rows = std::size_t{panels} * height;
  const std::size_t per_row = mask_words_per_row(width);
  assert(words.size() >= rows * per_row);
  classes.resize(rows * width);
  for (std::size_t row = 0; row < rows; ++row) {
    const std::uint64_t* from = words.data() + row * per_row;
    std::uint8_t* to = classes.data() + row * width;
    for (std::size_t x = 0; x < width; x += 8) {
      const std::uint64_t bytes = spread(static_cast<std::uint8_t>(from[x / 64] >> (x % 64)));
      std::memcpy(to + x, &bytes, std::min<std::size_t>(8, width - x));
    }
  }
}

}  // namespace peaknet::writer
