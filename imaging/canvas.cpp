#include "imaging/canvas.hpp"

#include <cairo.h>

#include <cstring>
#include <string>
#include <vector>

namespace peaknet::imaging {
namespace {

Error not_made(const std::string& what, cairo_status_t why) {
  return {"picture.not-made", what + ": " + cairo_status_to_string(why), "no picture was made",
          "free memory on this machine, or a smaller picture"};
}

std::uint32_t packed(Colour colour) {
  return std::uint32_t{colour.red} << 16 | std::uint32_t{colour.green} << 8 | colour.blue;
}

// Bytes of the UTF-8 character that `text` begins with; 0 if it begins with none that prints.
std::size_t character_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  const unsigned lead = byte(0);
  if (lead < 0x80) return lead >= 0x20 && lead != 0x7f ? 1 : 0;
  const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4) return 0;
  // The shortest form alone, no surrogates, nothing beyond U+10FFFF.
  const unsigned least = lead == 0xe0 ? 0xa0U : lead == 0xf0 ? 0x90U : 0x80U;
  const unsigned most = lead == 0xed ? 0x9fU : lead == 0xf4 ? 0x8fU : 0xbfU;
  if (byte(1) < least || byte(1) > most || (lead == 0xc2 && byte(1) < 0xa0)) return 0;
  for (std::size_t i = 2; i < length; ++i) {
    if ((byte(i) & 0xc0U) != 0x80) return 0;
  }
  return length;
}

std::string printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t length = character_length(text);
    if (length == 0) {
      out += '?';
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return out;
}

void choose_font(cairo_t* context, double size) {
  cairo_select_font_face(context, "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
  cairo_set_font_size(context, size);
}

using WriteBytes = std::function<bool(const unsigned char*, unsigned)>;

cairo_status_t hand_on(void* closure, const unsigned char* bytes, unsigned length) {
  return (*static_cast<const WriteBytes*>(closure))(bytes, length) ? CAIRO_STATUS_SUCCESS : CAIRO_STATUS_WRITE_ERROR;
}

}  // namespace

void Canvas::Free::operator()(cairo_surface_t* surface) const { cairo_surface_destroy(surface); }
void Canvas::Free::operator()(cairo_t* context) const { cairo_destroy(context); }

Result<Canvas> Canvas::make(std::uint32_t width, std::uint32_t height, Colour fill) {
  const std::string size = std::to_string(width) + " x " + std::to_string(height) + " pixels";
  if (width > kLargestSide || height > kLargestSide)
    return not_made("cannot make a picture of " + size, CAIRO_STATUS_INVALID_SIZE);
  Canvas canvas;
  canvas.surface_.reset(
      cairo_image_surface_create(CAIRO_FORMAT_RGB24, static_cast<int>(width), static_cast<int>(height)));
  canvas.context_.reset(cairo_create(canvas.surface_.get()));
  if (const auto status = cairo_status(canvas.context_.get()); status != CAIRO_STATUS_SUCCESS)
    return not_made("cannot make a picture of " + size, status);
  canvas.ink(fill);
  cairo_paint(canvas.context_.get());
  return canvas;
}

std::uint32_t Canvas::width() const {
  return static_cast<std::uint32_t>(cairo_image_surface_get_width(surface_.get()));
}
std::uint32_t Canvas::height() const {
  return static_cast<std::uint32_t>(cairo_image_surface_get_height(surface_.get()));
}

Colour Canvas::at(std::uint32_t x, std::uint32_t y) const {
  cairo_surface_flush(surface_.get());
  const unsigned char* row = cairo_image_surface_get_data(surface_.get()) +
                             std::size_t{y} * static_cast<std::size_t>(cairo_image_surface_get_stride(surface_.get()));
  std::uint32_t pixel = 0;
  std::memcpy(&pixel, row + std::size_t{x} * sizeof pixel, sizeof pixel);
  return {static_cast<std::uint8_t>(pixel >> 16), static_cast<std::uint8_t>(pixel >> 8),
          static_cast<std::uint8_t>(pixel)};
}

void Canvas::ink(Colour colour) {
  cairo_set_source_rgb(context_.get(), colour.red / 255.0, colour.green / 255.0, colour.blue / 255.0);
}

void Canvas::fill(const Area& area, Colour colour) {
  ink(colour);
  cairo_set_antialias(context_.get(), CAIRO_ANTIALIAS_NONE);
  cairo_rectangle(context_.get(), area.left, area.top, area.width, area.height);
  cairo_fill(context_.get());
  cairo_set_antialias(context_.get(), CAIRO_ANTIALIAS_DEFAULT);
}

void Canvas::outline(const Area& area, double thickness, Colour colour) {
  ink(colour);
  cairo_set_line_width(context_.get(), thickness);
  cairo_rectangle(context_.get(), area.left, area.top, area.width, area.height);
  cairo_stroke(context_.get());
}

