#include "writer/preview/preview.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

namespace peaknet::writer {
namespace {

bool is_red(Rgb colour) { return colour.red > colour.green + 60 && colour.red > colour.blue + 60; }

struct Spot {
  double y = 0;
  double x = 0;
  std::size_t pixels = 0;
};

// Middle and size of all that is red.
Spot red_spot(const RgbImage& picture) {
  Spot spot;
  for (std::uint32_t y = 0; y < picture.height(); ++y) {
    for (std::uint32_t x = 0; x < picture.width(); ++x) {
      if (!is_red(picture.at(x, y))) continue;
      spot.y += y;
      spot.x += x;
      ++spot.pixels;
    }
  }
  spot.y /= static_cast<double>(spot.pixels);
  spot.x /= static_cast<double>(spot.pixels);
  return spot;
}

struct Place {
  std::uint32_t y = 0;
  std::uint32_t x = 0;
};

// Where the picture shows the one black pixel of the image.
Place black_pixel(const RgbImage& picture, std::uint32_t from_y) {
  for (std::uint32_t y = from_y; y < picture.height(); ++y) {
    for (std::uint32_t x = 0; x < picture.width(); ++x) {
      if (picture.at(x, y) == Rgb{0, 0, 0}) return {y, x};
    }
  }
  ADD_FAILURE() << "nothing is black";
  return {};
}

// A quiet image with one bright pixel in panel `panel`.
std::vector<std::uint16_t> one_bright(std::uint32_t panels, std::uint32_t height, std::uint32_t width,
                                      std::uint32_t panel, std::uint32_t y, std::uint32_t x) {
  std::vector<std::uint16_t> pixels(std::size_t{panels} * height * width, 10);
  pixels[(std::size_t{panel} * height + y) * width + x] = 5000;
  return pixels;
}

TEST(Preview, OnePanelIsShownAsItIsBelowTheHeader) {
  const auto pixels = one_bright(1, 600, 700, 0, 300, 400);
  const ImageView image{pixels.data(), PixelType::uint16};
  const auto without = render_preview(image, 1, 600, 700, {}, {});
  const auto with = render_preview(image, 1, 600, 700, {}, {"run 12", "event 4711"});
  EXPECT_EQ(with.width(), 700U);
  EXPECT_GT(with.height(), without.height());
  EXPECT_GT(without.height(), 600U);
  const std::uint32_t top = with.height() - 600;
  const Place place = black_pixel(with, top);
  EXPECT_EQ(place.y, top + 300);
  EXPECT_EQ(place.x, 400U);
}

TEST(Preview, TheRingIsAroundThePeakAndLeavesItVisible) {
  const auto pixels = one_bright(1, 600, 700, 0, 300, 400);
  const std::vector<PreviewPeak> peaks{{0, 300, 400}};
  const auto picture = render_preview({pixels.data(), PixelType::uint16}, 1, 600, 700, peaks, {"header"});
  const std::uint32_t top = picture.height() - 600;
  const Spot spot = red_spot(picture);
  EXPECT_NEAR(spot.y, top + 300, 0.01);
  EXPECT_NEAR(spot.x, 400, 0.01);
  EXPECT_GT(spot.pixels, 50U);
  EXPECT_EQ(picture.at(400, top + 300), (Rgb{0, 0, 0}));
  EXPECT_TRUE(is_red(picture.at(408, top + 300)));
  EXPECT_FALSE(is_red(picture.at(404, top + 300)));
}

TEST(Preview, ManyPanelsMakeANearlySquarePictureWithEachPeakInItsPanel) {
  constexpr std::uint32_t kPanels = 32;
  for (const std::uint32_t panel : {0U, 5U, 31U}) {
    const auto pixels = one_bright(kPanels, 185, 388, panel, 100, 200);
    const std::vector<PreviewPeak> peaks{{panel, 100, 200}};
    const auto picture = render_preview({pixels.data(), PixelType::uint16}, kPanels, 185, 388, peaks, {});
    EXPECT_EQ(picture.width(), 4 * 388U + 3U);
    const std::uint32_t top = picture.height() - (8 * 185 + 7);
    const Place place = black_pixel(picture, top);
    EXPECT_EQ(place.x, panel % 4 * 389 + 200);
    EXPECT_EQ(place.y, top + panel / 4 * 186 + 100);
    const Spot spot = red_spot(picture);
    EXPECT_NEAR(spot.y, place.y, 0.01);
    EXPECT_NEAR(spot.x, place.x, 0.01);
  }
}

TEST(Preview, ALargeImageIsMadeSmallerAndKeepsItsBrightestPixels) {
  const auto pixels = one_bright(1, 4300, 4200, 0, 4001, 3001);
  const std::vector<PreviewPeak> peaks{{0, 4001, 3001}};
  const auto picture = render_preview({pixels.data(), PixelType::uint16}, 1, 4300, 4200, peaks, {});
  EXPECT_EQ(picture.width(), 1400U);
  const std::uint32_t top = picture.height() - 1434;
  const Place place = black_pixel(picture, top);
  EXPECT_EQ(place.y, top + 4001 / 3);
  EXPECT_EQ(place.x, 3001U / 3);
  const Spot spot = red_spot(picture);
  EXPECT_NEAR(spot.y, place.y, 0.5);
  EXPECT_NEAR(spot.x, place.x, 0.5);
}

TEST(Preview, ASmallImageIsEnlarged) {
  const auto pixels = one_bright(1, 64, 64, 0, 20, 30);
  const std::vector<PreviewPeak> peaks{{0, 20, 30}};
  const auto picture = render_preview({pixels.data(), PixelType::uint16}, 1, 64, 64, peaks, {});
  EXPECT_EQ(picture.width(), 512U);
  const std::uint32_t top = picture.height() - 512;
  const Place corner = black_pixel(picture, top);
  EXPECT_EQ(corner.y, top + 160);
  EXPECT_EQ(corner.x, 240U);
  const Spot spot = red_spot(picture);
  EXPECT_NEAR(spot.y, corner.y + 3.5, 0.01);
  EXPECT_NEAR(spot.x, corner.x + 3.5, 0.01);
}

TEST(Preview, PeaksThatAreNowhereAreLeftOut) {
  const std::vector<std::uint16_t> pixels(std::size_t{600} * 600, 10);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<PreviewPeak> peaks{{1, 5, 5}, {0, nan, 5}, {0, 5, nan}, {0, 600, 5}, {0, 5, -3}, {0, 1e300, 1e300}};
  EXPECT_EQ(red_spot(render_preview({pixels.data(), PixelType::uint16}, 1, 600, 600, peaks, {})).pixels, 0U);
}

TEST(Preview, EveryPixelTypeIsShown) {
  std::vector<std::int16_t> counts(std::size_t{600} * 600, -20);
  counts[100 * 600 + 100] = 3000;
  EXPECT_EQ(black_pixel(render_preview({counts.data(), PixelType::int16}, 1, 600, 600, {}, {}), 40).x, 100U);
  std::mt19937 random(3);
  std::vector<float> floats;
  for (int i = 0; i < 600 * 600; ++i) floats.push_back(static_cast<float>(random() % 1000) * 1e-6F);
  floats[100 * 600 + 100] = 0.5F;
  floats[7] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(black_pixel(render_preview({floats.data(), PixelType::float32}, 1, 600, 600, {}, {}), 40).x, 100U);
}

TEST(Preview, WithoutAnImageOnlyTheRingsAreDrawn) {
  const std::vector<PreviewPeak> peaks{{0, 100, 100}};
  const auto picture = render_preview({}, 1, 600, 600, peaks, {});
  EXPECT_GT(red_spot(picture).pixels, 50U);
  EXPECT_EQ(picture.at(300, picture.height() - 100), (Rgb{255, 255, 255}));
}

TEST(Preview, AnImageOfNothingIsAHeader) {
  const auto picture = render_preview({}, 0, 0, 0, {}, {"nothing to see"});
  EXPECT_GT(picture.width(), 100U);
  EXPECT_GT(picture.height(), 20U);
}

TEST(Preview, ALongHeaderIsBrokenIntoLines) {
  const auto one = render_preview({}, 1, 600, 600, {}, {"short"});
  const auto many = render_preview({}, 1, 600, 600, {}, {std::string(200, 'x')});
  EXPECT_GT(many.height(), one.height());
  EXPECT_EQ(many.width(), one.width());
}

}  // namespace
}  // namespace peaknet::writer
