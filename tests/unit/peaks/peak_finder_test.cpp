#include "peaks/peak_finder.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <thread>

#include "frames.hpp"

namespace peaknet::writer {
namespace {

std::vector<Peak> find(const test::TestFrame& frame, const ImageView& image = {}) {
  PeakFinder finder;
  std::vector<Peak> peaks;
  finder.find(frame.mask(), image, peaks);
  return peaks;
}

bool same(const Peak& a, const Peak& b) {
  return a.panel == b.panel && a.y == b.y && a.x == b.x && a.y_weighted == b.y_weighted &&
         a.x_weighted == b.x_weighted && a.weighted == b.weighted && a.n_pixels == b.n_pixels && a.sum == b.sum &&
         a.max == b.max && a.y0 == b.y0 && a.x0 == b.x0 && a.y1 == b.y1 && a.x1 == b.x1 &&
         a.first_index == b.first_index && a.snr == b.snr;
}

TEST(PeakFinder, AnEmptyMaskHasNoPeaks) {
  EXPECT_TRUE(find(test::draw("..../....")).empty());
  EXPECT_TRUE(find(test::TestFrame{.panels = 0, .height = 4, .width = 4}).empty());
  EXPECT_TRUE(find(test::TestFrame{.panels = 1, .height = 0, .width = 4}).empty());
  EXPECT_TRUE(find(test::TestFrame{.panels = 1, .height = 4, .width = 0}).empty());
}

TEST(PeakFinder, MeasuresOnePeakInEveryRespect) {
  const auto frame = test::draw(
      "...../"
      "..##./"
      ".##../"
      ".....");
  const std::vector<std::uint16_t> pixels{0, 0, 0, 0, 0, 0, 0, 10, 20, 0, 0, 40, 30, 0, 0, 0, 0, 0, 0, 0};
  const auto peaks = find(frame, {pixels.data(), PixelType::uint16});
  ASSERT_EQ(peaks.size(), 1U);
  const Peak& peak = peaks[0];
  EXPECT_EQ(peak.panel, 0U);
  EXPECT_DOUBLE_EQ(peak.y, 1.5);
  EXPECT_DOUBLE_EQ(peak.x, 2.0);
  EXPECT_TRUE(peak.weighted);
  EXPECT_DOUBLE_EQ(peak.y_weighted, (30 * 1 + 70 * 2) / 100.0);
  EXPECT_DOUBLE_EQ(peak.x_weighted, (40 * 1 + 40 * 2 + 20 * 3) / 100.0);
  EXPECT_EQ(peak.n_pixels, 4U);
  EXPECT_EQ(peak.sum, 100);
  EXPECT_EQ(peak.max, 40);
  EXPECT_EQ(peak.y0, 1U);
  EXPECT_EQ(peak.x0, 1U);
  EXPECT_EQ(peak.y1, 2U);
  EXPECT_EQ(peak.x1, 3U);
  EXPECT_EQ(peak.first_index, 7U);
}

TEST(PeakFinder, CornersJoin) {
  EXPECT_EQ(find(test::draw("#../.#./..#")).size(), 1U);
  EXPECT_EQ(find(test::draw("..#/.#./#..")).size(), 1U);
  EXPECT_EQ(find(test::draw("#.#/.../#.#")).size(), 4U);
}

TEST(PeakFinder, CornersJoinAcrossWords) {
  const auto down = test::draw(2, 128, [](auto y, auto x) { return (y == 0 && x == 63) || (y == 1 && x == 64); });
  const auto up = test::draw(2, 128, [](auto y, auto x) { return (y == 0 && x == 64) || (y == 1 && x == 63); });
  EXPECT_EQ(find(down).size(), 1U);
  EXPECT_EQ(find(up).size(), 1U);
}

TEST(PeakFinder, ARowsEndDoesNotTouchTheNextRowsBeginning) {
  const auto frame = test::draw(
      3, 64, [](auto y, auto x) { return (y == 0 && x == 63) || (y == 2 && x == 0) || (y == 1 && x == 31); });
  EXPECT_EQ(find(frame).size(), 3U);
  EXPECT_EQ(find(test::draw("..#/#..")).size(), 2U);
}

TEST(PeakFinder, ArmsThatMeetLateAreOnePeakNumberedByItsFirstPixel) {
  const auto peaks =
      find(test::draw("....#.#/"
                      "..#.#.#/"
                      "#.#.#.#/"
                      "#######/"
                      "......./"
                      "#......"));
  ASSERT_EQ(peaks.size(), 2U);
  EXPECT_EQ(peaks[0].first_index, 4U);
  EXPECT_EQ(peaks[0].n_pixels, 2U + 3U + 4U + 7U);
  EXPECT_EQ(peaks[0].x0, 0U);
  EXPECT_EQ(peaks[0].x1, 6U);
  EXPECT_EQ(peaks[0].y0, 0U);
  EXPECT_EQ(peaks[0].y1, 3U);
  EXPECT_EQ(peaks[1].first_index, 35U);
}

TEST(PeakFinder, OrderIsThatOfFirstPixelsNotOfEnds) {
  // The first component ends after the second, which begins after it.
  const auto peaks =
      find(test::draw("#...#/"
                      "#..../"
                      "#.#../"
                      "#...."));
  ASSERT_EQ(peaks.size(), 3U);
  EXPECT_EQ(peaks[0].first_index, 0U);
  EXPECT_EQ(peaks[1].first_index, 4U);
  EXPECT_EQ(peaks[2].first_index, 12U);
}

TEST(PeakFinder, PanelsNeverJoin) {
  const auto peaks = find(test::draw("..../.##.|.##./....|.##./.##."));
  ASSERT_EQ(peaks.size(), 3U);
  for (std::uint32_t panel = 0; panel < 3; ++panel) EXPECT_EQ(peaks[panel].panel, panel);
  EXPECT_DOUBLE_EQ(peaks[0].y, 1);
  EXPECT_DOUBLE_EQ(peaks[1].y, 0);
  EXPECT_DOUBLE_EQ(peaks[2].y, 0.5);
}

TEST(PeakFinder, EachPanelHasItsOwnPixels) {
  const auto frame = test::draw("#.|.#");
  const std::vector<std::uint16_t> pixels{1, 2, 3, 4};
  const auto peaks = find(frame, {pixels.data(), PixelType::uint16});
  ASSERT_EQ(peaks.size(), 2U);
  EXPECT_EQ(peaks[0].sum, 1);
  EXPECT_EQ(peaks[1].sum, 4);
}

TEST(PeakFinder, PaddingBitsAreIgnored) {
  std::mt19937_64 random(9);
  for (const std::uint32_t width : {1U, 5U, 63U, 65U, 100U, 127U, 129U}) {
    auto frame = test::draw(40, width, [&](auto, auto) { return random() % 5 == 0; });
    const auto clean = find(frame);
    for (std::size_t row = 0; row < 40; ++row) {
      frame.words[(row + 1) * mask_words_per_row(width) - 1] |= random() & ~mask_tail(width);
    }
    const auto dirty = find(frame);
    ASSERT_EQ(clean.size(), dirty.size()) << width;
    for (std::size_t i = 0; i < clean.size(); ++i) EXPECT_TRUE(same(clean[i], dirty[i])) << width;
  }
}

TEST(PeakFinder, PeaksWithTheirCentreInThePaddingAreDroppedAndCounted) {
  const auto frame = test::draw(
      "#...#/"  // kept; x = 4 dropped
      "...../"
      ".##../"  // y = 2.5: dropped at valid_height 2
      ".##..");
  MaskView mask = frame.mask();
  mask.valid_height = 2;
  mask.valid_width = 4;
  PeakFinder finder;
  std::vector<Peak> peaks;
  const PeakSearch search = finder.find(mask, {}, peaks);
  EXPECT_EQ(search.components, 3U);
  EXPECT_EQ(search.dropped_outside, 2U);
  ASSERT_EQ(peaks.size(), 1U);
  EXPECT_EQ(peaks[0].first_index, 0U);

  // The centre decides, not the box: rows 2 and 3 have their centre at 2.5, which is inside of 3.
  mask.valid_height = 3;
  EXPECT_EQ(finder.find(mask, {}, peaks).dropped_outside, 1U);
}

TEST(PeakFinder, TheUnweightedCentreDecidesAboutDropping) {
  const auto frame = test::draw("####");
  const std::vector<std::uint16_t> pixels{0, 0, 0, 1000};
  MaskView mask = frame.mask();
  mask.valid_width = 2;
  PeakFinder finder;
  std::vector<Peak> peaks;
  EXPECT_EQ(finder.find(mask, {pixels.data(), PixelType::uint16}, peaks).dropped_outside, 0U);
  ASSERT_EQ(peaks.size(), 1U);
  EXPECT_DOUBLE_EQ(peaks[0].x, 1.5);
  EXPECT_DOUBLE_EQ(peaks[0].x_weighted, 3);
}

TEST(PeakFinder, NegativePixelsAreSummedAsTheyAre) {
  const auto frame = test::draw("##.##.##");
  const std::vector<std::int16_t> pixels{-5, 25, 0, -32767, 32766, 0, 4, -4};
  const auto peaks = find(frame, {pixels.data(), PixelType::int16});
  ASSERT_EQ(peaks.size(), 3U);
  EXPECT_EQ(peaks[0].sum, 20);
  EXPECT_EQ(peaks[0].max, 25);
  EXPECT_TRUE(peaks[0].weighted);
  EXPECT_DOUBLE_EQ(peaks[0].x_weighted, 1) << "a pixel below zero has no weight";
  EXPECT_EQ(peaks[1].sum, -1);
  EXPECT_EQ(peaks[1].max, 32766);
  EXPECT_FALSE(peaks[1].weighted) << "a negative sum has no weighted centre";
  EXPECT_DOUBLE_EQ(peaks[1].x_weighted, 3.5);
  EXPECT_EQ(peaks[2].sum, 0);
  EXPECT_FALSE(peaks[2].weighted) << "nor has a sum of zero";
  EXPECT_DOUBLE_EQ(peaks[2].x_weighted, 6.5);
}

TEST(PeakFinder, AWeightedCentreStaysInTheBoxWhateverTheSignsOfItsPixels) {
  std::mt19937 random(8);
  for (int round = 0; round < 400; ++round) {
    const std::uint32_t width = 1 + static_cast<std::uint32_t>(random() % 90);
    const auto frame = test::draw(20, width, [&](auto, auto) { return random() % 100 < 35; });
    std::vector<std::int16_t> counts(std::size_t{20} * width);
    std::vector<float> floats(counts.size());
    for (std::size_t i = 0; i < counts.size(); ++i) {
      counts[i] = static_cast<std::int16_t>(static_cast<int>(random() % 101) - (round % 2 == 0 ? 50 : 48));
      // Magnitudes that do not add up exactly: rounding alone can leave a box of one pixel's height.
      floats[i] = std::ldexp(static_cast<float>(counts[i]) + 0.3F, static_cast<int>(random() % 90) - 45);
      if (round % 4 == 3) floats[i] = std::abs(floats[i]);
    }
    for (const ImageView& image :
         {ImageView{counts.data(), PixelType::int16}, ImageView{floats.data(), PixelType::float32}}) {
      for (const Peak& peak : find(frame, image)) {
        ASSERT_GE(peak.y_weighted, peak.y0) << round;
        ASSERT_LE(peak.y_weighted, peak.y1) << round;
        ASSERT_GE(peak.x_weighted, peak.x0) << round;
        ASSERT_LE(peak.x_weighted, peak.x1) << round;
      }
    }
  }
}

TEST(PeakFinder, ASpotWithAShoulderBelowZeroHasItsCentreOnTheSpotAndItsSumWhole) {
  const auto frame = test::draw(".########.");
  const std::vector<std::int16_t> counts{-40, -11, -11, 60, 20, -11, -11, -11, -11, -40};
  const auto peaks = find(frame, {counts.data(), PixelType::int16});
  ASSERT_EQ(peaks.size(), 1U);
  EXPECT_EQ(peaks[0].sum, 14);
  EXPECT_EQ(peaks[0].max, 60);
  EXPECT_TRUE(peaks[0].weighted);
  EXPECT_DOUBLE_EQ(peaks[0].x_weighted, (60 * 3 + 20 * 4) / 80.0);
  EXPECT_DOUBLE_EQ(peaks[0].x, 4.5);
}

TEST(PeakFinder, MaximumOfNegativePixelsIsNegative) {
  const auto frame = test::draw("##");
  const std::vector<std::int16_t> counts{-7, -3};
  EXPECT_EQ(find(frame, {counts.data(), PixelType::int16})[0].max, -3);
  const std::vector<float> floats{-7.5F, -3.5F};
  EXPECT_EQ(find(frame, {floats.data(), PixelType::float32})[0].max, -3.5);
}

// 5 x 9 with a peak of 3 x 3 in the middle, whose pixels are 100 but for the one in the middle.
test::TestFrame square() {
  return test::draw(5, 9, [](auto y, auto x) { return y >= 1 && y <= 3 && x >= 3 && x <= 5; });
}
template <class Pixel>
std::vector<Pixel> square_pixels(Pixel middle) {
  std::vector<Pixel> pixels;
  for (std::uint32_t y = 0; y < 5; ++y) {
    for (std::uint32_t x = 0; x < 9; ++x)
      pixels.push_back(y == 2 && x == 4 ? middle : y >= 1 && y <= 3 && x >= 3 && x <= 5 ? Pixel{100} : Pixel{2});
  }
  return pixels;
}
std::vector<std::uint64_t> bits_of(std::uint32_t height, std::initializer_list<std::pair<std::uint32_t, int>> pixels) {
  std::vector<std::uint64_t> words(height);
  for (const auto& [y, x] : pixels) words[y] |= std::uint64_t{1} << x;
  return words;
}

void expect_without_middle(const std::vector<Peak>& peaks) {
  ASSERT_EQ(peaks.size(), 1U);
  EXPECT_EQ(peaks[0].n_pixels, 8U);
  EXPECT_EQ(peaks[0].sum, 800);
  EXPECT_EQ(peaks[0].max, 100);
  EXPECT_TRUE(peaks[0].weighted);
  EXPECT_EQ(peaks[0].y_weighted, 2);
  EXPECT_EQ(peaks[0].x_weighted, 4);
}

TEST(PeakFinder, ABadPixelIsInNoSumNoMaximumAndNoCentre) {
  const auto frame = square();
  const auto bad = bits_of(5, {{2, 4}});
  MaskView mask = frame.mask();
  mask.bad = bad.data();
  std::vector<Peak> peaks;
  const auto counts = square_pixels<std::uint16_t>(65535);
  PeakFinder().find(mask, {counts.data(), PixelType::uint16}, peaks);
  expect_without_middle(peaks);
  const auto floats = square_pixels<float>(-1e30F);
  PeakFinder().find(mask, {floats.data(), PixelType::float32}, peaks);
  expect_without_middle(peaks);
}

TEST(PeakFinder, ABadPixelThatTheNetworkMarkedIsNoPeakAndJoinsNone) {
  // A gap between two spots that the network took for signal, and a hot pixel.
  const auto frame = test::draw("##.##..../#########/##.##...#");
  const auto bad = bits_of(3, {{0, 2}, {1, 2}, {1, 5}, {1, 6}, {1, 7}, {1, 8}, {2, 8}});
  MaskView mask = frame.mask();
  mask.bad = bad.data();
  std::vector<Peak> peaks;
  for (const SimdLevel level : available_simd_levels()) {
    PeakFinder({.simd = level}).find(mask, {}, peaks);
    ASSERT_EQ(peaks.size(), 2U);
    EXPECT_EQ(peaks[0].n_pixels, 6U);
    EXPECT_EQ(peaks[0].x, 0.5);
    EXPECT_EQ(peaks[1].n_pixels, 6U);
    EXPECT_EQ(peaks[1].x, 3.5);
  }
}

TEST(PeakFinder, EachPanelHasItsOwnBadPixels) {
  const auto frame = test::draw("##|##");
  const std::vector<std::uint64_t> bad{0, 1};
  MaskView mask = frame.mask();
  mask.bad = bad.data();
  std::vector<Peak> peaks;
  PeakFinder().find(mask, {}, peaks);
  ASSERT_EQ(peaks.size(), 2U);
  EXPECT_EQ(peaks[0].x, 0.5);
  EXPECT_EQ(peaks[1].x, 1);
}

TEST(PeakFinder, APixelThatSaysItHoldsNoCountIsBadInItsFrame) {
  const auto frame = square();
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float odd : {std::numeric_limits<float>::quiet_NaN(), infinity, -infinity, -2147483648.0F}) {
    const auto pixels = square_pixels<float>(odd);
    expect_without_middle(find(frame, {pixels.data(), PixelType::float32}));
  }
  const auto lowest = square_pixels<std::int16_t>(-32768);
  expect_without_middle(find(frame, {lowest.data(), PixelType::int16}));
}

TEST(PeakFinder, PixelsWithoutCountJoinNoPeaksAndAreNone) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const auto frame = test::draw("###.###.##.##|##.......####");
  const std::vector<float> pixels{nan, 2,   1, 0, 1, nan, 7, 0, nan, nan, 0, nan, 5,
                                  1,   nan, 0, 0, 0, 0,   0, 0, 0,   nan, 4, 3,   nan};
  const auto peaks = find(frame, {pixels.data(), PixelType::float32});
  ASSERT_EQ(peaks.size(), 6U) << "one is cut in two, one has no pixel left";
  const std::vector<double> sums{3, 1, 7, 5, 1, 7};
  for (std::size_t i = 0; i < sums.size(); ++i) EXPECT_EQ(peaks[i].sum, sums[i]) << i;
  EXPECT_EQ(peaks[5].panel, 1U);
  EXPECT_EQ(peaks[5].x, 10.5);
}

