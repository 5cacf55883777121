// A picture in memory, drawn with Cairo. Lengths are pixels, y counts downwards, (0, 0) is the outer corner of the
// first pixel. What lies beyond the edges is left out. Letters are those of the system's sans-serif font; Cairo has a
// font of its own where none is installed.
//
// Threads: one at a time. Errors: a step that Cairo cannot carry out (memory) leaves the canvas broken, and status()
// and write_png() say so.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>

#include "base/result.hpp"

using cairo_t = struct _cairo;
using cairo_surface_t = struct _cairo_surface;

namespace peaknet::imaging {

struct Colour {
  std::uint8_t red = 0;
  std::uint8_t green = 0;
  std::uint8_t blue = 0;
  bool operator==(const Colour&) const = default;
};

struct Point {
  double x = 0;
  double y = 0;
};

struct Area {
  double left = 0;
  double top = 0;
  double width = 0;
  double height = 0;
  double right() const { return left + width; }
  double bottom() const { return top + height; }
};

// What the pixels of another picture are, row by row, and where they go: the outer corner of the first, and the steps
// to the next column and to the next row.
struct Patch {
  std::span<const Colour> pixels;
  std::uint32_t width = 0;
  std::uint32_t height = 0;
  Point corner;
  Point column{1, 0};
  Point row{0, 1};
};

class Canvas {
 public:
  static constexpr std::uint32_t kLargestSide = 32767;  // Cairo's

  // Errors: picture.not-made.
  static Result<Canvas> make(std::uint32_t width, std::uint32_t height, Colour fill);

  std::uint32_t width() const;
  std::uint32_t height() const;
  Colour at(std::uint32_t x, std::uint32_t y) const;  // both within the canvas

  void fill(const Area& area, Colour colour);
  void outline(const Area& area, double thickness, Colour colour);
  void draw_line(Point from, Point to, double thickness, Colour colour);
  void draw_polygon(std::span<const Point> corners, double thickness, Colour colour);  // closed, not filled
  void draw_circle(Point centre, double radius, double thickness, Colour colour);
  // Each pixel of the canvas shows the one pixel of the patch that lies at its centre: values are never mixed.
  void paint(const Patch& patch);

  // `corner` is the upper left corner of the line. No line breaks; what is no UTF-8, or no character that prints, is
  // shown as '?'. `halo`: white around the letters, for text on an image.
  void draw_text(Point corner, double size, std::string_view text, Colour colour, bool halo = false);
  double text_width(double size, std::string_view text) const;
  double line_height(double size) const;

  // While it lives, nothing outside of the area is drawn.
  class Clip {
   public:
    Clip(Canvas& canvas, const Area& area);
    ~Clip();
    Clip(const Clip&) = delete;
    Clip& operator=(const Clip&) = delete;

   private:
    Canvas& canvas_;
  };

  // Errors: picture.not-made.
  Status status() const;
  // The picture as PNG, piece by piece; `write` says false to end it. Errors: picture.not-made, also when `write` did.
  Status encode_png(const std::function<bool(const unsigned char*, unsigned)>& write) const;

 private:
  struct Free {
    void operator()(cairo_surface_t* surface) const;
    void operator()(cairo_t* context) const;
  };
  void ink(Colour colour);

  std::unique_ptr<cairo_surface_t, Free> surface_;
  std::unique_ptr<cairo_t, Free> context_;
};

}  // namespace peaknet::imaging
