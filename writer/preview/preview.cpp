#include "writer/preview/preview.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <limits>

#include "writer/preview/contrast.hpp"
#include "writer/preview/font.hpp"

namespace peaknet::writer {
namespace {

constexpr std::uint32_t kLargestSide = 2048;
constexpr std::uint32_t kSmallestSide = 512;
constexpr std::uint32_t kMostZoom = 8;
constexpr std::uint32_t kNarrowest = 480;  // room for a header
constexpr std::uint32_t kTextScale = 2;
constexpr std::uint32_t kMargin = 8;
constexpr double kRingRadius = 8;
constexpr double kRingThickness = 1.6;
constexpr Rgb kPaper{255, 255, 255};
constexpr Rgb kInk{20, 20, 20};
constexpr Rgb kFaintInk{110, 110, 110};
constexpr Rgb kGap{150, 180, 215};
constexpr Rgb kRing{225, 30, 40};

// Where the panels go. Lengths in pixels of the data unless said otherwise.
struct Layout {
  std::uint32_t columns = 1;
  std::uint32_t rows = 1;
  std::uint32_t bin = 1;          // so many pixels of the data in each direction become one
  std::uint32_t zoom = 1;         // or one becomes so many
  std::uint32_t panel_width = 0;  // on the picture
  std::uint32_t panel_height = 0;
  std::uint32_t gap = 0;