TEST(PeakFinder, SaturatedPixelsAreCounts) {
  const auto counts = square_pixels<std::uint16_t>(65535);
  EXPECT_EQ(find(square(), {counts.data(), PixelType::uint16})[0].max, 65535);
  const auto signed_counts = square_pixels<std::int16_t>(32767);
  EXPECT_EQ(find(square(), {signed_counts.data(), PixelType::int16})[0].max, 32767);
}

TEST(PeakFinder, SumsOfIntegersAreExact) {
  constexpr std::uint32_t kSize = 1500;
  const auto frame = test::draw(kSize, kSize, [](auto, auto) { return true; });
  const std::vector<std::uint16_t> pixels(std::size_t{kSize} * kSize, 65535);
  const auto peaks = find(frame, {pixels.data(), PixelType::uint16});
  ASSERT_EQ(peaks.size(), 1U);
  EXPECT_EQ(peaks[0].sum, 65535.0 * kSize * kSize);
  EXPECT_EQ(peaks[0].x_weighted, (kSize - 1) / 2.0);
  EXPECT_EQ(peaks[0].y_weighted, (kSize - 1) / 2.0);
}

TEST(PeakFinder, WithoutAnImageThereIsNoIntensity) {
  const auto peaks = find(test::draw("##"));
  ASSERT_EQ(peaks.size(), 1U);
  EXPECT_FALSE(peaks[0].weighted);
  EXPECT_EQ(peaks[0].sum, 0);
  EXPECT_EQ(peaks[0].max, 0);
  EXPECT_EQ(peaks[0].snr, 0);
  EXPECT_EQ(peaks[0].x_weighted, 0.5);
}

