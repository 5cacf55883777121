#include "writer/cxi/frame_book.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/instance.hpp"
#include "tests/unit/writer/cxi/samples.hpp"

namespace peaknet::writer {
namespace {

using test::must;

class FrameBookTest : public ::testing::Test {
 protected:
  std::filesystem::path only() const { return folder_.path() / folder_.names().at(0); }
  FrameBookContents read() const { return must(read_frame_book(only())); }

  test::TempFolder folder_;
  const FrameBookFacts facts_{"mfx", 77, 5, 1'790'000'000'123'456'789};
  FrameBook book_{folder_.path(), "p", facts_};
  const BooksThen books_{1'790'000'001'000'000'000, true, {{"committed", 9}, {"in_flight", 1}}, {{3, 7}, {4, 2}}};
};

TEST_F(FrameBookTest, GivesBackWhatWasPutIn) {
  EXPECT_TRUE(folder_.names().empty()) << "a writer without such frames leaves no book";
  const std::vector<FrameRange> one = {{FrameEnd::filtered, 3, 0, 1}};
  const std::vector<FrameRange> two = {{FrameEnd::failed_mask, 4, 9, 3}, {FrameEnd::failed_model, 3, 5, 1}};
  must(book_.append(one));
  must(book_.append(books_));
  must(book_.append(two));
  ASSERT_EQ(folder_.names().size(), 1U);
  EXPECT_EQ(only().filename(), "p_20260921_141320_123456_w5.frames") << "the time is UTC";
  const auto contents = read();
  EXPECT_EQ(contents.facts, facts_);
  EXPECT_EQ(contents.ends, (std::vector<FrameRange>{one[0], two[0], two[1]}));
  EXPECT_EQ(contents.books, std::vector<BooksThen>{books_});
  EXPECT_EQ(contents.torn_bytes + contents.damaged_bytes, 0U);
}

TEST_F(FrameBookTest, NeighboursWithOneEndAreOneEntry) {
  std::vector<FrameRange> ends;
  for (std::uint64_t i = 10; i < 20; ++i)
    ends.push_back({i < 15 ? FrameEnd::filtered : FrameEnd::failed_model, 3, i, 1});
  ends.push_back({FrameEnd::failed_model, 4, 20, 1});
  must(book_.append(ends));
  EXPECT_EQ(read().ends, (std::vector<FrameRange>{{FrameEnd::filtered, 3, 10, 5},
                                                  {FrameEnd::failed_model, 3, 15, 5},
                                                  {FrameEnd::failed_model, 4, 20, 1}}));
}

TEST_F(FrameBookTest, CutAnywhereItHoldsTheWholeRecordsBeforeTheCut) {
  std::vector<std::size_t> sizes;
  for (std::uint64_t i = 0; i < 4; ++i) {
    must(book_.append(std::vector<FrameRange>{{FrameEnd::filtered, 3, 2 * i, 1}}));
    sizes.push_back(std::filesystem::file_size(only()));
  }
  const auto bytes = test::read_all(only());
  const auto cut = folder_.path() / "z.frames";
  for (std::size_t size = sizes[0]; size <= bytes.size(); ++size) {
    test::write_all(cut, std::span(bytes).first(size));
    const auto whole = static_cast<std::size_t>(std::upper_bound(sizes.begin(), sizes.end(), size) - sizes.begin());
    // The last record's padding may be missing.
    const auto found = must(read_frame_book(cut));
    EXPECT_GE(found.ends.size(), whole) << size;
    EXPECT_LE(found.ends.size(), whole + 1) << size;
    EXPECT_EQ(found.damaged_bytes, 0U);
  }
  test::write_all(cut, std::span(bytes).first(20));
  EXPECT_EQ(read_frame_book(cut).error().id, "frame-book.no-header");
}

TEST_F(FrameBookTest, ADamagedRecordCostsItselfAndShows) {
  for (std::uint64_t i = 0; i < 3; ++i) must(book_.append(std::vector<FrameRange>{{FrameEnd::filtered, 3, 2 * i, 1}}));
  auto bytes = test::read_all(only());
  bytes[bytes.size() * 5 / 6 - 30] ^= std::byte{4};
  test::write_all(only(), bytes);
  const auto contents = read();
  EXPECT_EQ(contents.ends.size(), 2U);
  EXPECT_GT(contents.damaged_bytes + contents.torn_bytes, 0U);
}

TEST_F(FrameBookTest, IsSafeAfterASyncAndSaysSo) {
  EXPECT_FALSE(book_.unsafe());
  must(book_.append(books_));
  EXPECT_TRUE(book_.unsafe());
  must(book_.sync());
  EXPECT_FALSE(book_.unsafe());
}

// As when the folder was moved away in the middle of making it, and came back with what had been begun.
TEST_F(FrameBookTest, ANameThatIsTakenCostsOneTry) {
  must(book_.append(books_));
  FrameBook second(folder_.path(), "p", facts_);
  EXPECT_EQ(second.append(books_).error().id, "output.exists");
  must(second.append(books_));
  must(second.sync());
  ASSERT_EQ(folder_.names().size(), 2U);
  for (const auto& name : folder_.names()) EXPECT_EQ(must(read_frame_book(folder_.path() / name)).books.size(), 1U);
}

TEST_F(FrameBookTest, OnAFullDiskNothingCountsAndItGoesOnWhenThereIsSpace) {
  const test::SmallDisk disk(512 << 10);
  if (!disk.mounted()) GTEST_SKIP() << "mounting a tmpfs is not allowed here";
  const auto ballast = disk.path() / "ballast";
  test::write_all(ballast, std::vector<std::byte>(500 << 10));
  FrameBook book(disk.path(), "p", facts_);
  const std::vector<FrameRange> one = {{FrameEnd::filtered, 3, 0, 1}};
  EXPECT_EQ(book.append(one).error().id, "output.disk-full");
  std::filesystem::remove(ballast);
  must(book.append(one));
  must(book.sync());
  std::uint64_t books = 0;
  for (const auto& entry : std::filesystem::directory_iterator(disk.path())) {
    EXPECT_EQ(must(read_frame_book(entry.path())).ends, one);
    ++books;
  }
  EXPECT_EQ(books, 1U);
}

}  // namespace
}  // namespace peaknet::writer
