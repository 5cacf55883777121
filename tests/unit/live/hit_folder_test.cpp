#include "live/hit_folder.hpp"

#include <gtest/gtest.h>

#include "base/must.hpp"
#include "cxi/recovery.hpp"
#include "tests/unit/cxi/samples.hpp"

namespace peaknet::live {
namespace {

using test::finish_file;
using test::sample_facts;

// A writer at work on one file of the sample's events, step by step.
class GrowingFile {
 public:
  GrowingFile(std::filesystem::path final_path, const writer::FileFacts& facts)
      : path_(std::move(final_path)),
        facts_(facts),
        ledger_(must(writer::Ledger::create(path_, facts))),
        file_(must(writer::CxiFile::create(writer::part_of(path_), facts))) {}

  void add(std::uint64_t number) {
    const auto image = test::sample_image(number, facts_);
    std::span<const std::byte> stored(image);
    if (facts_.filter == writer::Filter::bitshuffle_lz4) stored = codec_.compress(image, 2);
    must(file_.append(test::sample_event(number), stored));
    must(ledger_.append(std::span(file_.events()).last(1)));
  }
  void finish() {
    must(file_.finish({}));
    must(writer::publish_name(writer::part_of(path_), path_));
    must(ledger_.remove());
  }
  void die() { file_.abandon(); }