TEST(PeakFinder, ExactlyTheCapIsStillData) {
  const auto frame = test::draw("#.#.#/...../#.#.#");
  PeakFinder six({.max_components = 6});
  std::vector<Peak> peaks;
  EXPECT_FALSE(six.find(frame.mask(), {}, peaks).too_many);
  EXPECT_EQ(peaks.size(), 6U);
}

TEST(PeakFinder, OneMoreThanTheCapIsABrokenMap) {
  const auto frame = test::draw("#.#.#/...../#.#.#");
  PeakFinder five({.max_components = 5});
  std::vector<Peak> peaks(1);
  const PeakSearch search = five.find(frame.mask(), {}, peaks);
  EXPECT_TRUE(search.too_many);
  EXPECT_EQ(search.components, 6U);
  EXPECT_TRUE(peaks.empty());
}

TEST(PeakFinder, TheCapCountsTheComponentsOfAllPanels) {
  const auto frame = test::draw("#.#|#.#|#.#");
  PeakFinder finder({.max_components = 5});
  std::vector<Peak> peaks;
  EXPECT_TRUE(finder.find(frame.mask(), {}, peaks).too_many);
  EXPECT_TRUE(peaks.empty());
}

TEST(PeakFinder, ABeginningThatIsJoinedLaterDoesNotCountAgainstTheCap) {
  const auto comb = test::draw(10, 100, [](auto y, auto x) { return x % 2 == 0 || y == 9; });
  PeakFinder finder({.max_components = 1});
  std::vector<Peak> peaks;
  EXPECT_FALSE(finder.find(comb.mask(), {}, peaks).too_many);
  EXPECT_EQ(peaks.size(), 1U);
}

