#include "cxi/outcome_log.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/instance.hpp"
#include "tests/unit/cxi/samples.hpp"

namespace peaknet::writer {
namespace {

using test::must;

class OutcomeLogTest : public ::testing::Test {
 protected:
  std::filesystem::path only() const { return folder_.path() / folder_.names().at(0); }
  OutcomeLogContents read() const { return must(read_outcome_log(only())); }

  test::TempFolder folder_;
  const OutcomeLogFacts facts_{"mfx", 77, 5, 1'790'000'000'123'456'789};
  OutcomeLog outcome_log_{folder_.path(), "p", facts_};
  const AccountingSnapshot accounting_{
      1'790'000'001'000'000'000, true, {{"committed", 9}, {"in_flight", 1}}, {{3, 7}, {4, 2}}};
};

TEST_F(OutcomeLogTest, GivesBackWhatWasPutIn) {
  EXPECT_TRUE(folder_.names().empty()) << "a writer without such frames leaves no book";
  const std::vector<FrameRange> one = {{FrameEnd::filtered, 3, 0, 1}};
  const std::vector<FrameRange> two = {{FrameEnd::failed_mask, 4, 9, 3}, {FrameEnd::failed_model, 3, 5, 1}};
  must(outcome_log_.append(one));
  must(outcome_log_.append(accounting_));
  must(outcome_log_.append(two));
  ASSERT_EQ(folder_.names().size(), 1U);
  EXPECT_EQ(only().filename(), "p_20260921_141320_123456_w5.frames") << "the time is UTC";
  const auto contents = read();
  EXPECT_EQ(contents.facts, facts_);
  EXPECT_EQ(contents.ends, (std::vector<FrameRange>{one[0], two[0], two[1]}));
  EXPECT_EQ(contents.accounting, std::vector<AccountingSnapshot>{accounting_});
  EXPECT_EQ(contents.torn_bytes + contents.damaged_bytes, 0U);
}

// A file system that was removed under the writer, and another one in its place.
TEST_F(OutcomeLogTest, WhatComesAfterItsFolderWasReplacedIsInTheNewFolder) {
  const auto place = folder_.path() / "out", old = folder_.path() / "old";
  const std::vector<FrameRange> before = {{FrameEnd::filtered, 3, 0, 1}}, after = {{FrameEnd::filtered, 3, 1, 1}};
  std::filesystem::create_directory(place);
  OutcomeLog log(place, "p", facts_);
  must(log.append(before));
  must(log.sync());
  std::filesystem::rename(place, old);
  must(log.append(after));
  EXPECT_EQ(log.sync().error().id, "output.folder-missing");
  EXPECT_TRUE(log.unsafe());
  std::filesystem::create_directory(place);
  must(log.sync());
  EXPECT_FALSE(log.unsafe());
  const auto name = std::filesystem::directory_iterator(place)->path();
  EXPECT_EQ(must(read_outcome_log(name)).ends, after);
  // The old one comes back beside it: one name, two contents, and none is written over.
  std::filesystem::rename(name, folder_.path() / "new.frames");
  std::filesystem::rename(old / name.filename(), name);
  must(log.append(before));
  EXPECT_FALSE(log.sync()) << "its name is taken";
  must(log.sync());
  EXPECT_EQ(must(read_outcome_log(name)).ends.front(), before.front());
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(place), std::filesystem::directory_iterator()), 2);
}

TEST_F(OutcomeLogTest, NeighboursWithOneEndAreOneEntry) {
  std::vector<FrameRange> ends;
  for (std::uint64_t i = 10; i < 20; ++i)
    ends.push_back({i < 15 ? FrameEnd::filtered : FrameEnd::failed_model, 3, i, 1});
  ends.push_back({FrameEnd::failed_model, 4, 20, 1});
  must(outcome_log_.append(ends));
  EXPECT_EQ(read().ends, (std::vector<FrameRange>{{FrameEnd::filtered, 3, 10, 5},
                                                  {FrameEnd::failed_model, 3, 15, 5},
                                                  {FrameEnd::failed_model, 4, 20, 1}}));
}