 private:
  std::filesystem::path path_;
  writer::FileFacts facts_;
  writer::Ledger ledger_;
  writer::CxiFile file_;
  writer::BitshuffleLz4 codec_;
};

class HitFolderTest : public ::testing::Test {
 protected:
  HitFolderTest() { std::filesystem::create_directories(books()); }
  std::filesystem::path books() const { return folder_.path() / "live"; }
  std::filesystem::path file(int chunk, const std::string& run = "0217") const {
    const std::string number = std::to_string(chunk);
    return folder_.path() / ("p_run" + run + "_chunk000" + number + "_20261121_101500_00000" + number + "_w3.cxi");
  }
  std::unique_ptr<HitFolder> open(Order order = Order::all, const std::string& run = "", std::uint64_t keep = 1000) {
    return must(HitFolder::open({folder_.path(), books(), "p", run_name_, "live", run, order, keep}));
  }
  // Serves what waits, and checks it; the numbers of the sample's events.
  static std::vector<std::uint64_t> serve(HitFolder& folder, std::size_t most = 1000) {
    must(folder.look(true));
    std::vector<std::uint64_t> numbers;
    while (numbers.size() < most) {
      const auto hit = folder.take();
      if (!hit) break;
      const std::uint64_t number = hit->stored.event.key.producer_seq;
      EXPECT_EQ(must(folder.pixels(*hit)), test::sample_image(number, hit->file->facts())) << number;
      EXPECT_EQ(hit->stored.event.peaks, test::sample_event(number).peaks) << number;
      must(HitFolder::begin(*hit));
      folder.end(*hit, true);
      numbers.push_back(number);
    }
    return numbers;
  }
  using Numbers = std::vector<std::uint64_t>;
  test::TempFolder folder_;
  std::string run_name_ = "{run}";
};

TEST_F(HitFolderTest, ServesAFinishedRunInTheOrderOfItsFiles) {
  finish_file(folder_.path(), "0217", 1, 3, 2);
  finish_file(folder_.path(), "0217", 0, 0, 3);
  auto folder = open(Order::all, "0217");
  EXPECT_EQ(folder->counts().waiting, 5U);
  EXPECT_EQ(serve(*folder), (Numbers{0, 1, 2, 3, 4}));
  EXPECT_EQ(folder->counts().waiting, 0U);
  EXPECT_EQ(folder->counts().served, 5U);
}

TEST_F(HitFolderTest, ServesHitsAsTheyBecomeDurable) {
  for (const auto filter : {writer::Filter::none, writer::Filter::bitshuffle_lz4}) {
    auto facts = sample_facts();
    facts.filter = filter;
    GrowingFile growing(file(filter == writer::Filter::none ? 0 : 1), facts);
    const std::uint64_t first = filter == writer::Filter::none ? 0 : 10;
    auto folder = open();
    EXPECT_EQ(serve(*folder), Numbers{});
    growing.add(first);
    growing.add(first + 1);
    EXPECT_EQ(serve(*folder), (Numbers{first, first + 1}));
    growing.add(first + 2);
    growing.finish();
    EXPECT_EQ(serve(*folder), (Numbers{first + 2}));
    EXPECT_EQ(serve(*folder), Numbers{});
    EXPECT_FALSE(folder->growing());
  }
}

TEST_F(HitFolderTest, FindsTheSameEventsInAFileThatWasFinishedMeanwhile) {
  GrowingFile growing(file(0), sample_facts());
  growing.add(0);
  growing.add(1);
  auto folder = open();
  EXPECT_EQ(serve(*folder, 1), (Numbers{0}));
  growing.add(2);
  growing.finish();
  folder.reset();
  EXPECT_EQ(serve(*open()), (Numbers{1, 2}));
}

TEST_F(HitFolderTest, ServesOnceWhatADeadWriterLeftAndTheNextOneRecovered) {
  GrowingFile growing(file(0), sample_facts());
  growing.add(0);
  growing.add(1);
  growing.add(2);
  auto folder = open();
  EXPECT_EQ(serve(*folder, 1), (Numbers{0}));
  growing.die();
  {
    GrowingFile gone = std::move(growing);  // its lock goes
  }
  writer::Recovery recovery(folder_.path(), "sample");
  EXPECT_EQ(recovery.look().finished.size(), 1U);
  EXPECT_EQ(serve(*folder, 1), (Numbers{1}));  // out of the file that was open
  folder.reset();
  EXPECT_EQ(serve(*open()), (Numbers{2}));  // out of the one that was made anew
}

TEST_F(HitFolderTest, ServesEachHitOnceOverManyStarts) {
  for (int chunk = 0; chunk < 4; ++chunk)
    finish_file(folder_.path(), "0217", chunk, 5 * static_cast<std::uint64_t>(chunk), 5);
  Numbers all;
  for (int start = 0; start < 7; ++start) {
    const auto some = serve(*open(), 3);
    all.insert(all.end(), some.begin(), some.end());
  }
  ASSERT_EQ(all.size(), 20U);
  for (std::uint64_t i = 0; i < 20; ++i) EXPECT_EQ(all[i], i);
}

TEST_F(HitFolderTest, GivesBackAHitToItsPlace) {
  finish_file(folder_.path(), "0217", 0, 0, 3);
  auto folder = open();
  const auto first = folder->take();
  const auto second = folder->take();
  ASSERT_TRUE(first && second);
  EXPECT_EQ(folder->counts().waiting, 1U);
  must(HitFolder::begin(*second));
  folder->end(*second, false);
  folder->give_back(*second);
  folder->give_back(*first);
  EXPECT_EQ(serve(*folder), (Numbers{0, 1, 2}));
}

// A writer gives a file up when its disk fails, and writes what was in it once more.
TEST_F(HitFolderTest, ServesOnceAFrameThatStandsInTwoFiles) {
  finish_file(folder_.path(), "0217", 0, 0, 3);
  finish_file(folder_.path(), "0217", 1, 1, 3);
  auto folder = open();
  const auto first = folder->take();
  ASSERT_TRUE(first);
  finish_file(folder_.path(), "0217", 2, 0, 1);  // while it is on its way
  EXPECT_EQ(serve(*folder), (Numbers{1, 2, 3}));
  folder->give_back(*first);
  EXPECT_EQ(serve(*folder), (Numbers{0}));
  EXPECT_EQ(folder->counts().waiting, 0U);
}

TEST_F(HitFolderTest, ServesTheNewestFirstAndCountsWhatItSkips) {
  finish_file(folder_.path(), "0217", 0, 0, 4);
  finish_file(folder_.path(), "0217", 1, 4, 4);
  auto folder = open(Order::newest, "", 5);
  EXPECT_EQ(folder->counts().skipped, 3U);
  EXPECT_EQ(folder->counts().waiting, 5U);
  EXPECT_EQ(serve(*folder, 2), (Numbers{7, 6}));
  finish_file(folder_.path(), "0217", 2, 8, 1);
  EXPECT_EQ(serve(*folder), (Numbers{8, 5, 4, 3}));
  EXPECT_EQ(folder->counts().skipped, 3U);
}

TEST_F(HitFolderTest, StartsWithTheNewestRunAndGoesOnWithTheOneThatItHadBegun) {
  finish_file(folder_.path(), "0215", 0, 0, 1);
  finish_file(folder_.path(), "0216", 1, 1, 3);
  EXPECT_EQ(serve(*open(), 1), (Numbers{1}));  // 0216 is the newest
  finish_file(folder_.path(), "0217", 2, 4, 2);
  {
    auto folder = open();
    EXPECT_EQ(serve(*folder), (Numbers{2, 3, 4, 5}));
    must(folder->look(true));
  }
  EXPECT_EQ(open()->counts().served_before, 5U);  // of both
  EXPECT_EQ(serve(*open(Order::all, "0215")), (Numbers{0}));
}

TEST_F(HitFolderTest, FindsARunThatHasMoreThanItsIdInTheNamesOfItsFiles) {
  run_name_ = "{proposal}_{run}";
  finish_file(folder_.path(), "mfx_0217", 0, 0, 1);
  finish_file(folder_.path(), "mfx_0216", 1, 1, 1);
  finish_file(folder_.path(), "mfx_02170", 2, 2, 1);
  finish_file(folder_.path(), "lr_0217.r5", 3, 3, 1);
  auto folder = open(Order::all, "0217");
  EXPECT_EQ(serve(*folder), (Numbers{0, 3}));
  EXPECT_EQ(folder->served_of("0217"), 2U);
}

TEST_F(HitFolderTest, PassesOverAnImageThatIsNotWhatWasWritten) {
  GrowingFile growing(file(0), sample_facts());
  growing.add(0);
  auto folder = open();
  auto hit = folder->take();
  ASSERT_TRUE(hit);
  hit->stored.image->checksum ^= 1U;
  const auto pixels = folder->pixels(*hit);
  ASSERT_FALSE(pixels.ok());
  EXPECT_EQ(pixels.error().id, "image.damaged");
  folder->pass(*hit, pixels.error());
  EXPECT_EQ(folder->counts().unreadable, 1U);
  EXPECT_EQ(folder->counts().waiting, 0U);
}

TEST_F(HitFolderTest, CountsTheHitsOfAFileThatWasMovedAwayAsUnreadable) {
  finish_file(folder_.path(), "0217", 0, 0, 2);
  const auto moved = finish_file(folder_.path(), "0217", 1, 2, 3);
  auto folder = open();
  EXPECT_EQ(folder->counts().waiting, 5U);
  std::filesystem::rename(moved, folder_.path() / "elsewhere");
  EXPECT_EQ(serve(*folder), (Numbers{0, 1}));
  EXPECT_EQ(folder->counts().waiting, 0U);
  EXPECT_EQ(folder->counts().unreadable, 3U);
}

TEST_F(HitFolderTest, KeepsTheMaskOfAFileThatGrowsAndOfOneThatIsFinished) {
  auto facts = sample_facts();
  facts.bad = test::bad_mask(facts, {{0, 1, 2}, {1, 31, 64}});
  GrowingFile growing(file(0), facts);
  EXPECT_EQ(open()->newest(), nullptr);  // no event says yet how frames are padded
  growing.add(0);
  auto folder = open();
  EXPECT_EQ(serve(*folder, 0), Numbers{});
  const auto by_ledger = must(folder->newest()->mask());
  folder.reset();
  growing.finish();
  EXPECT_EQ(must(open()->newest()->mask()), by_ledger);
  EXPECT_EQ(by_ledger.at(1 * 65 + 2), 1);
  EXPECT_EQ(by_ledger.at(63 * 65 + 64), 1);
  EXPECT_EQ(by_ledger.at(0), 0);
}

}  // namespace
}  // namespace peaknet::live