TEST(PeakFinder, IsAsGoodAsNewAfterABrokenMap) {
  const auto grid = test::draw(64, 64, [](auto y, auto x) { return y % 2 == 0 && x % 2 == 0; });
  const auto good = test::draw(64, 64, [](auto y, auto x) { return y / 8 == 3 && x / 8 == 4; });
  PeakFinder finder({.max_components = 100});
  std::vector<Peak> peaks;
  EXPECT_TRUE(finder.find(grid.mask(), {}, peaks).too_many);
  const PeakSearch search = finder.find(good.mask(), {}, peaks);
  EXPECT_FALSE(search.too_many);
  EXPECT_EQ(search.components, 1U);
  ASSERT_EQ(peaks.size(), 1U);
  EXPECT_EQ(peaks[0].n_pixels, 64U);
}

TEST(PeakFinder, TakesFramesOfAnySizeOneAfterTheOther) {
  PeakFinder finder;
  std::vector<Peak> peaks;
  for (const std::uint32_t size : {10U, 700U, 64U, 1U, 1500U, 128U}) {
    const auto frame = test::draw(size, size, [](auto, auto) { return true; });
    finder.find(frame.mask(), {}, peaks);
    ASSERT_EQ(peaks.size(), 1U);
    EXPECT_EQ(peaks[0].n_pixels, std::uint64_t{size} * size);
  }
}

