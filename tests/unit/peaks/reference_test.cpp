// The answers equal SciPy's on the reference files (tests/data/peaks/README.md).
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "npz.hpp"
#include "peaks/mask_bits.hpp"
#include "peaks/peak_finder.hpp"

namespace peaknet::writer {
namespace {

class ReferenceFile : public testing::TestWithParam<const char*> {};

TEST_P(ReferenceFile, EqualsScipy) {
  const char* source = std::getenv("PEAKNET_SOURCE_DIR");
  ASSERT_NE(source, nullptr) << "start this test with ctest";
  auto arrays = test::read_npz(std::string(source) + "/tests/data/peaks/" + GetParam() + ".npz");
  const test::NpyArray& classes = arrays.at("mask");
  ASSERT_EQ(classes.shape.size(), 3U);
  const auto panels = static_cast<std::uint32_t>(classes.shape[0]);
  const auto height = static_cast<std::uint32_t>(classes.shape[1]);
  const auto width = static_cast<std::uint32_t>(classes.shape[2]);
  std::vector<std::uint64_t> words;
  pack_mask(classes.as<std::uint8_t>("|u1"), panels, height, width, words);
  MaskView mask = whole_mask(words.data(), panels, height, width);
  const auto valid = arrays.at("valid").as<std::int32_t>("<i4");
  mask.valid_height = static_cast<std::uint32_t>(valid.at(0));
  mask.valid_width = static_cast<std::uint32_t>(valid.at(1));
  std::vector<std::uint16_t> pixels;
  ImageView image;
  if (arrays.contains("image")) {
    pixels = arrays.at("image").as<std::uint16_t>("<u2");
    image = {pixels.data(), PixelType::uint16};
  }

  PeakFinder finder;
  std::vector<Peak> peaks;
  const PeakSearch search = finder.find(mask, image, peaks);

  EXPECT_EQ(search.components, static_cast<std::uint64_t>(arrays.at("n8").as<std::int64_t>("<i8").at(0)));
  const auto expected = arrays.at("exp").as<double>("<f8");
  constexpr std::size_t kColumns = 14;
  ASSERT_EQ(peaks.size(), expected.size() / kColumns);
  for (std::size_t i = 0; i < peaks.size(); ++i) {
    SCOPED_TRACE("peak " + std::to_string(i));
    const double* row = expected.data() + i * kColumns;
    const Peak& peak = peaks[i];
    EXPECT_EQ(peak.panel, row[0]);
    EXPECT_NEAR(peak.y_weighted, row[1], 1e-9);
    EXPECT_NEAR(peak.x_weighted, row[2], 1e-9);
    EXPECT_NEAR(peak.y, row[3], 1e-9);
    EXPECT_NEAR(peak.x, row[4], 1e-9);
    EXPECT_EQ(static_cast<double>(peak.n_pixels), row[5]);
    EXPECT_EQ(peak.sum, row[6]);
    EXPECT_EQ(peak.max, row[7]);
    EXPECT_EQ(peak.y0, row[8]);
    EXPECT_EQ(peak.x0, row[9]);
    EXPECT_EQ(peak.y1, row[10]);
    EXPECT_EQ(peak.x1, row[11]);
    EXPECT_EQ(peak.weighted, row[12] != 0);
    EXPECT_EQ(static_cast<double>(peak.first_index), row[13]);
  }
}

INSTANTIATE_TEST_SUITE_P(Scipy, ReferenceFile,
                         testing::Values("01_512_sparse", "07_edges_touch_u_singles", "08_classes_0123", "13_odd_1x70",
                                         "13_odd_2x129", "13_odd_63x65", "14_512_no_image"),
                         [](const auto& file) { return std::string("File_") + file.param; });

}  // namespace
}  // namespace peaknet::writer
