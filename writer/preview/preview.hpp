// A picture of one event for people: the image, a ring around each peak, and a header. Panels lie side by side in a
// nearly square grid with a line between them (in the order of the data, not where they are on the detector). Pictures
// with a side of more than 2048 pixels are made smaller, each pixel showing the brightest of those it stands for, so
// that no peak disappears; very small ones are enlarged.
//
// For a hit now and then, not for every frame. Pure function, no state.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "writer/peaks/frame_view.hpp"
#include "writer/preview/canvas.hpp"

namespace peaknet::writer {

// Pixel indices within the panel, an integer is the centre of a pixel.
struct PreviewPeak {
  std::uint32_t panel = 0;
  double y = 0;
  double x = 0;
};

// `header` lines stand above the picture, broken where they are too long; below them a line of its own says what white,
// grey and black are and by how much the image was made smaller or larger. Without an image only the rings are drawn. A
// peak that lies in no panel, or nowhere (NaN), is left out.
RgbImage render_preview(const ImageView& image, std::uint32_t panels, std::uint32_t height, std::uint32_t width,
                        std::span<const PreviewPeak> peaks, const std::vector<std::string>& header);

}  // namespace peaknet::writer
