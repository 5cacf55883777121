// Why a worker sleeps: each cause is made alone, step by step, and counted where stats show it. On the test device each
// sleep lasts a nanosecond, so the counters count sleeps.
#include <gtest/gtest.h>

#include "tests/unit/daemon/engine/seat.hpp"

namespace peaknet::engine::test {
namespace {

class EngineWaits : public testing::Test {
 protected:
  void make(std::uint32_t slots, Line::Choice choice) {
    line = std::make_unique<Line>(Line::Options{.slots = slots});
    seat = std::make_unique<Seat>(*line, order, time, choice);
    seat->start(1);
  }
  // Until it sleeps; the device stands still.
  void until_asleep() {
    while (seat->turn()) {
    }
  }
  void rest() {
    bool moved = true;
    while (moved) moved = seat->turn() || seat->device_step();
  }
  // What it slept for the last time, when something has woken it.
  std::map<std::string, std::uint64_t> sleeps() const {
    const auto& waited = line->record().waited_ns;
    std::map<std::string, std::uint64_t> all;
    constexpr std::array<const char*, 5> kNames = {"no_frame", "no_lane", "forming", "stopped", "writer_behind"};
    for (std::size_t i = 0; i < kNames.size(); ++i) {
      if (waited[i].load() != 0) all[kNames[i]] = waited[i].load();
    }
    return all;
  }
  using Sleeps = std::map<std::string, std::uint64_t>;

  std::shared_ptr<HappensBefore> order = std::make_shared<HappensBefore>();
  TestTime time;
  std::unique_ptr<Line> line;
  std::unique_ptr<Seat> seat;
};

TEST_F(EngineWaits, nobody_may_take_frames) {
  make(8, {});
  until_asleep();
  line->commit(1);
  EXPECT_FALSE(seat->turn()) << "frames that nobody may take do not wake it";
  line->gate.open("run");
  until_asleep();
  EXPECT_EQ(sleeps(), (Sleeps{{"stopped", 1}}));
  rest();
}

TEST_F(EngineWaits, no_frame_is_there) {
  make(8, {});
  line->gate.open("run");
  until_asleep();
  line->commit(1);
  until_asleep();
  EXPECT_EQ(sleeps(), (Sleeps{{"no_frame", 1}}));
  rest();
}

TEST_F(EngineWaits, every_lane_is_on_the_device) {
  make(8, {.depth = 1, .batch = 2});
  line->gate.open("run");
  line->commit(4);
  until_asleep();
  EXPECT_EQ(line->in(SlotState::inferring), 2U);
  line->commit(1);
  EXPECT_FALSE(seat->turn()) << "a frame more is no use while there is no lane";
  while (seat->device_step()) {
  }
  until_asleep();
  EXPECT_EQ(sleeps(), (Sleeps{{"no_lane", 1}}));
  rest();
}

TEST_F(EngineWaits, a_batch_is_forming_until_it_is_full_or_late) {
  make(12, {.depth = 3, .batch = 4, .max_delay = 1ms});
  line->gate.open("run");
  line->commit(1);
  until_asleep();
  EXPECT_EQ(line->in(SlotState::inferring), 1U) << "the device was idle";
  line->commit(2);
  until_asleep();
  EXPECT_EQ(line->in(SlotState::ready), 2U) << "the device has work: these wait for company";
  ASSERT_TRUE(seat->due().has_value());
  time.reach(*seat->due());
  until_asleep();
  EXPECT_EQ(line->in(SlotState::ready), 0U) << "no longer than max_delay";
  line->commit(1);
  until_asleep();
  line->commit(3);
  until_asleep();
  EXPECT_EQ(line->in(SlotState::ready), 0U) << "a full batch goes at once";
  EXPECT_EQ(sleeps(), (Sleeps{{"forming", 2}, {"no_frame", 2}}));
  rest();
}

TEST_F(EngineWaits, the_writer_is_behind_when_every_slot_holds_a_result) {
  make(3, {.depth = 1, .batch = 2});
  line->gate.open("run");
  line->commit(3);
  rest();
  EXPECT_EQ(line->in(SlotState::done), 3U);
  const auto before = sleeps();
  EXPECT_EQ(line->take_results(1), 1U);
  line->commit(1);  // the first slot that the writer was done with
  rest();
  const auto after = sleeps();
  EXPECT_EQ(after.at("writer_behind"), (before.contains("writer_behind") ? before.at("writer_behind") : 0) + 1);
  line->take_results(10);
  line->expect_settled();
}

}  // namespace
}  // namespace peaknet::engine::test
