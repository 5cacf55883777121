#include "writer/peaks/mask_bits.hpp"

#include <cassert>
#include <cstddef>

#include "writer/peaks/frame_view.hpp"

namespace peaknet::writer {

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
    for (std::size_t x = 0; x < width; ++x) to[x] = static_cast<std::uint8_t>(from[x / 64] >> (x % 64) & 1);
  }
}

}  // namespace peaknet::writer
