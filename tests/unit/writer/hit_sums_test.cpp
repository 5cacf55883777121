// The sums of a run as a whole writer keeps them, beside its files.
#include "writer/hit_sums.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "base/must.hpp"
#include "tests/support/child.hpp"
#include "tests/unit/cxi/samples.hpp"
#include "tests/unit/writer/stage.hpp"

namespace peaknet::writer {
namespace {

using test::eventually;
using test::Stage;
using test::TempFolder;
using test::WriterThread;

std::vector<std::filesystem::path> sums_in(const TempFolder& folder, const std::string& run = "0001") {
  return sums_by_stem(folder.path())["peaknet_cxi_run" + run];
}

// What the finished files themselves say.
RunSums sums_of_files(const TempFolder& folder, const RunSums& shape) {
  RunSums sums;
  sums.height = shape.height;
  sums.width = shape.width;
  const std::size_t pixels = std::size_t{sums.height} * sums.width;
  sums.powder.assign(pixels, 0);
  sums.sum.assign(pixels, 0);
  sums.maximum.assign(pixels, 0);
  for (const auto& file : test::finished_files(folder.path())) {
    const auto images = test::numbers_of(file, "/entry_1/data_1/data");
    for (std::size_t i = 0; i < images.size(); ++i) {
      sums.sum[i % pixels] += images[i];
      sums.maximum[i % pixels] = std::max(sums.maximum[i % pixels], static_cast<float>(images[i]));
    }
    sums.hits += images.size() / pixels;
    const auto counts = test::numbers_of(file, "/entry_1/result_1/nPeaks");
    const auto x = test::numbers_of(file, "/entry_1/result_1/peakXPosRaw");
    const auto y = test::numbers_of(file, "/entry_1/result_1/peakYPosRaw");
    const std::size_t columns = counts.empty() ? 0 : x.size() / counts.size();
    for (std::size_t row = 0; row < counts.size(); ++row) {
      for (std::size_t i = 0; i < static_cast<std::size_t>(counts[row]); ++i) {
        const auto at = row * columns + i;
        ++sums.powder[static_cast<std::size_t>(std::lround(y[at])) * sums.width +
                      static_cast<std::size_t>(std::lround(x[at]))];
      }
    }
  }
  return sums;
}

TEST(HitSums, OfARunAreThoseOfItsFiles) {
  Stage stage;
  TempFolder folder;
  WriterThread writer(stage.settings(folder.path()));
  for (std::uint64_t i = 0; i < 33; ++i) ASSERT_TRUE(stage.feed({.number = i, .peaks = i % 4 == 1 ? 3U : 12U}));
  ASSERT_TRUE(stage.close_files());
  const RunSums sums = must(read_sums(folder.path() / "peaknet_cxi_run0001_master.cxi", kSumsInMaster));
  const RunSums files = sums_of_files(folder, sums);
  EXPECT_EQ(sums.hits, files.hits);
  EXPECT_EQ(sums.hits, 25U);
  EXPECT_EQ(sums.powder, files.powder);
  EXPECT_GT(*std::max_element(sums.powder.begin(), sums.powder.end()), 0U);
  EXPECT_GT(sums.summed, 0U);
  EXPECT_GT(sums.last_ns, 0);
  // On a machine that is late its time may not reach for all images.
  if (sums.summed == sums.hits) {
    EXPECT_EQ(sums.sum, files.sum);
    EXPECT_EQ(sums.maximum, files.maximum);
  }
  for (std::size_t i = 0; i < sums.sum.size(); ++i) ASSERT_LE(sums.sum[i], files.sum[i]) << i;
}

TEST(HitSums, AreThereWhileTheRunGoesOnAndBeginAnewWithTheNext) {
  Stage stage;
  TempFolder folder;
  WriterThread writer(stage.settings(folder.path()));
  for (std::uint64_t i = 0; i < 3; ++i) ASSERT_TRUE(stage.feed({.number = i}));
  ASSERT_TRUE(eventually([&] { return hits_in(sums_in(folder)) == 3; }));
  for (std::uint64_t i = 3; i < 7; ++i) ASSERT_TRUE(stage.feed({.number = i}));
  ASSERT_TRUE(eventually([&] { return hits_in(sums_in(folder)) == 7; })) << "the last hits too, though none follow";
  EXPECT_EQ(sums_in(folder).size(), 1U);
  ASSERT_TRUE(stage.close_files());
  stage.set_run("0002");
  for (std::uint64_t i = 7; i < 9; ++i) ASSERT_TRUE(stage.feed({.number = i}));
  ASSERT_TRUE(eventually([&] { return hits_in(sums_in(folder, "0002")) == 2; }));
  EXPECT_EQ(hits_in(sums_in(folder)), 7U);
}

TEST(HitSums, OfAWriterThatComesLaterAreAddedToThoseBefore) {
  Stage stage;
  TempFolder folder;
  for (std::uint64_t first : {0U, 5U}) {
    WriterThread writer(stage.settings(folder.path()));
    for (std::uint64_t i = first; i < first + 5; ++i) ASSERT_TRUE(stage.feed({.number = i}));
    ASSERT_TRUE(stage.close_files());
  }
  EXPECT_EQ(sums_in(folder).size(), 2U);
  const RunSums sums = must(read_sums(folder.path() / "peaknet_cxi_run0001_master.cxi", kSumsInMaster));
  EXPECT_EQ(sums.hits, 10U);
  EXPECT_EQ(sums.powder, sums_of_files(folder, sums).powder);
}

TEST(HitSums, AreNotMadeWhereNobodyWantsThem) {
  Stage stage;
  TempFolder folder;
  auto settings = stage.settings(folder.path());
  settings.output.sums = false;
  WriterThread writer(settings);
  for (std::uint64_t i = 0; i < 3; ++i) ASSERT_TRUE(stage.feed({.number = i}));
  ASSERT_TRUE(stage.close_files());
  EXPECT_TRUE(sums_in(folder).empty());
}

}  // namespace
}  // namespace peaknet::writer
