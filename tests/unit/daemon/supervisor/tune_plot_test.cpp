#include "daemon/supervisor/tune_plot.hpp"

#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace peaknet::supervisor {
namespace {

TuneReport report_of(double slowness) {
  TuneReport report;
  report.device = "cpu";
  report.model = "model.pt";
  report.batch = 2;
  report.depth = 2;
  for (const std::uint32_t events : {1U, 2U, 4U}) {
    TuneRow row;
    row.events = row.rows = events;
    row.latency.median = slowness * events;
    row.latency.p95 = 2 * slowness * events;
    row.events_per_s = {100.0 * events / slowness, 200.0 * events / slowness, 300.0 * events / slowness};
    report.rows.push_back(row);
  }
  return report;
}

imaging::Colour at(const imaging::Canvas& picture, double x, double y) {
  return picture.at(static_cast<std::uint32_t>(x), static_cast<std::uint32_t>(y));
}

TEST(TunePlot, has_each_figure_at_its_place_for_each_device) {
  const std::vector<TuneReport> reports{report_of(1), report_of(7)};
  const auto drawn = draw_plot(reports);
  ASSERT_TRUE(drawn) << drawn.error().text();
  const imaging::Canvas& picture = *drawn;
  for (std::size_t device = 0; device < 2; ++device) {
    const auto latency = latency_area(reports, device);
    const auto rate = rate_area(reports, device);
    const auto& rows = reports[device].rows;
    EXPECT_GE(latency.most, rows[2].latency.p95);
    EXPECT_LE(latency.most, 2.5 * rows[2].latency.p95) << "the plot uses its height";
    for (std::size_t i = 0; i < rows.size(); ++i) {
      EXPECT_EQ(at(picture, latency.x(i), latency.y(rows[i].latency.median)), kMedianColour) << device << " " << i;
      EXPECT_EQ(at(picture, latency.x(i), latency.y(rows[i].latency.p95)), kP95Colour) << device << " " << i;
      for (std::size_t depth = 0; depth < 3; ++depth)
        EXPECT_EQ(at(picture, rate.x(i), rate.y(rows[i].events_per_s[depth])), kDepthColours[depth]) << device << i;
    }
    const double middle = (latency.x(1) + latency.x(2)) / 2;
    const double value = (rows[1].latency.p95 + rows[2].latency.p95) / 2;
    const auto colour = at(picture, middle, latency.y(value));  // of a line with soft edges
    EXPECT_GT(colour.red, 200) << "a line between the points";
    EXPECT_LT(colour.blue, 128);
  }
}

TEST(TunePlot, of_nothing_that_fits_is_still_a_picture) {
  TuneReport report;
  report.device = "cuda:0";
  const auto picture = draw_plot({report});
  ASSERT_TRUE(picture);
  EXPECT_GT(picture->height(), 100U);
}

TEST(TunePlot, is_a_png_file) {
  const auto path = std::filesystem::temp_directory_path() / ("tune_plot_" + std::to_string(::getpid()) + ".png");
  ASSERT_TRUE(write_plot({report_of(1)}, path.string()).ok());
  std::ifstream file(path, std::ios::binary);
  std::string magic(8, ' ');
  file.read(magic.data(), 8);
  EXPECT_EQ(magic, "\x89PNG\r\n\x1a\n");
  std::filesystem::remove(path);
  EXPECT_EQ(write_plot({report_of(1)}, "/no/such/folder/plot.png").error().id, "preview.write");
}

}  // namespace
}  // namespace peaknet::supervisor