TEST_F(OutcomeLogTest, CutAnywhereItHoldsTheWholeRecordsBeforeTheCut) {
  std::vector<std::size_t> sizes;
  for (std::uint64_t i = 0; i < 4; ++i) {
    must(outcome_log_.append(std::vector<FrameRange>{{FrameEnd::filtered, 3, 2 * i, 1}}));
    sizes.push_back(std::filesystem::file_size(only()));
  }
  const auto bytes = test::read_all(only());
  const auto cut = folder_.path() / "z.frames";
  for (std::size_t size = sizes[0]; size <= bytes.size(); ++size) {
    test::write_all(cut, std::span(bytes).first(size));
    const auto whole = static_cast<std::size_t>(std::upper_bound(sizes.begin(), sizes.end(), size) - sizes.begin());
    // The last record's padding may be missing.
    const auto found = must(read_outcome_log(cut));
    EXPECT_GE(found.ends.size(), whole) << size;
    EXPECT_LE(found.ends.size(), whole + 1) << size;
    EXPECT_EQ(found.damaged_bytes, 0U);
  }
  test::write_all(cut, std::span(bytes).first(20));
  EXPECT_EQ(read_outcome_log(cut).error().id, "frame-book.no-header");
}

TEST_F(OutcomeLogTest, ADamagedRecordCostsItselfAndShows) {
  for (std::uint64_t i = 0; i < 3; ++i)
    must(outcome_log_.append(std::vector<FrameRange>{{FrameEnd::filtered, 3, 2 * i, 1}}));
  auto bytes = test::read_all(only());
  bytes[bytes.size() * 5 / 6 - 30] ^= std::byte{4};
  test::write_all(only(), bytes);
  const auto contents = read();
  EXPECT_EQ(contents.ends.size(), 2U);
  EXPECT_GT(contents.damaged_bytes + contents.torn_bytes, 0U);
}

TEST_F(OutcomeLogTest, IsSafeAfterASyncAndSaysSo) {
  EXPECT_FALSE(outcome_log_.unsafe());
  must(outcome_log_.append(accounting_));
  EXPECT_TRUE(outcome_log_.unsafe());
  must(outcome_log_.sync());
  EXPECT_FALSE(outcome_log_.unsafe());
}

// As when the folder was moved away in the middle of making it, and came back with what had been begun.
TEST_F(OutcomeLogTest, ANameThatIsTakenCostsOneTry) {
  must(outcome_log_.append(accounting_));
  OutcomeLog second(folder_.path(), "p", facts_);
  EXPECT_EQ(second.append(accounting_).error().id, "output.exists");
  must(second.append(accounting_));
  must(second.sync());
  ASSERT_EQ(folder_.names().size(), 2U);
  for (const auto& name : folder_.names())
    EXPECT_EQ(must(read_outcome_log(folder_.path() / name)).accounting.size(), 1U);
}

TEST_F(OutcomeLogTest, OnAFullDiskNothingCountsAndItGoesOnWhenThereIsSpace) {
  const test::SmallDisk disk(512 << 10);
  if (!disk.mounted()) GTEST_SKIP() << "mounting a tmpfs is not allowed here";
  const auto ballast = disk.path() / "ballast";
  test::write_all(ballast, std::vector<std::byte>(500 << 10));
  OutcomeLog log(disk.path(), "p", facts_);
  const std::vector<FrameRange> one = {{FrameEnd::filtered, 3, 0, 1}};
  EXPECT_EQ(log.append(one).error().id, "output.disk-full");
  std::filesystem::remove(ballast);
  must(log.append(one));
  must(log.sync());
  std::uint64_t accounting = 0;
  for (const auto& entry : std::filesystem::directory_iterator(disk.path())) {
    EXPECT_EQ(must(read_outcome_log(entry.path())).ends, one);
    ++accounting;
  }
  EXPECT_EQ(accounting, 1U);
}

}  // namespace
}  // namespace peaknet::writer
