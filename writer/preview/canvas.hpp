// A picture in memory, 8 bits a channel, and the strokes that pictures here need. Everything is cut at the edges.
// Thread-compatible.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace peaknet::writer {

struct Rgb {
  std::uint8_t red = 0;
  std::uint8_t green = 0;
  std::uint8_t blue = 0;
  bool operator==(const Rgb&) const = default;
};

class RgbImage {
 public:
  RgbImage(std::uint32_t width, std::uint32_t height, Rgb fill)
      : width_(width), height_(height), pixels_(std::size_t{width} * height, fill) {}

  std::uint32_t width() const { return width_; }
  std::uint32_t height() const { return height_; }
  // Rows from the top, three bytes a pixel, no gaps.
  const std::uint8_t* bytes() const { return &pixels_.data()->red; }
  Rgb at(std::uint32_t x, std::uint32_t y) const { return pixels_[std::size_t{y} * width_ + x]; }
  void set(std::uint32_t x, std::uint32_t y, Rgb colour) { pixels_[std::size_t{y} * width_ + x] = colour; }

  void fill_rectangle(std::int64_t x, std::int64_t y, std::int64_t width, std::int64_t height, Rgb colour);

  // From point to point, `thickness` pixels wide, with hard edges.
  void draw_line(double x0, double y0, double x1, double y1, std::int64_t thickness, Rgb colour);

  // A ring with soft edges. (x, y) is its middle; an integer is the centre of a pixel.
  void draw_ring(double x, double y, double radius, double thickness, Rgb colour);

 private:
  std::uint32_t width_;
  std::uint32_t height_;
  std::vector<Rgb> pixels_;
};
static_assert(sizeof(Rgb) == 3);

}  // namespace peaknet::writer