  std::uint32_t width() const { return columns * (panel_width + gap) - gap; }
  std::uint32_t height() const { return rows * (panel_height + gap) - gap; }
  std::uint32_t left(std::uint32_t panel) const { return panel % columns * (panel_width + gap); }
  std::uint32_t top(std::uint32_t panel) const { return panel / columns * (panel_height + gap); }
  // On the picture, within the panel: the pixel's centre stays in the middle of what shows it.
  double place(double index) const { return (index + 0.5) * zoom / bin - 0.5; }
};

Layout lay_out(std::uint32_t panels, std::uint32_t height, std::uint32_t width) {
  Layout layout;
  double best = std::numeric_limits<double>::infinity();
  for (std::uint32_t columns = 1; columns <= panels; ++columns) {
    const std::uint32_t rows = (panels + columns - 1) / columns;
    const double unevenness =
        std::abs(std::log(static_cast<double>(columns) * width / (static_cast<double>(rows) * height)));
    if (unevenness < best) {
      best = unevenness;
      layout.columns = columns;
      layout.rows = rows;
    }
  }
  layout.gap = panels > 1 ? 1 : 0;
  const std::uint64_t side = std::max(std::uint64_t{layout.columns} * (width + layout.gap),
                                      std::uint64_t{layout.rows} * (height + layout.gap));
  layout.bin = static_cast<std::uint32_t>((side + kLargestSide - 1) / kLargestSide);
  if (layout.bin <= 1) {
    layout.bin = 1;
    layout.zoom = static_cast<std::uint32_t>(std::clamp<std::uint64_t>(kSmallestSide / side, 1, kMostZoom));
  }
  layout.panel_width = (width + layout.bin - 1) / layout.bin * layout.zoom;
  layout.panel_height = (height + layout.bin - 1) / layout.bin * layout.zoom;
  return layout;
}

// The image of all panels made smaller by `bin`, each value the largest of those it stands for; NaN where none is a
// number.
template <class Pixel>
std::vector<float> brightest(const Pixel* pixels, std::uint32_t panels, std::uint32_t height, std::uint32_t width,
                             std::uint32_t bin) {
  const std::uint32_t small_height = (height + bin - 1) / bin;
  const std::uint32_t small_width = (width + bin - 1) / bin;
  std::vector<float> small(std::size_t{panels} * small_height * small_width, std::numeric_limits<float>::quiet_NaN());
  for (std::uint32_t panel = 0; panel < panels; ++panel) {
    for (std::uint32_t y = 0; y < height; ++y) {
      const Pixel* from = pixels + (std::size_t{panel} * height + y) * width;
      float* to = small.data() + (std::size_t{panel} * small_height + y / bin) * small_width;
      for (std::uint32_t x = 0; x < width; ++x) {
        const auto value = static_cast<float>(from[x]);
        if (std::isfinite(value) && !(value <= to[x / bin])) to[x / bin] = value;
      }
    }
  }
  return small;
}

std::vector<float> brightest(const ImageView& image, std::uint32_t panels, std::uint32_t height, std::uint32_t width,
                             std::uint32_t bin) {
  switch (image.type) {
    case PixelType::uint16:
      return brightest(static_cast<const std::uint16_t*>(image.pixels), panels, height, width, bin);
    case PixelType::int16:
      return brightest(static_cast<const std::int16_t*>(image.pixels), panels, height, width, bin);
    case PixelType::float32:
      return brightest(static_cast<const float*>(image.pixels), panels, height, width, bin);
  }
  return {};
}

std::string legend(const Layout& layout, const Shades& shades) {
  std::string line = "no image";
  if (!shades.grey.empty()) {
    std::array<char, 128> text{};
    std::snprintf(text.data(), text.size(), "ground %.4g (white)", static_cast<double>(shades.lightest_ground));
    line = text.data();
    if (shades.darkest_ground > shades.lightest_ground) {
      std::snprintf(text.data(), text.size(), " to %.4g (grey)", static_cast<double>(shades.darkest_ground));
      line += text.data();
    }
    std::snprintf(text.data(), text.size(), ", black: %.0f sigma above it", kBlackAtSigmas);
    line += text.data();
  }
  if (layout.bin > 1)
    line += ", brightest of " + std::to_string(layout.bin) + " x " + std::to_string(layout.bin) + " pixels";
  if (layout.zoom > 1) line += ", " + std::to_string(layout.zoom) + " times enlarged";
  return line;
}

// The upper left corner of the grid is at (left, top).
void draw_panels(RgbImage& picture, std::int64_t left, std::int64_t top, const Layout& layout, std::uint32_t panels,
                 const Shades& shades) {
  picture.fill_rectangle(left, top, layout.width(), layout.height(), kGap);
  const std::int64_t zoom = layout.zoom;
  const std::int64_t columns = layout.panel_width / layout.zoom;
  const std::int64_t rows = layout.panel_height / layout.zoom;
  std::size_t at = 0;
  for (std::uint32_t panel = 0; panel < panels; ++panel) {
    for (std::int64_t y = 0; y < rows; ++y) {
      for (std::int64_t x = 0; x < columns; ++x, ++at) {
        const std::uint8_t grey = shades.grey.empty() ? 255 : shades.grey[at];
        picture.fill_rectangle(left + layout.left(panel) + x * zoom, top + layout.top(panel) + y * zoom, zoom, zoom,
                               {grey, grey, grey});
      }
    }
  }
  for (std::uint32_t unused = panels; unused < layout.columns * layout.rows; ++unused) {
    picture.fill_rectangle(left + layout.left(unused), top + layout.top(unused), layout.panel_width,
                           layout.panel_height, kPaper);
  }
}

}  // namespace

RgbImage render_preview(const ImageView& image, std::uint32_t panels, std::uint32_t height, std::uint32_t width,
                        std::span<const PreviewPeak> peaks, const std::vector<std::string>& header) {
  Layout layout;
  Shades shades;
  const bool has_pixels = panels > 0 && height > 0 && width > 0;
  if (has_pixels) layout = lay_out(panels, height, width);
  if (has_pixels && image.present()) {
    const float least_sigma = image.type == PixelType::float32 ? 0 : 1;
    shades = shade(brightest(image, panels, height, width, layout.bin), panels, layout.panel_height / layout.zoom,
                   layout.panel_width / layout.zoom, least_sigma);
  }
  const std::uint32_t picture_width = std::max(has_pixels ? layout.width() : 0, kNarrowest);
  const std::size_t characters = (picture_width - 2 * kMargin) / (kTextAdvance * kTextScale);
  const std::vector<std::string> lines = wrap_lines(header, characters);
  const std::vector<std::string> last_lines = wrap_lines({legend(layout, shades)}, characters);
  const auto text_height = static_cast<std::uint32_t>(lines.size() + last_lines.size()) * kTextLine * kTextScale;
  const std::uint32_t top = text_height + 2 * kMargin;

  RgbImage picture(picture_width, top + (has_pixels ? layout.height() : 0), kPaper);
  std::int64_t text_y = kMargin;
  const auto print = [&](const std::vector<std::string>& some, Rgb ink) {
    for (const std::string& line : some) {
      draw_text(picture, kMargin, text_y, kTextScale, line, ink);
      text_y += std::int64_t{kTextLine} * kTextScale;
    }
  };
  print(lines, kInk);
  print(last_lines, kFaintInk);
  if (!has_pixels) return picture;

  const std::uint32_t left = (picture_width - layout.width()) / 2;
  picture.fill_rectangle(left, std::int64_t{top} - 1, layout.width(), 1, kGap);
  draw_panels(picture, left, top, layout, panels, shades);
  for (const PreviewPeak& peak : peaks) {
    const bool in_panel =
        peak.panel < panels && peak.y >= -0.5 && peak.y < height - 0.5 && peak.x >= -0.5 && peak.x < width - 0.5;
    if (!in_panel) continue;
    picture.draw_ring(left + layout.left(peak.panel) + layout.place(peak.x),
                      top + layout.top(peak.panel) + layout.place(peak.y), kRingRadius, kRingThickness, kRing);
  }
  return picture;
}

}  // namespace peaknet::writer
