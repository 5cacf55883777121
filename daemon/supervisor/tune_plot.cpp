#include "daemon/supervisor/tune_plot.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "imaging/png_file.hpp"

namespace peaknet::supervisor {
namespace {

using imaging::Canvas;
using imaging::Colour;

constexpr std::int64_t kPlotWidth = 420, kPlotHeight = 260, kMargin = 70, kHead = 68, kFoot = 50;
constexpr std::int64_t kDeviceHeight = kHead + kPlotHeight + kFoot;
constexpr std::int64_t kWidth = 2 * (kMargin + kPlotWidth) + kMargin / 2;
constexpr int kSteps = 5;  // of an axis
constexpr double kTextSize = 12, kTitleSize = 14;
constexpr Colour kPaper{255, 255, 255}, kInk{40, 40, 40}, kGrid{225, 225, 225};

// The next of 1, 2, 5, 10, 20, ... that is a fifth of the axis or more, five times.
double axis_for(double largest) {
  if (!(largest > 0)) return 1;
  const double step = largest / kSteps;
  const double decade = std::pow(10.0, std::floor(std::log10(step)));
  for (const double nice : {1.0, 2.0, 5.0, 10.0}) {
    if (nice * decade >= step) return kSteps * nice * decade;
  }
  return kSteps * 10 * decade;
}

std::string number(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.4g", value);
  return text.data();
}

PlotArea area(std::size_t device, int place, std::size_t columns, double largest) {
  return {.left = kMargin + place * (kPlotWidth + kMargin),
          .top = static_cast<std::int64_t>(device) * kDeviceHeight + kHead,
          .width = kPlotWidth,
          .height = kPlotHeight,
          .columns = std::max<std::size_t>(1, columns),
          .most = axis_for(largest)};
}

void draw_axes(Canvas& canvas, const PlotArea& plot, const TuneReport& report, const std::string& title) {
  const auto left = static_cast<double>(plot.left), top = static_cast<double>(plot.top);
  const auto width = static_cast<double>(plot.width), height = static_cast<double>(plot.height);
  const double line = canvas.line_height(kTextSize);
  for (int i = 0; i <= kSteps; ++i) {
    const double value = plot.most * i / kSteps;
    canvas.fill({left, std::floor(plot.y(value)), width, 1}, i == 0 ? kInk : kGrid);
    const std::string label = number(value);
    canvas.draw_text({left - 8 - canvas.text_width(kTextSize, label), plot.y(value) - line / 2}, kTextSize, label,
                     kInk);
  }
  for (std::size_t i = 0; i < report.rows.size(); ++i) {
    const std::string label = std::to_string(report.rows[i].events);
    canvas.draw_text({plot.x(i) - canvas.text_width(kTextSize, label) / 2, top + height + 6}, kTextSize, label, kInk);
    if (report.rows[i].events == report.batch) canvas.fill({std::floor(plot.x(i)), top, 1, height}, kInk);
  }
  canvas.draw_text({left, top + height + 22}, kTextSize, "events in a batch", kInk);
  canvas.draw_text({left, top - 36}, kTextSize, title, kInk);
}

template <class Value>
void draw_curve(Canvas& canvas, const PlotArea& plot, const TuneReport& report, Colour colour, const Value& value,
                std::size_t place, const std::string& name) {
  constexpr double kPoint = 7, kLine = 2;
  for (std::size_t i = 0; i < report.rows.size(); ++i) {
    const double x = plot.x(i);
    const double y = plot.y(value(report.rows[i]));
    if (i > 0) canvas.draw_line({plot.x(i - 1), plot.y(value(report.rows[i - 1]))}, {x, y}, kLine, colour);
    canvas.fill({x - kPoint / 2, y - kPoint / 2, kPoint, kPoint}, colour);
  }
  const double left = static_cast<double>(plot.left) + static_cast<double>(place) * 100;
  const double top = static_cast<double>(plot.top) - 17;
  canvas.fill({left, top + 4, kPoint, kPoint}, colour);
  canvas.draw_text({left + 12, top}, kTextSize, name, kInk);
}

}  // namespace

PlotArea latency_area(const std::vector<TuneReport>& reports, std::size_t device) {
  const auto& rows = reports[device].rows;
  double largest = 0;
  for (const auto& row : rows) largest = std::max({largest, row.latency.p99, row.latency.p95, row.latency.median});
  return area(device, 0, rows.size(), largest);
}

PlotArea rate_area(const std::vector<TuneReport>& reports, std::size_t device) {
  const auto& rows = reports[device].rows;
  double largest = 0;
  for (const auto& row : rows) {
    for (const double rate : row.events_per_s) largest = std::max(largest, rate);
  }
  return area(device, 1, rows.size(), largest);
}

Result<Canvas> draw_plot(const std::vector<TuneReport>& reports) {
  auto canvas = Canvas::make(
      static_cast<std::uint32_t>(kWidth),
      static_cast<std::uint32_t>(kDeviceHeight * static_cast<std::int64_t>(std::max<std::size_t>(1, reports.size()))),
      kPaper);
  if (!canvas) return canvas.error();
  for (std::size_t device = 0; device < reports.size(); ++device) {
    const TuneReport& report = reports[device];
    const std::string choice = report.batch == 0 ? "nothing fits into engine.memory_fraction"
                                                 : "recommended: batch " + std::to_string(report.batch) + ", depth " +
                                                       std::to_string(report.depth);
    canvas->draw_text(
        {static_cast<double>(kMargin), static_cast<double>(static_cast<std::int64_t>(device) * kDeviceHeight + 4)},
        kTitleSize, report.device + "   " + report.model + "   " + choice, kInk);
    const PlotArea latency = latency_area(reports, device);
    draw_axes(*canvas, latency, report, "latency of one batch alone, ms");
    draw_curve(
        *canvas, latency, report, kP99Colour, [](const TuneRow& row) { return row.latency.p99; }, 2, "p99");
    draw_curve(
        *canvas, latency, report, kP95Colour, [](const TuneRow& row) { return row.latency.p95; }, 1, "p95");
    draw_curve(
        *canvas, latency, report, kMedianColour, [](const TuneRow& row) { return row.latency.median; }, 0, "median");
    const PlotArea rate = rate_area(reports, device);
    draw_axes(*canvas, rate, report, "events per second");
    for (std::size_t depth = 0; depth < kDepthColours.size(); ++depth) {
      draw_curve(
          *canvas, rate, report, kDepthColours[depth],
          [&](const TuneRow& row) { return depth < row.events_per_s.size() ? row.events_per_s[depth] : 0; }, depth,
          "depth " + std::to_string(depth + 1));
    }
  }
  if (auto drawn = canvas->status(); !drawn) return drawn.error();
  return canvas;
}

Status write_plot(const std::vector<TuneReport>& reports, const std::string& path) {
  const auto picture = draw_plot(reports);
  if (!picture) return picture.error();
  return imaging::write_png(*picture, path);
}

}  // namespace peaknet::supervisor