void Canvas::draw_line(Point from, Point to, double thickness, Colour colour) {
  ink(colour);
  cairo_set_line_width(context_.get(), thickness);
  cairo_move_to(context_.get(), from.x, from.y);
  cairo_line_to(context_.get(), to.x, to.y);
  cairo_stroke(context_.get());
}

void Canvas::draw_polygon(std::span<const Point> corners, double thickness, Colour colour) {
  ink(colour);
  cairo_set_line_width(context_.get(), thickness);
  for (const Point& corner : corners) cairo_line_to(context_.get(), corner.x, corner.y);
  cairo_close_path(context_.get());
  cairo_stroke(context_.get());
}

void Canvas::draw_circle(Point centre, double radius, double thickness, Colour colour) {
  constexpr double kWholeTurn = 6.283185307179586;
  ink(colour);
  cairo_set_line_width(context_.get(), thickness);
  cairo_new_sub_path(context_.get());
  cairo_arc(context_.get(), centre.x, centre.y, radius, 0, kWholeTurn);
  cairo_stroke(context_.get());
}

void Canvas::paint(const Patch& patch) {
  const std::unique_ptr<cairo_surface_t, Free> source(
      cairo_image_surface_create(CAIRO_FORMAT_RGB24, static_cast<int>(patch.width), static_cast<int>(patch.height)));
  unsigned char* const bytes = cairo_image_surface_get_data(source.get());
  if (bytes != nullptr) {
    const auto stride = static_cast<std::size_t>(cairo_image_surface_get_stride(source.get()));
    for (std::size_t i = 0; i < patch.pixels.size(); ++i) {
      const std::uint32_t pixel = packed(patch.pixels[i]);
      std::memcpy(bytes + i / patch.width * stride + i % patch.width * sizeof pixel, &pixel, sizeof pixel);
    }
    cairo_surface_mark_dirty(source.get());
  }
  cairo_t* const context = context_.get();
  cairo_save(context);
  cairo_matrix_t matrix;
  cairo_matrix_init(&matrix, patch.column.x, patch.column.y, patch.row.x, patch.row.y, patch.corner.x, patch.corner.y);
  cairo_transform(context, &matrix);
  cairo_set_source_surface(context, source.get(), 0, 0);
  cairo_pattern_set_filter(cairo_get_source(context), CAIRO_FILTER_NEAREST);
  cairo_set_antialias(context, CAIRO_ANTIALIAS_NONE);
  cairo_rectangle(context, 0, 0, patch.width, patch.height);
  cairo_fill(context);
  cairo_restore(context);
}

void Canvas::draw_text(Point corner, double size, std::string_view text, Colour colour, bool halo) {
  cairo_t* const context = context_.get();
  const std::string shown = printable(text);
  choose_font(context, size);
  cairo_font_extents_t font;
  cairo_font_extents(context, &font);
  if (halo) {
    constexpr double kHalo = 3;
    cairo_move_to(context, corner.x, corner.y + font.ascent);
    cairo_text_path(context, shown.c_str());
    cairo_set_source_rgb(context, 1, 1, 1);
    cairo_set_line_width(context, kHalo);
    cairo_set_line_join(context, CAIRO_LINE_JOIN_ROUND);
    cairo_stroke(context);
    cairo_set_line_join(context, CAIRO_LINE_JOIN_MITER);
  }
  ink(colour);
  cairo_move_to(context, corner.x, corner.y + font.ascent);
  cairo_show_text(context, shown.c_str());
  cairo_new_path(context);
}

double Canvas::text_width(double size, std::string_view text) const {
  choose_font(context_.get(), size);
  cairo_text_extents_t extents;
  cairo_text_extents(context_.get(), printable(text).c_str(), &extents);
  return extents.x_advance;
}

double Canvas::line_height(double size) const {
  choose_font(context_.get(), size);
  cairo_font_extents_t font;
  cairo_font_extents(context_.get(), &font);
  return font.ascent + font.descent;
}

Canvas::Clip::Clip(Canvas& canvas, const Area& area) : canvas_(canvas) {
  cairo_t* const context = canvas_.context_.get();
  cairo_save(context);
  cairo_rectangle(context, area.left, area.top, area.width, area.height);
  cairo_clip(context);
}
Canvas::Clip::~Clip() { cairo_restore(canvas_.context_.get()); }

Status Canvas::status() const {
  const auto status = cairo_status(context_.get());
  if (status != CAIRO_STATUS_SUCCESS) return not_made("cannot draw the picture", status);
  return {};
}

Status Canvas::encode_png(const WriteBytes& write) const {
  if (auto drawn = status(); !drawn) return drawn;
  WriteBytes copy = write;
  const auto status = cairo_surface_write_to_png_stream(surface_.get(), hand_on, &copy);
  if (status != CAIRO_STATUS_SUCCESS) return not_made("cannot make a PNG of the picture", status);
  return {};
}

}  // namespace peaknet::imaging
