#include "hits/bad_pixels.hpp"

#include <gtest/gtest.h>

#include "config/pixel_values.hpp"
#include "cxi/hdf5.hpp"
#include "tests/support/instance.hpp"
#include "tests/unit/cxi/samples.hpp"
#include "tests/unit/writer/stage.hpp"

namespace peaknet::writer {
namespace {

using test::must;

constexpr shm::Geometry kFrames{16, 2, 48, 64, PixelType::uint16};

class BadPixelsTest : public ::testing::Test {
 protected:
  // A file that calls this pixel bad, in the place of the one before.
  void put(std::uint32_t panel, std::uint32_t y, std::uint32_t x) const {
    std::filesystem::remove(path());
    const auto guard = use_hdf5();
    H5Handle file(H5Fcreate(path().c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), H5Fclose);
    std::vector<std::uint8_t> bad(kFrames.pixels());
    bad[(panel * 48 + y) * 64 + x] = 1;
    H5Writer(file.get(), path()).dataset("/bad", bad, 64);
  }
  std::filesystem::path path() const { return folder_.path() / "bad.h5"; }
  config::Config settings() const {
    config::Config config;
    config.preprocess.bad_pixels = path().string() + ":/bad";
    return config;
  }
  std::string digest() const {
    return must(config::read_bad_pixels({"bad_pixels", path().string() + ":/bad", {2, 48, 64}})).digest();
  }

  test::TempFolder folder_;
};

TEST_F(BadPixelsTest, AreThoseOfTheFileAndThoseThatTheGeometryLeavesOut) {
  put(1, 2, 3);
  BadPixels bad(settings());
  std::vector<std::uint64_t> left_out(96);
  left_out[5] = 6;
  const auto found = must(bad.of(kFrames, left_out, digest()));
  EXPECT_FALSE(found.differs);
  EXPECT_EQ(found.mask->words[48 + 2], 8U);
  EXPECT_EQ(found.mask->words[5], 6U);
  EXPECT_EQ(found.mask->count, 3U);
  EXPECT_EQ(found.mask->digest, digest());
  EXPECT_EQ(found.mask->of_model, digest());
}

TEST_F(BadPixelsTest, WithoutAFileThereAreNone) {
  BadPixels bad{config::Config()};
  const auto found = must(bad.of(kFrames, {}, ""));
  EXPECT_FALSE(found.differs);
  EXPECT_TRUE(found.mask->words.empty());
}

TEST_F(BadPixelsTest, AFileThatBothProgramsReadAnewIsTakenForNewResultsAlone) {
  put(0, 1, 1);
  BadPixels bad(settings());
  const std::string before = digest();
  const auto first = must(bad.of(kFrames, {}, before));
  put(0, 2, 2);
  const auto old = must(bad.of(kFrames, {}, before));
  EXPECT_EQ(old.mask, first.mask) << "results of the network before keep what it had";
  const auto second = must(bad.of(kFrames, {}, digest()));
  EXPECT_FALSE(second.differs);
  EXPECT_EQ(second.mask->words[2], 4U);
  EXPECT_EQ(second.mask->words[1], 0U);
  EXPECT_EQ(must(bad.of(kFrames, {}, before)).mask, first.mask);
}

TEST_F(BadPixelsTest, AnotherMaskThanTheNetworksIsNeverTakenInSilence) {
  put(0, 1, 1);
  BadPixels bad(settings());
  const auto found = must(bad.of(kFrames, {}, "00000000deadbeef"));
  ASSERT_TRUE(found.differs);
  EXPECT_EQ(found.differs->id, "preprocess.other-mask");
  EXPECT_NE(found.differs->text().find("00000000deadbeef"), std::string::npos);
  EXPECT_EQ(found.mask->digest, digest());
  EXPECT_EQ(found.mask->of_model, "00000000deadbeef");
  EXPECT_FALSE(must(bad.of(kFrames, {}, "00000000deadbeef")).differs) << "once is enough";
  BadPixels none{config::Config()};
  EXPECT_TRUE(must(none.of(kFrames, {}, digest())).differs);
  EXPECT_TRUE(must(BadPixels(settings()).of(kFrames, {}, "")).differs);
}

TEST_F(BadPixelsTest, WhatDoesNotFitIsRefused) {
  put(0, 1, 1);
  EXPECT_EQ(BadPixels(settings()).check({16, 1, 48, 64, PixelType::uint16}).error().id, "preprocess.bad-size");
  std::filesystem::remove(path());
  EXPECT_EQ(BadPixels(settings()).check(kFrames).error().id, "preprocess.unreadable");
}

TEST_F(BadPixelsTest, TheFilesOfAWriterHaveThemInTheirMaskAndNotInTheirPeaks) {
  test::Stage stage(kFrames);
  auto settings = stage.settings(folder_.path() / "out");
  settings.preprocess.bad_pixels = path().string() + ":/bad";
  settings.pool.shape = {2, 48, 64};
  settings.peaks.min_num_peak = 1;
  put(0, 0, 0);  // where frame 0 has a peak of two pixels
  {
    test::WriterThread writer(settings);
    ASSERT_TRUE(stage.feed({.number = 0, .peaks = 4}));
    ASSERT_TRUE(stage.close_files());
    writer.stop();
    EXPECT_EQ(writer.failure(), "");
  }
  const auto files = test::finished_files(folder_.path() / "out");
  ASSERT_EQ(files.size(), 1U);
  const auto mask = test::numbers_of(files[0], "/entry_1/data_1/mask");
  EXPECT_EQ(mask.at(0), 1);
  EXPECT_EQ(mask.at(1), 0);
  EXPECT_EQ(test::numbers_of(files[0], "/entry_1/result_1/peakNPixels").at(0), 1);
  EXPECT_EQ(test::numbers_of(files[0], "/entry_1/result_1/peakXPosRaw").at(0), 1);
  EXPECT_EQ(test::attribute_of(files[0], "/entry_1/peaknet", "bad_pixels"), digest());
  EXPECT_EQ(test::attribute_of(files[0], "/entry_1/peaknet", "bad_pixels_of_model"), "unknown");
}

}  // namespace
}  // namespace peaknet::writer
