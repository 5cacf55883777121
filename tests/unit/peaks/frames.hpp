// Frames for tests of the peak finder: a class map drawn by hand or by rule, with its bits and its pixels.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "peaks/frame_view.hpp"
#include "peaks/mask_bits.hpp"

namespace peaknet::writer::test {

struct TestFrame {
  std::uint32_t panels = 1;
  std::uint32_t height = 0;
  std::uint32_t width = 0;
  std::vector<std::uint8_t> classes = {};
  std::vector<std::uint64_t> words = {};

  MaskView mask() const { return whole_mask(words.data(), panels, height, width); }
  void pack() { pack_mask(classes, panels, height, width, words); }
};

// '#' is peak; rows are separated by '/', panels by '|'; all of the same size.
inline TestFrame draw(std::string_view text) {
  TestFrame frame;
  std::uint32_t x = 0;
  std::uint32_t y = 0;
  for (const char c : text) {
    if (c == '/' || c == '|') {
      x = 0;
      ++y;
      if (c == '|') {
        ++frame.panels;
        y = 0;
      }
      continue;
    }
    frame.classes.push_back(c == '#' ? 1 : 0);
    frame.width = ++x;
    frame.height = y + 1;
  }
  frame.pack();
  return frame;
}

// One panel; rule(y, x) says what is peak.
template <class Rule>
TestFrame draw(std::uint32_t height, std::uint32_t width, Rule&& rule) {
  TestFrame frame{.height = height, .width = width};
  frame.classes.reserve(std::size_t{height} * width);
  for (std::uint32_t y = 0; y < height; ++y) {
    for (std::uint32_t x = 0; x < width; ++x) frame.classes.push_back(rule(y, x) ? 1 : 0);
  }
  frame.pack();
  return frame;
}

}  // namespace peaknet::writer::test
