#include "cxi/run_sums.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "base/must.hpp"
#include "cxi/run_master.hpp"
#include "tests/unit/cxi/samples.hpp"

namespace peaknet::writer {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// 2 x 3 pixels, the last one bad.
RunSums sample(std::uint64_t hits, double each) {
  RunSums sums;
  sums.height = 2;
  sums.width = 3;
  sums.powder.assign(6, static_cast<std::uint32_t>(hits));
  sums.sum.assign(6, each * static_cast<double>(hits));
  sums.maximum.assign(6, static_cast<float>(each));
  sums.sum[5] = kNan;
  sums.maximum[5] = std::numeric_limits<float>::quiet_NaN();
  sums.peakogram.counts[130] = static_cast<std::uint32_t>(hits);
  sums.peakogram.hits = hits - 1;
  sums.peakogram.lacks = "the photon energy is not known";
  sums.hits = sums.summed = hits;
  sums.first_ns = sums.last_ns = static_cast<std::int64_t>(hits) * 1000;
  sums.spent_s = 0.25;
  sums.span_s = 100;
  return sums;
}

class RunSumsTest : public ::testing::Test {
 protected:
  std::filesystem::path part(std::uint64_t writer) const { return sums_path(folder_.path(), "p_run1", writer, 0); }
  test::TempFolder folder_;
};

TEST_F(RunSumsTest, what_was_written_is_read) {
  must(write_sums(part(3), sample(7, 2.5), true));
  must(write_sums(part(3), sample(8, 2.5), false));
  const RunSums read = must(read_sums(part(3)));
  EXPECT_EQ(read.height, 2U);
  EXPECT_EQ(read.width, 3U);
  EXPECT_EQ(read.powder, std::vector<std::uint32_t>(6, 8));
  EXPECT_EQ(read.sum[0], 20.0);
  EXPECT_TRUE(std::isnan(read.sum[5]));
  EXPECT_EQ(read.maximum[4], 2.5F);
  EXPECT_EQ(read.hits, 8U);
  EXPECT_EQ(read.last_ns, 8000);
  EXPECT_EQ(read.spent_s, 0.25);
  EXPECT_EQ(read.peakogram.counts[130], 8U);
  EXPECT_EQ(read.peakogram.counts[131], 0U);
  EXPECT_EQ(read.peakogram.hits, 7U);
  EXPECT_EQ(read.peakogram.lacks, "the photon energy is not known");
  EXPECT_EQ(folder_.names(), std::vector<std::string>{"p_run1_w3_0.sums.h5"}) << "nothing half made is left";
}

TEST_F(RunSumsTest, those_of_several_writers_are_one) {
  must(write_sums(part(3), sample(7, 2.5), false));
  must(write_sums(part(4), sample(2, 4), false));
  must(write_sums(sums_path(folder_.path(), "p_run10", 4, 0), sample(100, 1), false));
  const auto files = sums_by_stem(folder_.path())["p_run1"];
  EXPECT_EQ(files.size(), 2U) << "of no other run";
  EXPECT_EQ(hits_in(files), 9U);
  const auto all = must(read_sums_of(files));
  ASSERT_TRUE(all);
  EXPECT_EQ(all->powder[0], 9U);
  EXPECT_EQ(all->sum[0], 25.5);
  EXPECT_EQ(all->maximum[0], 4.0F);
  EXPECT_TRUE(std::isnan(all->sum[5]) && std::isnan(all->maximum[5]));
  EXPECT_EQ(all->hits, 9U);
  EXPECT_EQ(all->peakogram.counts[130], 9U);
  EXPECT_EQ(all->first_ns, 2000);
  EXPECT_EQ(all->last_ns, 7000);
  EXPECT_FALSE(must(read_sums_of({})));
}

TEST_F(RunSumsTest, those_of_a_version_without_peakograms_are_read_and_say_so) {
  must(write_sums(part(3), sample(7, 2.5), false));
  {
    const H5Handle file(H5Fopen(part(3).c_str(), H5F_ACC_RDWR, H5P_DEFAULT), H5Fclose);
    ASSERT_GE(H5Ldelete(file.get(), "/sums/peakogram", H5P_DEFAULT), 0);
  }
  const RunSums read = must(read_sums(part(3)));
  EXPECT_EQ(read.hits, 7U);
  EXPECT_EQ(read.peakogram.hits, 0U);
  EXPECT_NE(read.peakogram.lacks, "");
}

TEST_F(RunSumsTest, one_without_an_image_takes_nothing_away) {
  RunSums none = sample(3, 0);
  none.summed = 0;
  none.sum.assign(6, kNan);
  none.maximum.assign(6, std::numeric_limits<float>::quiet_NaN());
  RunSums first = none;
  first.add(sample(7, 2));
  EXPECT_EQ(first.sum[0], 14.0);
  RunSums second = sample(7, 2);
  second.add(none);
  EXPECT_EQ(second.sum[0], 14.0);
  EXPECT_EQ(second.maximum[0], 2.0F);
  EXPECT_EQ(second.hits, 10U);
  EXPECT_EQ(second.summed, 7U);
}

TEST_F(RunSumsTest, a_name_tells_its_run_whatever_that_is_called) {
  for (const std::string& stem : std::vector<std::string>{"p_run1", "p_run1_w3", "p_run1_w3_0.sums", "p_runa.b-c"})
    EXPECT_EQ(stem_of_sums(sums_path("", stem, 12, 3).string()), stem);
  for (const char* other : {"p_run1_w3.sums.h5", "p_run1_w_0.sums.h5", "p_run1_w3_.sums.h5", "p_run1_w3_0.sums.h5.new",
                            "_w3_0.sums.h5", "p_run1_master.cxi", ""})
    EXPECT_EQ(stem_of_sums(other), std::nullopt) << other;
}

TEST_F(RunSumsTest, what_is_something_else_is_said_to_be) {
  std::ofstream(part(3)) << "no HDF5";
  EXPECT_FALSE(read_sums(part(3)));
  test::finish_file(folder_.path(), "1", 0, 0, 2);
  const auto other = read_sums(folder_.path() / folder_.names().front());
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().id, "sums.format");
}

TEST_F(RunSumsTest, the_master_of_a_run_that_is_over_has_them) {
  const auto file = test::finish_file(folder_.path(), "1", 0, 0, 3);
  const FilesInTime names{file.filename().string()};
  must(write_sums(part(3), sample(7, 2.5), false));
  const RunMaster master(folder_.path(), "p_run1");
  must(master.make(names));
  EXPECT_TRUE(master.shows(names));
  const auto sums = sums_by_stem(folder_.path())["p_run1"];
  EXPECT_FALSE(master.shows(names, sums));
  must(master.make(names, sums));
  EXPECT_TRUE(master.shows(names, sums));
  EXPECT_EQ(must(read_sums(master.path(), kSumsInMaster)).sum[0], 17.5);
  EXPECT_EQ(test::failing_items(file), "");

  // What cannot be read costs no master, and is not tried again and again.
  std::ofstream(part(4)) << "no HDF5";
  const auto more = sums_by_stem(folder_.path())["p_run1"];
  must(master.make(names, more));
  EXPECT_TRUE(master.shows(names, more));
}

}  // namespace
}  // namespace peaknet::writer
