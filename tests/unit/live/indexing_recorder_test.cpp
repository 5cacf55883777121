#include "live/indexing_recorder.hpp"

#include <gtest/gtest.h>

#include <memory>

#include "shm/clock.hpp"
#include "tests/support/instance.hpp"

namespace peaknet::live {
namespace {

using test::TestInstance;

std::map<std::string, RunTally> tally(const std::string& run, std::uint64_t frames, const std::vector<double>& a_nm) {
  RunTally of_run{.frames = frames, .indexed = a_nm.size(), .crystals = a_nm.size(), .cell = {}};
  for (const double a : a_nm) of_run.cell[0].add(a);
  RunTally nameless;
  nameless.frames = 4;
  return {{run, of_run}, {"", nameless}};
}

std::optional<std::uint64_t> unknown(const std::string&) { return std::nullopt; }

class IndexingRecorderTest : public ::testing::Test {
 protected:
  std::optional<shm::IndexingFigures> recorded() const {
    return shm::load(instance_->layout().indexing, shm::monotonic_ns());
  }
  std::unique_ptr<TestInstance> instance_ = std::make_unique<TestInstance>();
};

TEST_F(IndexingRecorderTest, RecordsTheRunThatIsOn) {
  IndexingRecorder recorder(instance_->name(), "");
  recorder.record(tally("0217", 3, {7.0, 8.0}), unknown);
  EXPECT_FALSE(recorded()) << "no run yet";
  instance_->layout().run.id.store("0217");
  recorder.record(tally("0217", 3, {7.0, 8.0}),
                  [](const std::string& run) { return run == "0217" ? std::optional(5U) : std::nullopt; });
  ASSERT_TRUE(recorded());
  EXPECT_EQ(recorded()->run_id(), "0217");
  EXPECT_EQ(recorded()->served, 5U);
  EXPECT_EQ(recorded()->frames, 3U);
  EXPECT_EQ(recorded()->indexed, 2U);
  EXPECT_EQ(recorded()->nameless, 4U);
  EXPECT_EQ(recorded()->cell[0].mean, 7.5);
  EXPECT_EQ(recorded()->cell[1].crystals, 0U);
  instance_->layout().run.id.store("0218");
  recorder.record(tally("0217", 3, {7.0, 8.0}), unknown);
  EXPECT_EQ(recorded()->run_id(), "0218");
  EXPECT_EQ(recorded()->frames, 0U);
  EXPECT_EQ(recorded()->served, shm::IndexingFigures::kUnknown);
}

TEST_F(IndexingRecorderTest, OneAtATimeAndTheNextWhenItHasGone) {
  instance_->layout().run.id.store("1");
  auto first = std::make_unique<IndexingRecorder>(instance_->name(), "");
  IndexingRecorder second(instance_->name(), "");
  first->record(tally("1", 3, {}), unknown);
  second.record(tally("1", 9, {}), unknown);
  EXPECT_EQ(recorded()->frames, 3U);
  first.reset();
  EXPECT_EQ(recorded()->frames, 3U) << "it stands";
  second.record(tally("1", 9, {}), unknown);
  EXPECT_EQ(recorded()->frames, 9U);
}

TEST_F(IndexingRecorderTest, OneThatServesAnOldRunLeavesTheRecordToOthers) {
  instance_->layout().run.id.store("2");
  IndexingRecorder old(instance_->name(), "1"), now(instance_->name(), "");
  old.record(tally("1", 3, {}), unknown);
  EXPECT_FALSE(recorded());
  now.record(tally("2", 9, {}), unknown);
  EXPECT_EQ(recorded()->frames, 9U);
}

TEST_F(IndexingRecorderTest, HindersNoRemovalAndFollowsTheInstanceThatComesAfter) {
  instance_->layout().run.id.store("1");
  IndexingRecorder recorder(instance_->name(), "");
  recorder.record(tally("1", 3, {}), unknown);
  ASSERT_TRUE(instance_->owner().remove_if_unused());
  recorder.record(tally("1", 4, {}), unknown);
  auto again = shm::InstanceOwner::take(instance_->name(), {});
  ASSERT_TRUE(again);
  again->control_segment()->layout().run.id.store("1");
  recorder.record(tally("1", 5, {}), unknown);
  const auto now = shm::load(again->control_segment()->layout().indexing, shm::monotonic_ns());
  ASSERT_TRUE(now);
  EXPECT_EQ(now->frames, 5U);
  EXPECT_TRUE(again->remove_if_unused());
}

TEST(IndexingRecorder, IsQuietWithoutAnInstance) {
  IndexingRecorder recorder(TestInstance::unique_name(), "");
  recorder.record(tally("1", 3, {}), unknown);
}

}  // namespace
}  // namespace peaknet::live