TEST(PeakFinder, EveryInstructionSetGivesTheSame) {
  std::mt19937 random(21);
  for (int round = 0; round < 60; ++round) {
    const auto per_mille = round % 3 == 0 ? 2 : random() % 1001;
    const std::uint32_t width = 1 + static_cast<std::uint32_t>(random() % 600);
    const auto frame = test::draw(100, width, [&](auto, auto) { return random() % 1000 < per_mille; });
    std::vector<std::uint16_t> pixels(std::size_t{100} * width);
    for (auto& pixel : pixels) pixel = static_cast<std::uint16_t>(random());
    std::vector<Peak> expected;
    PeakFinder({.simd = SimdLevel::plain}).find(frame.mask(), {pixels.data(), PixelType::uint16}, expected);
    for (const SimdLevel level : available_simd_levels()) {
      std::vector<Peak> peaks;
      PeakFinder({.simd = level}).find(frame.mask(), {pixels.data(), PixelType::uint16}, peaks);
      ASSERT_EQ(peaks.size(), expected.size()) << name(level);
      for (std::size_t i = 0; i < peaks.size(); ++i) ASSERT_TRUE(same(peaks[i], expected[i])) << name(level);
    }
  }
}

TEST(PeakFinder, FindersOfSeveralThreadsDoNotDisturbEachOther) {
  std::mt19937 random(2);
  const auto frame = test::draw(300, 300, [&](auto, auto) { return random() % 100 < 5; });
  const std::vector<std::uint16_t> pixels(300 * 300, 7);
  const auto expected = find(frame, {pixels.data(), PixelType::uint16});
  std::vector<std::vector<Peak>> found(4);
  {
    std::vector<std::jthread> threads;
    for (auto& mine : found) {
      threads.emplace_back([&frame, &pixels, &mine] {
        PeakFinder finder;
        for (int i = 0; i < 20; ++i) finder.find(frame.mask(), {pixels.data(), PixelType::uint16}, mine);
      });
    }
  }
  for (const auto& mine : found) {
    ASSERT_EQ(mine.size(), expected.size());
    for (std::size_t i = 0; i < mine.size(); ++i) EXPECT_TRUE(same(mine[i], expected[i]));
  }
}

}  // namespace
}  // namespace peaknet::writer
