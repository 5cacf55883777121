// A picture of one event for people: a header, the image with its panels where they are on the detector (or side by
// side in a grid), a circle around each peak, a bar that says what grey is which value, and rings of resolution where
// they can be known. Pixels without data have a colour of their own. An image of more than kLargestSide pixels is made
// smaller, each pixel showing the brightest of those it stands for; a very small one is enlarged.
//
// For a hit now and then, not for every frame. Pure function, no state.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "imaging/assembly.hpp"
#include "imaging/canvas.hpp"
#include "imaging/grey_scale.hpp"
#include "imaging/reduced_panel.hpp"
#include "imaging/resolution_rings.hpp"

namespace peaknet::imaging {

inline constexpr std::uint32_t kLargestSide = 2048;
inline constexpr Colour kNoDataColour{125, 165, 225};
inline constexpr Colour kNoPanelColour{228, 233, 240};
inline constexpr Colour kPeakColour{225, 30, 40};
inline constexpr Colour kRingColour{0, 120, 200};

struct FrameRequest {
  Image image;                             // without pixels: only what is known of its panels and peaks is drawn
  Assembly assembly;                       // its panels lie within the image
  std::optional<Diffraction> diffraction;  // with a beam: rings are drawn
  std::vector<Point> peaks;                // in the image, an integer is the middle of a pixel
  std::vector<std::string> header;         // lines, broken at spaces where they are too long
  std::uint32_t largest_side = kLargestSide;
};

// From the plane of the detector to the picture.
struct View {
  Area plane;             // what is shown of it
  std::uint32_t bin = 1;  // so many pixels of the image in each direction become one
  double scale = 1;       // pixels of the picture for one of the detector
  Area area;              // where it is on the picture
  Point at(Point on_plane) const {
    return {area.left + (on_plane.x - plane.left) * scale, area.top + (on_plane.y - plane.top) * scale};
  }
};

struct FramePicture {
  Canvas canvas;
  View view;        // of no size where there are no panels
  GreyScale scale;  // of the values that are shown
};

// A peak that lies in no panel, or nowhere (NaN), is left out; so is a panel that the image does not hold. An assembly
// without an extent is a header alone. Errors: picture.not-made.
Result<FramePicture> draw_frame(const FrameRequest& request);

}  // namespace peaknet::imaging
