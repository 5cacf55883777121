#include "daemon/service/tune_plot.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "writer/preview/font.hpp"
#include "writer/preview/png_file.hpp"

namespace peaknet::service {
namespace {

using writer::Rgb;
using writer::RgbImage;

constexpr std::int64_t kPlotWidth = 420, kPlotHeight = 260, kMargin = 70, kHead = 60, kFoot = 50;
constexpr std::int64_t kDeviceHeight = kHead + kPlotHeight + kFoot;
constexpr std::int64_t kWidth = 2 * (kMargin + kPlotWidth) + kMargin / 2;
constexpr int kSteps = 5;  // of an axis
constexpr Rgb kPaper{255, 255, 255}, kInk{40, 40, 40}, kGrid{225, 225, 225};

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

void draw_axes(RgbImage& picture, const PlotArea& plot, const TuneReport& report, const std::string& title) {
  for (int i = 0; i <= kSteps; ++i) {
    const double value = plot.most * i / kSteps;
    const auto y = static_cast<std::int64_t>(plot.y(value));
    picture.fill_rectangle(plot.left, y, plot.width, 1, i == 0 ? kInk : kGrid);
    const std::string label = number(value);
    draw_text(picture, plot.left - 8 - static_cast<std::int64_t>(label.size() * writer::kTextAdvance), y - 3, 1, label,
              kInk);
  }
  for (std::size_t i = 0; i < report.rows.size(); ++i) {
    const std::string label = std::to_string(report.rows[i].events);
    const auto x = static_cast<std::int64_t>(plot.x(i));
    draw_text(picture, x - static_cast<std::int64_t>(label.size() * writer::kTextAdvance) / 2,
              plot.top + plot.height + 8, 1, label, kInk);
    if (report.rows[i].events == report.batch) picture.fill_rectangle(x, plot.top, 1, plot.height, kInk);
  }
  draw_text(picture, plot.left, plot.top + plot.height + 24, 1, "events in a batch", kInk);
  draw_text(picture, plot.left, plot.top - 28, 1, title, kInk);
}

template <class Value>
void draw_curve(RgbImage& picture, const PlotArea& plot, const TuneReport& report, Rgb colour, const Value& value,
                std::size_t place, const std::string& name) {
  for (std::size_t i = 0; i < report.rows.size(); ++i) {
    const double x = plot.x(i);
    const double y = plot.y(value(report.rows[i]));
    if (i > 0) picture.draw_line(plot.x(i - 1), plot.y(value(report.rows[i - 1])), x, y, 2, colour);
    picture.fill_rectangle(static_cast<std::int64_t>(x) - 3, static_cast<std::int64_t>(y) - 3, 7, 7, colour);
  }
  const std::int64_t left = plot.left + static_cast<std::int64_t>(place) * 100;
  picture.fill_rectangle(left, plot.top - 13, 7, 7, colour);
  draw_text(picture, left + 12, plot.top - 13, 1, name, kInk);
}

}  // namespace

PlotArea latency_area(const std::vector<TuneReport>& reports, std::size_t device) {
  const auto& rows = reports[device].rows;
  double largest = 0;
  for (const auto& row : rows) largest = std::max({largest, row.latency.p95, row.latency.median});
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

RgbImage draw_plot(const std::vector<TuneReport>& reports) {
  RgbImage picture(
      static_cast<std::uint32_t>(kWidth),
      static_cast<std::uint32_t>(kDeviceHeight * static_cast<std::int64_t>(std::max<std::size_t>(1, reports.size()))),
      kPaper);
  for (std::size_t device = 0; device < reports.size(); ++device) {
    const TuneReport& report = reports[device];
    const std::string choice = report.batch == 0 ? "nothing fits into engine.memory_fraction"
                                                 : "recommended: batch " + std::to_string(report.batch) + ", depth " +
                                                       std::to_string(report.depth);
    draw_text(picture, kMargin, static_cast<std::int64_t>(device) * kDeviceHeight + 8, 1,
              report.device + "  " + report.model + "  " + choice, kInk);
    const PlotArea latency = latency_area(reports, device);
    draw_axes(picture, latency, report, "latency of one batch alone, ms");
    draw_curve(
        picture, latency, report, kP95Colour, [](const TuneRow& row) { return row.latency.p95; }, 1, "p95");
    draw_curve(
        picture, latency, report, kMedianColour, [](const TuneRow& row) { return row.latency.median; }, 0, "median");
    const PlotArea rate = rate_area(reports, device);
    draw_axes(picture, rate, report, "events per second");
    for (std::size_t depth = 0; depth < kDepthColours.size(); ++depth) {
      draw_curve(
          picture, rate, report, kDepthColours[depth],
          [&](const TuneRow& row) { return depth < row.events_per_s.size() ? row.events_per_s[depth] : 0; }, depth,
          "depth " + std::to_string(depth + 1));
    }
  }
  return picture;
}

Status write_plot(const std::vector<TuneReport>& reports, const std::string& path) {
  return writer::write_png(draw_plot(reports), path);
}

}  // namespace peaknet::service
