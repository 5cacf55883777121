// Geometry: the shape of every frame of a pool and what follows from it. A value; computed the same way by whoever
// creates the pool and by whoever attaches, so nothing that is read from shared memory is ever used as an offset.
//
// A slot: [ image: C*H*W pixels, row-major, producer's type | pad to 4 KiB | mask: one bit per pixel | pad to 4 KiB |
// side area: columns of the event (columns.hpp), where the pool has any | pad to 4 KiB ].
// Mask layout: panel by panel, row by row; a row is words_per_row() = ceil(W/64) little-endian 64-bit words, bit (x %
// 64) of word (x / 64) is pixel x, bits beyond W are 0.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/limits.hpp"
#include "base/pixel_type.hpp"
#include "base/result.hpp"

namespace peaknet::shm {

using peaknet::kMaxSlots;
inline constexpr std::size_t kPage = 4096;
inline constexpr std::size_t kPayloadAlignment = std::size_t{2} << 20;

struct Geometry {
  std::uint32_t slots = 0;
  std::uint32_t panels = 0;  // C
  std::uint32_t height = 0;  // H, slow-scan pixels of one panel
  std::uint32_t width = 0;   // W, fast-scan pixels
  PixelType pixel_type = PixelType::uint16;
  std::uint32_t columns = 0;     // of the pool's table
  std::uint32_t side_bytes = 0;  // what they take in a slot; 0 without any

  // Errors: pool.bad-geometry, with the limit that is broken. Everything below may be used only after this said ok.
  Status check() const;

  std::size_t pixels() const { return std::size_t{panels} * height * width; }
  std::size_t image_bytes() const { return pixels() * size_of(pixel_type); }
  std::size_t words_per_row() const { return (std::size_t{width} + 63) / 64; }
  std::size_t mask_words() const { return std::size_t{panels} * height * words_per_row(); }
  std::size_t mask_bytes() const { return mask_words() * 8; }
  std::size_t mask_offset() const { return round_up(image_bytes(), kPage); }
  std::size_t side_offset() const { return mask_offset() + round_up(mask_bytes(), kPage); }
  std::size_t slot_stride() const { return side_offset() + round_up(side_bytes, kPage); }

  bool same_frames(const Geometry& other) const {
    return panels == other.panels && height == other.height && width == other.width && pixel_type == other.pixel_type;
  }
  bool operator==(const Geometry&) const = default;

  static constexpr std::size_t round_up(std::size_t value, std::size_t unit) {
    return (value + unit - 1) / unit * unit;
  }
};

// "uint16 [1,512,512]", "uint16 [1,512,512] with 3 columns"
std::string describe(const Geometry& geometry);

}  // namespace peaknet::shm
