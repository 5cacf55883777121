// Masks that are some algorithm's worst case: the answer is right, and the work is bounded by the size of the frame.
// Work is counted in steps, not in time, so that a busy machine changes nothing.
#include <gtest/gtest.h>

#include <algorithm>
#include <ostream>

#include "frames.hpp"
#include "peaks/local_ring.hpp"
#include "peaks/peak_finder.hpp"
#include "slow_peaks.hpp"

namespace peaknet::writer {
namespace {

struct HardMask {
  const char* name;
  bool (*peak)(std::uint32_t y, std::uint32_t x, std::uint32_t size);
};

void PrintTo(const HardMask& mask, std::ostream* out) { *out << mask.name; }  // in the name of a test

std::uint32_t from_middle(std::uint32_t x, std::uint32_t size) { return x > size / 2 ? x - size / 2 : size / 2 - x; }
std::uint32_t ring_of(std::uint32_t y, std::uint32_t x, std::uint32_t size) {
  return std::min({y, x, size - 1 - y, size - 1 - x});
}
std::uint64_t scrambled(std::uint32_t y, std::uint32_t x, std::uint32_t size) {
  std::uint64_t h = (std::uint64_t{y} * size + x + 1) * 0x9e3779b97f4a7c15U;
  h = (h ^ (h >> 29)) * 0xbf58476d1ce4e5b9U;
  return h >> 40;
}

const HardMask kHardMasks[] = {
    {"Empty", [](auto, auto, auto) { return false; }},
    {"Full", [](auto, auto, auto) { return true; }},
    {"Checkerboard", [](auto y, auto x, auto) { return (y + x) % 2 == 1; }},
    {"Grid", [](auto y, auto x, auto) { return y % 2 == 0 && x % 2 == 0; }},
    {"Comb", [](auto y, auto x, auto size) { return x % 2 == 0 || y + 1 == size; }},
    {"CombUpsideDown", [](auto y, auto x, auto) { return x % 2 == 0 || y == 0; }},
    {"NestedV", [](auto y, auto x, auto size) { return ((from_middle(x, size) + y) / 2) % 2 == 1 || y + 1 == size; }},
    {"NestedRoofs", [](auto y, auto x, auto size) { return ((from_middle(x, size) + size - y) / 2) % 2 == 1; }},
    {"Rings", [](auto y, auto x, auto size) { return ring_of(y, x, size) % 2 == 0; }},
    {"Spiral",
     [](auto y, auto x, auto size) {
       const auto ring = ring_of(y, x, size);
       return (ring % 2 == 0) != (x == ring && y == ring + 1);
     }},
    {"Serpentine", [](auto y, auto x, auto size) { return y % 2 == 0 || (y % 4 == 1 ? x + 1 == size : x == 0); }},
    {"Diagonals", [](auto y, auto x, auto size) { return (x + 3 * size - y) % 3 == 0; }},
    {"ShortDiagonals", [](auto y, auto x, auto size) { return (x + 3 * size - y) % 3 == 0 && y % 66 < 64; }},
    {"StaircaseThatJoinsFromTheRight",  // each row joins one label more, the earliest last
     [](auto y, auto x, auto size) { return x % 2 == 0 || (y > 0 && x + 2 * y >= size); }},
    {"Noise5Percent", [](auto y, auto x, auto size) { return scrambled(y, x, size) % 100 < 5; }},
    {"Noise40Percent", [](auto y, auto x, auto size) { return scrambled(y, x, size) % 100 < 40; }},
    {"Noise50Percent", [](auto y, auto x, auto size) { return scrambled(y, x, size) % 100 < 50; }},
    {"Noise80Percent", [](auto y, auto x, auto size) { return scrambled(y, x, size) % 100 < 80; }},
};

class Hard : public testing::TestWithParam<HardMask> {
 protected:
  static test::TestFrame frame(std::uint32_t size) {
    return test::draw(size, size, [size](auto y, auto x) { return GetParam().peak(y, x, size); });
  }
  static std::vector<std::uint16_t> pixels(std::uint32_t size) {
    std::vector<std::uint16_t> made(std::size_t{size} * size);
    for (std::size_t i = 0; i < made.size(); ++i) made[i] = static_cast<std::uint16_t>(i * 40503 >> 4);
    return made;
  }
};

TEST_P(Hard, EqualsTheSlowWay) {
  for (const std::uint32_t size : {193U, 256U}) {
    const auto hard = frame(size);
    const auto image = pixels(size);
    const ImageView view{image.data(), PixelType::uint16};
    PeakFinder finder({.max_components = std::size_t{size} * size});
    std::vector<Peak> peaks;
    const PeakSearch search = finder.find(hard.mask(), view, peaks);
    const test::SlowSearch slow = test::slow_find(hard.mask(), view);
    EXPECT_EQ(search.components, slow.components);
    EXPECT_EQ(test::difference(peaks, slow.peaks, true), "");
  }
}

TEST_P(Hard, WorkIsBoundedByTheSizeOfTheFrame) {
  constexpr std::uint32_t kSize = 1024;
  const auto hard = frame(kSize);
  const auto image = pixels(kSize);
  const PeakFinderOptions options;
  PeakFinder finder(options);
  std::vector<Peak> peaks;
  const PeakSearch search = finder.find(hard.mask(), {image.data(), PixelType::uint16}, peaks);
  EXPECT_LE(search.work.runs, std::uint64_t{kSize} * kSize / 2);
  EXPECT_LE(search.work.contacts, 2 * search.work.runs);
  EXPECT_LE(search.work.label_steps, 2 * search.work.runs);
  EXPECT_LE(search.work.ring_pixels, options.max_components * kRingMaxPixels);
  EXPECT_LE(search.work.ring_pixels, 3 * std::uint64_t{kSize} * kSize);
  EXPECT_LE(peaks.size(), options.max_components);
  // A broken map costs no more than finding that out: a row may close half as many components as it has pixels.
  EXPECT_LE(search.components, options.max_components + kSize / 2);
  EXPECT_EQ(search.too_many, search.components > options.max_components);
}

INSTANTIATE_TEST_SUITE_P(Masks, Hard, testing::ValuesIn(kHardMasks), [](const auto& mask) { return mask.param.name; });

TEST(HardMasks, ABrokenMapIsLeftAfterTheRowsThatProveIt) {
  constexpr std::uint32_t kSize = 1024;
  const auto grid = test::draw(kSize, kSize, [](auto y, auto x) { return y % 2 == 0 && x % 2 == 0; });
  PeakFinder finder;
  std::vector<Peak> peaks;
  const PeakSearch search = finder.find(grid.mask(), {}, peaks);
  EXPECT_TRUE(search.too_many);
  // 512 components a row, 8192 allowed: 17 rows prove it, the 18th closes them.
  EXPECT_LE(search.work.runs, 18U * 512U);
}

}  // namespace
}  // namespace peaknet::writer
