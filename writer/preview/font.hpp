// Text for the preview's header: a 5 x 7 bitmap font for printable ASCII, so that no font has to be installed on a
// beamline machine. A character outside of ASCII 32..126 is drawn as '?', each of its bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "writer/preview/canvas.hpp"

namespace peaknet::writer {

// Pixels from one character to the next and from one line to the next, at scale 1.
inline constexpr std::uint32_t kTextAdvance = 6;
inline constexpr std::uint32_t kTextLine = 10;

// (x, y) is the upper left corner of the first character; no line breaks.
void draw_text(RgbImage& picture, std::int64_t x, std::int64_t y, std::uint32_t scale, std::string_view text,
               Rgb colour);

// Breaks each line into pieces of at most `most` (> 0) characters, at spaces where there are any.
std::vector<std::string> wrap_lines(const std::vector<std::string>& lines, std::size_t most);

}  // namespace peaknet::writer
