#include "imaging/frame_picture.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <limits>
#include <random>

#include "imaging/png_file.hpp"

namespace peaknet::imaging {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

FramePicture drawn(const FrameRequest& request, const std::string& name = "") {
  auto picture = draw_frame(request);
  EXPECT_TRUE(picture) << picture.error().text();
  // For a person to look at: PEAKNET_PICTURES names a folder.
  const char* folder = std::getenv("PEAKNET_PICTURES");
  if (folder != nullptr && !name.empty()) {
    EXPECT_TRUE(write_png(picture->canvas, std::string(folder) + "/" + name + ".png"));
  }
  return std::move(*picture);
}

template <class Pixel>
FrameRequest stack_of(const std::vector<Pixel>& pixels, PixelType type, std::uint32_t panels, std::uint32_t height,
                      std::uint32_t width) {
  FrameRequest request;
  request.image = {pixels.data(), type, panels * height, width, nullptr};
  request.assembly = grid_of(panels, height, width);
  return request;
}

std::vector<std::uint16_t> poisson(std::size_t count, double mean, unsigned seed = 1) {
  std::mt19937 random(seed);
  std::poisson_distribution<int> counts(mean);
  std::vector<std::uint16_t> pixels(count);
  for (auto& pixel : pixels) pixel = static_cast<std::uint16_t>(counts(random));
  return pixels;
}

// What the picture shows of a pixel of the image.
Colour shown(const FramePicture& picture, const Assembly& assembly, Point pixel) {
  for (const PanelBox& panel : assembly.panels) {
    if (!panel.holds(pixel)) continue;
    const Point at = picture.view.at(panel.on_plane(pixel));
    return picture.canvas.at(static_cast<std::uint32_t>(at.x), static_cast<std::uint32_t>(at.y));
  }
  ADD_FAILURE() << "in no panel";
  return {};
}

bool is_grey(Colour colour) { return colour.red == colour.green && colour.green == colour.blue; }
bool is_red(Colour colour) { return colour.red > colour.green + 60 && colour.red > colour.blue + 60; }

TEST(FramePicture, a_flat_poisson_image_is_grey_noise_without_structure) {
  constexpr std::uint32_t kSide = 640, kCell = 32;
  const auto pixels = poisson(std::size_t{kSide} * kSide, 20);
  const auto request = stack_of(pixels, PixelType::uint16, 1, kSide, kSide);
  const auto picture = drawn(request, "flat");
  // Each grey is that of its value alone ...
  std::vector<double> cells(std::size_t{kSide / kCell} * (kSide / kCell), 0);
  for (std::uint32_t y = 0; y < kSide; ++y) {
    for (std::uint32_t x = 0; x < kSide; ++x) {
      const std::uint8_t grey = picture.scale.grey(pixels[std::size_t{y} * kSide + x]);
      ASSERT_EQ(shown(picture, request.assembly, {double(x), double(y)}), (Colour{grey, grey, grey})) << x << "," << y;
      cells[std::size_t{y / kCell} * (kSide / kCell) + x / kCell] += grey / double(kCell * kCell);
    }
  }
  // ... so no cell is lighter than another: the mean of 1024 pixels of that noise scatters by 1.5 levels.
  const auto [least, most] = std::minmax_element(cells.begin(), cells.end());
  EXPECT_LT(*most - *least, 15);
  EXPECT_GT(*least, 60) << "a middle grey";
  EXPECT_LT(*most, 220);
}

TEST(FramePicture, a_saturated_pixel_does_not_make_the_rest_black_or_white) {
  constexpr std::uint32_t kSide = 640;
  auto pixels = poisson(std::size_t{kSide} * kSide, 20);
  const auto before = drawn(stack_of(pixels, PixelType::uint16, 1, kSide, kSide));
  pixels[5 * kSide + 7] = 65535;
  const auto request = stack_of(pixels, PixelType::uint16, 1, kSide, kSide);
  const auto after = drawn(request);
  EXPECT_EQ(shown(after, request.assembly, {7, 5}), (Colour{0, 0, 0}));
  for (const Point at : {Point{100, 100}, Point{600, 3}, Point{8, 5}})
    EXPECT_EQ(shown(after, request.assembly, at), shown(before, request.assembly, at));
}

TEST(FramePicture, pixels_without_data_have_a_colour_of_their_own) {
  constexpr std::uint32_t kSide = 600;
  std::vector<float> pixels(std::size_t{kSide} * kSide, 5);
  for (std::size_t i = 0; i < pixels.size(); i += 3) pixels[i] = 9;
  std::vector<std::uint8_t> mask(pixels.size(), 0);
  mask[10 * kSide + 20] = 1;
  pixels[10 * kSide + 20] = 1e30F;
  pixels[30 * kSide + 40] = kNan;
  pixels[30 * kSide + 41] = std::numeric_limits<float>::infinity();
  pixels[30 * kSide + 42] = -3e9F;
  auto request = stack_of(pixels, PixelType::float32, 1, kSide, kSide);
  request.image.no_data = mask.data();
  const auto picture = drawn(request, "no_data");
  for (const Point at : {Point{20, 10}, Point{40, 30}, Point{41, 30}, Point{42, 30}})
    EXPECT_EQ(shown(picture, request.assembly, at), kNoDataColour);
  EXPECT_TRUE(is_grey(shown(picture, request.assembly, {21, 10})));
  EXPECT_FALSE(is_grey(kNoDataColour));
  EXPECT_LE(picture.scale.high, 9);

  std::vector<std::int16_t> counts(std::size_t{kSide} * kSide, -20);
  counts[7] = std::numeric_limits<std::int16_t>::min();
  counts[8] = 100;
  const auto of_counts = stack_of(counts, PixelType::int16, 1, kSide, kSide);
  const auto second = drawn(of_counts);
  EXPECT_EQ(shown(second, of_counts.assembly, {7, 0}), kNoDataColour);
  EXPECT_EQ(shown(second, of_counts.assembly, {8, 0}), (Colour{0, 0, 0}));
  EXPECT_EQ(shown(second, of_counts.assembly, {9, 0}), (Colour{255, 255, 255}));
}

// 16 panels of 352 x 384 around a hole, as an ePix10k2M has them: four quarters, each turned by 90 degrees.
Assembly four_quarters(std::uint32_t height, std::uint32_t width) {
  Assembly assembly;
  assembly.beam = Point{0, 0};
  const double h = height, w = width;
  const Point start[4] = {{-2 * w - 10, -2 * h - 10}, {-w - 5, -2 * h - 10}, {-2 * w - 10, -h - 5}, {-w - 5, -h - 5}};
  for (std::uint32_t quarter = 0; quarter < 4; ++quarter) {
    const auto turn = [&](Point p) {
      for (std::uint32_t i = 0; i < quarter; ++i) p = {-p.y, p.x};
      return p;
    };
    for (std::uint32_t k = 0; k < 4; ++k) {
      const std::uint32_t number = quarter * 4 + k;
      assembly.panels.push_back(
          {0, number * height, width, height, turn(start[k]), turn({1, 0}), turn({0, 1}), number});
    }
  }
  return assembly;
}

TEST(FramePicture, a_round_ring_over_sixteen_panels_is_round) {
  constexpr std::uint32_t kHeight = 352, kWidth = 384;
  constexpr double kRadius = 500, kHalfWidth = 8;
  FrameRequest request;
  request.assembly = four_quarters(kHeight, kWidth);
  auto pixels = poisson(std::size_t{16} * kHeight * kWidth, 20);
  for (const PanelBox& panel : request.assembly.panels) {
    for (std::uint32_t y = 0; y < kHeight; ++y) {
      for (std::uint32_t x = 0; x < kWidth; ++x) {
        const Point at = panel.on_plane({double(x), double(panel.y + y)});
        if (std::abs(std::hypot(at.x, at.y) - kRadius) < kHalfWidth)
          pixels[(std::size_t{panel.y} + y) * kWidth + x] = 400;
      }
    }
  }
  request.image = {pixels.data(), PixelType::uint16, 16 * kHeight, kWidth, nullptr};
  request.diffraction = Diffraction{1.3, 1200};
  request.header = {"a ring over 16 panels"};
  request.peaks = {{100, 200}, {50, 15.0 * kHeight + 30}};
  const auto picture = drawn(request, "ring16");
  const Point centre = picture.view.at({0, 0});
  int on_panels = 0, black = 0;
  for (int degree = 0; degree < 360; ++degree) {
    const double angle = degree * 3.141592653589793 / 180;
    const Point plane{kRadius * std::cos(angle), kRadius * std::sin(angle)};
    const Point at = picture.view.at(plane);
    EXPECT_NEAR(std::hypot(at.x - centre.x, at.y - centre.y), kRadius * picture.view.scale, 1e-6);
    const Colour colour = picture.canvas.at(static_cast<std::uint32_t>(at.x), static_cast<std::uint32_t>(at.y));
    if (colour == kNoPanelColour) continue;
    ++on_panels;
    black += colour == Colour{0, 0, 0} ? 1 : 0;
    const Point inside = picture.view.at({0.95 * plane.x, 0.95 * plane.y});
    EXPECT_NE(picture.canvas.at(static_cast<std::uint32_t>(inside.x), static_cast<std::uint32_t>(inside.y)),
              (Colour{0, 0, 0}));
  }
  EXPECT_GT(on_panels, 320);
  EXPECT_GT(black, on_panels - 25) << "but where the rings of resolution, their text and numbers are";
}

TEST(FramePicture, a_peak_is_circled_where_its_panel_is_and_stays_visible) {
  constexpr std::uint32_t kHeight = 352, kWidth = 384;
  FrameRequest request;
  request.assembly = four_quarters(kHeight, kWidth);
  std::vector<std::uint16_t> pixels(std::size_t{16} * kHeight * kWidth, 0);
  request.image = {pixels.data(), PixelType::uint16, 16 * kHeight, kWidth, nullptr};
  for (const std::uint32_t panel : {0U, 5U, 15U}) {
    const double y = panel * kHeight + 100;
    pixels[std::size_t{panel} * kHeight * kWidth + 100 * kWidth + 200] = 5000;
    request.peaks.assign(1, {200, y});
    const auto picture = drawn(request);
    EXPECT_EQ(shown(picture, request.assembly, {200, y}), (Colour{0, 0, 0}));
    EXPECT_TRUE(is_red(shown(picture, request.assembly, {208, y})) ||
                is_red(shown(picture, request.assembly, {207, y})));
    EXPECT_FALSE(is_red(shown(picture, request.assembly, {203, y})));
  }
}

TEST(FramePicture, a_large_image_is_made_smaller_and_keeps_its_brightest_pixels) {
  constexpr std::uint32_t kHeight = 4300, kWidth = 4200;
  std::vector<std::uint16_t> pixels(std::size_t{kHeight} * kWidth, 10);
  pixels[std::size_t{4001} * kWidth + 3001] = 5000;
  const auto request = stack_of(pixels, PixelType::uint16, 1, kHeight, kWidth);
  const auto picture = drawn(request);
  EXPECT_EQ(picture.view.bin, 3U);
  EXPECT_LE(picture.view.area.height, kLargestSide);
  EXPECT_EQ(shown(picture, request.assembly, {3001, 4001}), (Colour{0, 0, 0}));
  EXPECT_EQ(shown(picture, request.assembly, {3004, 4001}), (Colour{255, 255, 255}));
}

TEST(FramePicture, odd_shapes_and_contents_make_a_picture_of_a_size_that_can_be_looked_at) {
  struct Shape {
    std::uint32_t panels, height, width;
  };
  for (const auto& [panels, height, width] : {Shape{1, 1, 1},
                                              {1, 1, 100'000},
                                              {1, 100'000, 1},
                                              {1, 1920, 1920},
                                              {16, 352, 384},
                                              {32, 185, 388},
                                              {32, 1, 1},
                                              {1000, 3, 5},
                                              {7, 1, 4000},
                                              {1, 4362, 4148}}) {
    for (const float value : {0.0F, -3.5F, kNan, 1e30F}) {
      const std::size_t count = std::size_t{panels} * height * width;
      if (count > 1'000'000 && value != -3.5F) continue;  // large ones once
      const std::vector<float> pixels(count, value);
      auto request = stack_of(pixels, PixelType::float32, panels, height, width);
      request.peaks = {{0, 0}, {kNan, 0}, {1e300, 1e300}, {-1, -1}};
      request.header = {"text", std::string(5000, 'x'), ""};
      const auto picture = drawn(request);
      EXPECT_LE(picture.canvas.width(), kLargestSide + 300) << panels << "x" << height << "x" << width;
      EXPECT_LE(picture.canvas.height(), kLargestSide + 300);
      EXPECT_GE(picture.canvas.width(), 300U);
      const Colour expected = std::isnan(value) ? kNoDataColour : Colour{255, 255, 255};
      if (width > 100 && height > 100) {
        EXPECT_EQ(shown(picture, request.assembly, {width / 2.0, height / 2.0}), expected);
      }
    }
  }
}

TEST(FramePicture, a_small_image_is_enlarged) {
  std::vector<std::uint16_t> pixels(std::size_t{64} * 64, 10);
  pixels[20 * 64 + 30] = 500;
  auto request = stack_of(pixels, PixelType::uint16, 1, 64, 64);
  request.peaks = {{30, 20}};
  const auto picture = drawn(request, "small");
  EXPECT_EQ(picture.view.area.width, 512);
  const Point corner = picture.view.at({30, 20});
  for (const double inside : {0.5, 3.5, 7.5})
    EXPECT_LT(picture.canvas.at(static_cast<std::uint32_t>(corner.x + inside), static_cast<std::uint32_t>(corner.y + 4))
                  .green,
              60);
}

TEST(FramePicture, panels_beyond_the_image_and_assemblies_of_nothing_are_left_out) {
  const std::vector<std::uint16_t> pixels(100, 1);
  FrameRequest request;
  request.image = {pixels.data(), PixelType::uint16, 10, 10, nullptr};
  EXPECT_GT(drawn(request).canvas.width(), 100U);
  request.assembly.panels = {{0, 0, 10, 10, {0, 0}, {1, 0}, {0, 1}, 0},
                             {5, 5, 10, 10, {10, 0}, {1, 0}, {0, 1}, 1},
                             {0xffffffff, 0, 10, 10, {20, 0}, {1, 0}, {0, 1}, 2}};
  EXPECT_TRUE(draw_frame(request));
  request.assembly.panels[1].corner = {std::numeric_limits<double>::quiet_NaN(), 0};
  EXPECT_TRUE(draw_frame(request));
  request.assembly = {};
  request.image = {};
  request.header = {"nothing to see"};
  EXPECT_GT(drawn(request).canvas.height(), 20U);
}

TEST(FramePicture, panels_far_apart_do_not_make_it_larger) {
  const std::vector<std::uint16_t> pixels = poisson(std::size_t{2} * 100 * 100, 20);
  auto request = stack_of(pixels, PixelType::uint16, 2, 100, 100);
  request.assembly.panels[1].corner = {1e9, -1e9};
  const auto picture = drawn(request);
  EXPECT_LE(picture.canvas.width(), kLargestSide + 300);
  EXPECT_LE(picture.canvas.height(), kLargestSide + 300);
}

TEST(FramePicture, without_an_image_the_peaks_are_drawn) {
  FrameRequest request;
  request.assembly = grid_of(2, 600, 600);
  request.peaks = {{100, 100}};
  const auto picture = drawn(request);
  EXPECT_TRUE(is_red(shown(picture, request.assembly, {108, 100})) ||
              is_red(shown(picture, request.assembly, {107, 100})));
  EXPECT_EQ(shown(picture, request.assembly, {300, 300}), (Colour{255, 255, 255}));
}

}  // namespace
}  // namespace peaknet::imaging
