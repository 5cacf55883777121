#include "imaging/frame_picture.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <map>
#include <string_view>
#include <utility>

namespace peaknet::imaging {
namespace {

constexpr double kSmallestSide = 512;  // smaller images are enlarged
constexpr double kMostZoom = 8;
constexpr double kMargin = 12;
constexpr double kTextSize = 14;
constexpr double kSmallText = 12;
constexpr double kBarWidth = 18;
constexpr double kBarColumn = 130;  // the bar and what stands beside it
constexpr double kLeastHeight = 230, kMostBar = 320;
constexpr double kNarrowest = 560;
constexpr double kPeakRadius = 8, kPeakThickness = 1.6;
constexpr double kRingThickness = 1.2;
constexpr double kRingsApart = 60;       // on the picture
constexpr double kLargestRing = 30'000;  // on the picture: beyond it an arc is no arc any more
constexpr Colour kPaper{255, 255, 255}, kInk{20, 20, 20}, kFaintInk{95, 95, 95}, kEdge{140, 160, 185},
    kNumber{0, 115, 60};

View view_of(const Area& plane, double largest_side) {
  View view{plane, 1, 1, {}};
  const double side = std::max(plane.width, plane.height);
  view.bin = static_cast<std::uint32_t>(std::clamp(std::ceil(side / largest_side), 1.0, 1e9));
  view.scale = view.bin > 1 ? 1.0 / view.bin : std::clamp(std::floor(kSmallestSide / side), 1.0, kMostZoom);
  view.area.width = std::ceil(plane.width * view.scale);
  view.area.height = std::ceil(plane.height * view.scale);
  return view;
}

// The longest beginning of a word, with its end: both ends of a name say more than its middle.
std::string shortened(const Canvas& canvas, std::string_view word, double width) {
  for (std::size_t kept = word.size(); kept > 2; --kept) {
    const std::size_t head = kept / 2;
    std::string text(word.substr(0, head));
    text += "...";
    text += word.substr(word.size() - (kept - head - 1));
    if (canvas.text_width(kTextSize, text) <= width) return text;
  }
  return "...";
}

// Breaks lines at spaces; a word that is longer than a line is shortened. Empty lines are left out.
std::vector<std::string> wrapped(const Canvas& canvas, const std::vector<std::string>& lines, double width) {
  std::vector<std::string> out;
  for (std::string_view rest : lines) {
    std::string line;
    while (!rest.empty()) {
      const std::size_t end = std::min(rest.find(' '), rest.size());
      std::string word(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
      if (canvas.text_width(kTextSize, line + word) > width && !line.empty()) {
        out.push_back(std::exchange(line, ""));
      }
      if (canvas.text_width(kTextSize, word) > width) word = shortened(canvas, word, width);
      line += word + " ";
    }
    if (!line.empty()) out.push_back(std::move(line));
  }
  return out;
}

std::string how_it_is_shown(const FrameRequest& request, const View& view) {
  if (request.image.pixels == nullptr) return "no image";
  const std::string bin = std::to_string(view.bin);
  if (view.bin > 1) return "each pixel is the brightest of " + bin + " x " + bin;
  if (view.scale > 1) return std::to_string(std::lround(view.scale)) + " times enlarged";
  return "";
}

struct Part {
  const PanelBox* panel;
  ReducedPanel values;
};

bool lies_within(const PanelBox& panel, const Image& image) {
  return panel.width > 0 && panel.height > 0 && std::uint64_t{panel.x} + panel.width <= image.width &&
         std::uint64_t{panel.y} + panel.height <= image.height;
}

std::vector<Part> parts_of(const FrameRequest& request, std::uint32_t bin) {
  std::vector<Part> parts;
  for (const PanelBox& panel : request.assembly.panels) {
    if (lies_within(panel, request.image)) parts.push_back({&panel, reduce(request.image, panel, bin)});
  }
  return parts;
}

GreyScale scale_of(const std::vector<Part>& parts) {
  std::vector<float> values;
  for (const Part& part : parts) values.insert(values.end(), part.values.values.begin(), part.values.values.end());
  return grey_scale(values);
}

void outline(Canvas& canvas, const View& view, const PanelBox& panel) {
  const double left = panel.x - 0.5, right = left + panel.width, top = panel.y - 0.5, bottom = top + panel.height;
  const std::array<Point, 4> corners = {view.at(panel.on_plane({left, top})), view.at(panel.on_plane({right, top})),
                                        view.at(panel.on_plane({right, bottom})),
                                        view.at(panel.on_plane({left, bottom}))};
  canvas.draw_polygon(corners, 2, kEdge);
}

void paint(Canvas& canvas, const View& view, const GreyScale& scale, const Part& part) {
  std::vector<Colour> pixels;
  pixels.reserve(part.values.values.size());
  for (const float value : part.values.values) {
    const std::uint8_t grey = std::isfinite(value) ? scale.grey(value) : 0;
    pixels.push_back(std::isfinite(value) ? Colour{grey, grey, grey} : kNoDataColour);
  }
  const PanelBox& panel = *part.panel;
  const double step = view.scale * view.bin;
  canvas.paint({pixels,
                part.values.width,
                part.values.height,
                view.at(panel.corner),
                {panel.column.x * step, panel.column.y * step},
                {panel.row.x * step, panel.row.y * step}});
}

void paint_blank(Canvas& canvas, const View& view, const PanelBox& panel) {
  const double columns = panel.width * view.scale, rows = panel.height * view.scale;
  canvas.paint({std::span(&kPaper, 1),
                1,
                1,
                view.at(panel.corner),
                {panel.column.x * columns, panel.column.y * columns},
                {panel.row.x * rows, panel.row.y * rows}});
}

// The number of each panel in the corner of what belongs to it, where there is room.
void draw_numbers(Canvas& canvas, const View& view, const Assembly& assembly) {
  std::map<std::uint32_t, Assembly> numbered;
  for (const PanelBox& panel : assembly.panels) {
    if (panel.number) numbered[*panel.number].panels.push_back(panel);
  }
  if (numbered.size() < 2) return;
  for (const auto& [number, parts] : numbered) {
    const auto extent = extent_of(parts);
    if (!extent) continue;
    const std::string text = std::to_string(number);
    const bool room = extent->width * view.scale > canvas.text_width(kSmallText, text) + kMargin &&
                      extent->height * view.scale > canvas.line_height(kSmallText) + kMargin;
    const Point corner = view.at({extent->left, extent->top});
    if (room) canvas.draw_text({corner.x + 4, corner.y + 2}, kSmallText, text, kNumber, true);
  }
}

// Not hypot: the newest glibc that a program asks for is that of RHEL 9, and hypot is of a later one (scripts/bundle).
double distance(Point a, Point b) { return std::sqrt((a.x - b.x) * (a.x - b.x) + (a.y - b.y) * (a.y - b.y)); }

// Where on the ring its text has room; nothing: the ring is not to be seen.
std::optional<Point> place_for(const Area& area, Point centre, double radius, double width, double height) {
  constexpr int kTries = 72;
  constexpr double kFirst = -0.7853981633974483, kStep = 0.08726646259971647;  // from the upper right, by 5 degrees
  for (int i = 0; i < kTries; ++i) {
    const double angle = kFirst + i * kStep;
    const Point corner{centre.x + radius * std::cos(angle) - width / 2,
                       centre.y + radius * std::sin(angle) - height / 2};
    const bool inside = corner.x >= area.left && corner.x + width <= area.right() && corner.y >= area.top &&
                        corner.y + height <= area.bottom();
    if (inside) return corner;
  }
  return std::nullopt;
}

void draw_rings(Canvas& canvas, const View& view, const FrameRequest& request) {
  if (!request.assembly.beam) return;
  const Point beam = *request.assembly.beam;
  const Point centre = view.at(beam);
  constexpr double kArm = 7;
  canvas.draw_line({centre.x - kArm, centre.y}, {centre.x + kArm, centre.y}, kRingThickness, kRingColour);
  canvas.draw_line({centre.x, centre.y - kArm}, {centre.x, centre.y + kArm}, kRingThickness, kRingColour);
  if (!request.diffraction) return;
  const Area& plane = view.plane;
  const double farthest =
      std::max({distance(beam, {plane.left, plane.top}), distance(beam, {plane.right(), plane.top}),
                distance(beam, {plane.left, plane.bottom()}), distance(beam, {plane.right(), plane.bottom()})});
  const double apart = std::max(kRingsApart / view.scale, farthest / 6);
  for (const auto& ring :
       resolution_rings(*request.diffraction, std::min(farthest, kLargestRing / view.scale), apart)) {
    const double radius = ring.radius * view.scale;
    const double width = canvas.text_width(kSmallText, ring.text);
    const auto corner = place_for(view.area, centre, radius, width, canvas.line_height(kSmallText));
    if (!corner) continue;
    canvas.draw_circle(centre, radius, kRingThickness, kRingColour);
    canvas.draw_text(*corner, kSmallText, ring.text, kRingColour, true);
  }
}

void draw_peaks(Canvas& canvas, const View& view, const FrameRequest& request) {
  for (const Point& peak : request.peaks) {
    for (const PanelBox& panel : request.assembly.panels) {
      if (!panel.holds(peak)) continue;
      canvas.draw_circle(view.at(panel.on_plane(peak)), kPeakRadius, kPeakThickness, kPeakColour);
      break;
    }
  }
}

void draw_bar(Canvas& canvas, Point corner, double room, const GreyScale& scale, bool with_no_data) {
  double y = corner.y + kSmallText / 2;
  const double text_x = corner.x + kBarWidth + 6;
  const double line = canvas.line_height(kSmallText);
  if (scale.any) {
    const double height = std::clamp(room - 3 * line, kLeastHeight / 2, kMostBar);
    for (double row = 0; row < height; ++row) {
      const auto grey = static_cast<std::uint8_t>(std::lround(255 * row / (height - 1)));
      canvas.fill({corner.x, y + row, kBarWidth, 1}, {grey, grey, grey});
    }
    canvas.outline({corner.x - 0.5, y - 0.5, kBarWidth + 1, height + 1}, 1, kFaintInk);
    for (const BarMark& mark : bar_marks(scale)) {
      const double at = y + (height - 1) * (1 - mark.share);
      canvas.draw_text({text_x, at - line / 2}, kSmallText, mark.text, kInk);
    }
    y += height + line;
  }
  if (!with_no_data) return;
  canvas.fill({corner.x, y, kBarWidth, line}, kNoDataColour);
  canvas.draw_text({text_x, y}, kSmallText, "no data", kInk);
}

}  // namespace

Result<FramePicture> draw_frame(const FrameRequest& request) {
  const auto plane = extent_of(request.assembly);
  View view = plane ? view_of(*plane, std::max(1U, request.largest_side)) : View{};
  std::vector<Part> parts;
  if (plane && request.image.pixels != nullptr) parts = parts_of(request, view.bin);
  const GreyScale scale = scale_of(parts);
  const bool with_no_data = std::any_of(parts.begin(), parts.end(), [](const Part& part) {
    return std::any_of(part.values.values.begin(), part.values.values.end(), [](float v) { return std::isnan(v); });
  });

  // The height of the header is known once its text is measured, which takes a canvas.
  const double width = std::max(kNarrowest, view.area.width + kBarColumn + 3 * kMargin);
  auto measure = Canvas::make(1, 1, kPaper);
  if (!measure) return measure.error();
  const auto lines = wrapped(*measure, request.header, width - 2 * kMargin);
  const auto faint = wrapped(*measure, {how_it_is_shown(request, view)}, width - 2 * kMargin);
  const double line = std::ceil(measure->line_height(kTextSize) + 3);
  view.area.left = kMargin;
  view.area.top = 2 * kMargin + line * static_cast<double>(lines.size() + faint.size());
  const double body = std::max(view.area.height, scale.any ? kLeastHeight : 0);
  auto canvas = Canvas::make(static_cast<std::uint32_t>(width),
                             static_cast<std::uint32_t>(view.area.top + body + kMargin), kPaper);
  if (!canvas) return canvas.error();

  double text_y = kMargin;
  for (const std::string& text : lines) {
    canvas->draw_text({kMargin, text_y}, kTextSize, text, kInk);
    text_y += line;
  }
  for (const std::string& text : faint) canvas->draw_text({kMargin, text_y}, kTextSize, text, kFaintInk);
  if (plane) {
    const Canvas::Clip clip(*canvas, view.area);
    canvas->fill(view.area, kNoPanelColour);
    for (const PanelBox& panel : request.assembly.panels) outline(*canvas, view, panel);
    for (const Part& part : parts) paint(*canvas, view, scale, part);
    if (request.image.pixels == nullptr) {
      for (const PanelBox& panel : request.assembly.panels) paint_blank(*canvas, view, panel);
    }
    draw_numbers(*canvas, view, request.assembly);
    draw_rings(*canvas, view, request);
    draw_peaks(*canvas, view, request);
  }
  draw_bar(*canvas, {view.area.right() + kMargin, view.area.top}, body, scale, with_no_data);
  if (auto drawn = canvas->status(); !drawn) return drawn.error();
  return FramePicture{std::move(*canvas), view, scale};
}

}  // namespace peaknet::imaging
