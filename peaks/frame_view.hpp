// What the peak finder and the preview look at: the bit mask and the pixels of one frame, wherever they lie (a slot of
// the pool, a file). Views only: they own nothing, copy nothing, and must not outlive the memory.
//
// The memory may be a slot that another process can write. The slot's owner is this process, so nobody should; should
// one do so nevertheless, the numbers found are worthless, but no access leaves the frame: every mask word is loaded
// once (load_word), sizes come from the view and never from the memory, and the bits beyond a row's width are ignored.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/pixel_type.hpp"

namespace peaknet::writer {

// Mask words in a row of `width` pixels.
constexpr std::size_t mask_words_per_row(std::uint32_t width) { return (std::size_t{width} + 63) / 64; }

// The bits of a row's last word that are pixels; the others are padding of unknown content.
constexpr std::uint64_t mask_tail(std::uint32_t width) {
  return width % 64 == 0 ? ~std::uint64_t{0} : (std::uint64_t{1} << (width % 64)) - 1;
}

// One load, which the compiler may not repeat: two readings of a word that changes could contradict each other.
inline std::uint64_t load_word(const std::uint64_t* word) { return __atomic_load_n(word, __ATOMIC_RELAXED); }

// Per panel `height` rows of mask_words_per_row(width) little-endian words; bit x % 64 of word x / 64 is pixel x.
struct MaskView {
  const std::uint64_t* words = nullptr;
  std::uint32_t panels = 0;
  std::uint32_t height = 0;
  std::uint32_t width = 0;
  // The part of each panel that the detector has; the rest is padding for the network. Peaks whose unweighted centre
  // has y >= valid_height or x >= valid_width are dropped.
  std::uint32_t valid_height = 0;
  std::uint32_t valid_width = 0;
  // The pixels that are no data, whatever `words` says of them: bits laid out as `words`; null: there are none.
  const std::uint64_t* bad = nullptr;

  std::size_t words_per_row() const { return mask_words_per_row(width); }
  std::size_t words_per_panel() const { return words_per_row() * height; }
  const std::uint64_t* panel(std::uint32_t index) const { return words + index * words_per_panel(); }
  const std::uint64_t* bad_of_panel(std::uint32_t index) const {
    return bad == nullptr ? nullptr : bad + index * words_per_panel();
  }
};

// A mask without padding.
constexpr MaskView whole_mask(const std::uint64_t* words, std::uint32_t panels, std::uint32_t height,
                              std::uint32_t width) {
  return {words, panels, height, width, height, width, nullptr};
}

// Panels x height x width pixels in C order, aligned for their type; the geometry is the mask's. No pixels: absent. A
// type that came from outside this process has gone through pixel_type_from().
struct ImageView {
  const void* pixels = nullptr;
  PixelType type = PixelType::uint16;

  bool present() const { return pixels != nullptr; }
};

}  // namespace peaknet::writer
