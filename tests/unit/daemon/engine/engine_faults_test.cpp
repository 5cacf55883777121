// What a fault of a device costs, step by step on a test device: which frames come out as what, on whose account, and
// what the control segment says. That nothing else happens in any other order of steps is told in story_test.cpp.
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include "tests/unit/daemon/engine/seat.hpp"

namespace peaknet::engine::test {
namespace {

class EngineFaults : public testing::Test {
 protected:
  EngineFaults() {
    spdlog::set_level(spdlog::level::off);
    make(24, 1);
  }
  void make(std::uint32_t slots, std::uint32_t panels) {
    line.reset();
    line = std::make_unique<Line>(Line::Options{.slots = slots, .panels = panels});
    line->watch = order;
    line->gate.open("run");
  }
  std::unique_ptr<Seat> seat(Line::Choice choice) { return std::make_unique<Seat>(*line, order, time, choice); }
  // Until nobody can do anything any more; the writer takes what there is.
  void rest(std::initializer_list<Seat*> seats) {
    bool moved = true;
    while (moved) {
      moved = false;
      for (Seat* seat : seats) moved |= seat->turn() || seat->device_step();
      moved |= line->take_results(100) > 0;
    }
  }
  void expect_settled() {
    line->expect_settled();
    for (const auto& violation : order->violations()) ADD_FAILURE() << violation;
  }
  // The time that a device has for a batch, a second at a time as the worker looks.
  void pass_the_patience(std::initializer_list<Seat*> seats) {
    for (int second = 0; second < 11; ++second) {
      time.pass(1s);
      rest(seats);
    }
  }
  // What peaknetctl errors would show of one kind.
  std::uint64_t noted(const std::string& id) const {
    std::uint64_t count = 0;
    for (auto& participant : line->instance.layout().participants) {
      for (auto& error : participant.errors) {
        if (error.id.load() == id) count += error.count.load();
      }
    }
    return count;
  }

  std::shared_ptr<HappensBefore> order = std::make_shared<HappensBefore>();
  TestTime time;
  std::unique_ptr<Line> line;
};

TEST_F(EngineFaults, a_batch_that_is_too_large_for_the_memory_runs_in_smaller_ones_and_so_do_all_that_follow) {
  auto one = seat({.depth = 1, .batch = 8});
  one->start(1);
  EXPECT_EQ(line->record().batch.load(), 8U);
  one->faults().most_rows = 3;
  line->commit(8);
  rest({one.get()});
  EXPECT_EQ(line->record().batch.load(), 2U);
  EXPECT_EQ(line->record().rows_at_once.load(), 2U);
  EXPECT_EQ(line->record().buckets[1].load(), 2U);
  EXPECT_EQ(line->record().buckets[2].load(), 0U);
  EXPECT_EQ(line->record().shrinks.load(), 2U) << "8 -> 4 -> 2";
  EXPECT_EQ(line->record().model_errors.load(), 0U);
  EXPECT_EQ(noted("device.no-memory"), 2U);
  const auto retried = line->record().retried.load();
  line->commit(8);
  rest({one.get()});
  EXPECT_EQ(line->record().retried.load(), retried) << "the smaller size is kept";
  EXPECT_TRUE(line->failed().empty());
  expect_settled();
}

TEST_F(EngineFaults, an_event_with_more_panels_than_the_device_takes_at_once_is_split_and_its_mask_joined) {
  for (const std::uint32_t rows : {1U, 2U, 3U, 4U}) {
    make(24, 5);
    auto one = seat({.depth = 2, .batch = 4});
    one->start(rows, [&](TestDeviceHandle& faults) { faults.most_rows = rows; });
    ASSERT_TRUE(one->works());
    line->commit(9);
    rest({one.get()});
    EXPECT_EQ(line->record().batch.load(), 1U);
    EXPECT_EQ(line->record().rows_at_once.load(), rows == 1 ? 1U : 2U) << "5 -> 2 -> 1";
    EXPECT_EQ(line->record().split.load(), 9U);
    EXPECT_EQ(line->record().padded_rows.load(), rows == 1 ? 0U : 9U) << "three passes of two rows have room for six";
    EXPECT_TRUE(line->failed().empty());
    expect_settled();
  }
}

TEST_F(EngineFaults, what_does_not_fit_from_the_start_is_never_tried_with_a_frame) {
  auto one = seat({.depth = 2, .batch = 8});
  one->start(1, [](TestDeviceHandle& faults) { faults.most_rows = 5; });
  EXPECT_EQ(line->record().batch.load(), 4U);
  line->commit(20);
  rest({one.get()});
  EXPECT_EQ(line->record().retried.load(), 0U);
  expect_settled();
}

TEST_F(EngineFaults, lanes_that_do_not_fit_are_made_smaller) {
  const std::size_t row = 8 * 96 * sizeof(float);
  auto one = seat({.depth = 2, .batch = 8});
  one->start(1, [&](TestDeviceHandle& faults) { faults.most_bytes = 6 * std::max(row, shm::kPage); });
  ASSERT_TRUE(one->works());
  EXPECT_EQ(line->record().batch.load(), 4U);
  EXPECT_EQ(line->record().shrinks.load(), 1U);
  line->commit(20);
  rest({one.get()});
  expect_settled();
}

TEST_F(EngineFaults, a_device_that_has_no_room_for_one_row_is_lost_and_its_frames_are_no_suspects) {
  auto one = seat({.depth = 2, .batch = 4});
  one->start(1);
  one->faults().most_rows = 0;
  line->commit(6);
  rest({one.get()});
  EXPECT_FALSE(one->taken());
  EXPECT_EQ(line->record().state.load(), "lost");
  EXPECT_NE(line->record().error.load().find("device.no-memory"), std::string::npos);
  EXPECT_EQ(line->in(SlotState::ready), 6U);
  auto other = seat({.depth = 1, .batch = 8, .index = 1});
  other->start(2);
  rest({other.get()});
  EXPECT_EQ(line->record(1).batches.load(), 1U) << "all in one batch: nobody suspects them";
  expect_settled();
}

TEST_F(EngineFaults, what_fails_once_is_tried_again_as_it_is) {
  auto one = seat({.depth = 1, .batch = 4});
  one->start(1);
  one->faults().failing_runs = 3;
  line->commit(4);
  rest({one.get()});
  EXPECT_EQ(line->record().batches.load(), 1U) << "the four of them together";
  EXPECT_EQ(line->record().retried.load(), 12U);
  EXPECT_EQ(line->record().model_errors.load(), 0U);
  EXPECT_TRUE(line->failed().empty());
  expect_settled();
}

TEST_F(EngineFaults, what_fails_every_time_is_an_error_of_the_frames_and_the_device_goes_on) {
  auto one = seat({.depth = 1, .batch = 2});
  one->start(1);
  one->faults().failing_runs = 4 + 4;  // the batch; then the first frame alone
  line->may_be_unlucky = 1;
  line->commit(2);
  rest({one.get()});
  EXPECT_EQ(line->failed(), (std::set<std::uint64_t>{0}));
  EXPECT_EQ(line->record().model_errors.load(), 1U);
  EXPECT_EQ(noted("device.transient"), 1U);
  line->commit(5);
  rest({one.get()});
  EXPECT_EQ(line->failed().size(), 1U);
  expect_settled();
}

TEST_F(EngineFaults, nothing_is_published_of_a_device_that_is_lost_although_its_events_look_done) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    make(24, 1);
    auto one = seat({.depth = 3, .batch = 2});
    one->start(seed);
    line->commit(6);
    while (line->in(SlotState::inferring) < 6) ASSERT_TRUE(one->turn());
    for (unsigned i = 0; i < seed; ++i) one->device_step();
    one->device()->break_down();
    rest({one.get()});
    EXPECT_EQ(line->record().frames.load(), 0U);
    EXPECT_EQ(line->in(SlotState::ready), 6U);
    EXPECT_EQ(line->instance.total(Counter::redelivered), 6U) << "each of them once";
    EXPECT_NE(line->record().error.load().find("device.lost"), std::string::npos);
    auto other = seat({.depth = 3, .batch = 4, .index = 1});
    other->start(seed);
    rest({other.get()});
    EXPECT_EQ(line->record(1).batches.load(), 6U) << "suspects go alone";
    EXPECT_TRUE(line->failed().empty()) << "and are found innocent";
    expect_settled();
  }
}

TEST_F(EngineFaults,
       a_frame_that_takes_two_devices_down_is_not_offered_to_a_third_and_the_others_of_its_batch_are_saved) {
  auto one = seat({.depth = 2, .batch = 8, .index = 0});
  auto two = seat({.depth = 2, .batch = 8, .index = 1});
  auto three = seat({.depth = 2, .batch = 8, .index = 2});
  one->start(1);
  for (int i = 0; i < 12; ++i) line->commit_one(i == 5 ? Nature::killer : Nature::good);
  rest({one.get()});
  EXPECT_FALSE(one->taken());
  two->start(2);
  rest({two.get()});
  EXPECT_FALSE(two->taken());
  EXPECT_EQ(line->failed(), (std::set<std::uint64_t>{5}));
  EXPECT_EQ(line->record(1).quarantined.load(), 1U);
  EXPECT_EQ(noted("frame.quarantined"), 1U);
  three->start(3);
  rest({three.get()});
  EXPECT_TRUE(three->works()) << "it never saw the killer";
  EXPECT_EQ(line->failed().size(), 1U);
  expect_settled();
}

TEST_F(EngineFaults, a_device_that_is_stuck_is_lost_after_a_time_and_its_frames_go_to_the_others) {
  auto one = seat({.depth = 2, .batch = 2});
  auto two = seat({.depth = 2, .batch = 4, .index = 1});
  one->start(1);
  line->commit(4);
  while (line->in(SlotState::inferring) < 4) ASSERT_TRUE(one->turn());
  one->device()->stick(false);
  rest({one.get()});
  EXPECT_TRUE(one->works()) << "it may just be slow";
  EXPECT_EQ(line->in(SlotState::inferring), 4U);
  ASSERT_TRUE(one->due().has_value()) << "it asks to be woken in time to say so";
  pass_the_patience({one.get()});
  EXPECT_FALSE(one->taken());
  EXPECT_NE(line->record().error.load().find("device.stuck"), std::string::npos);
  EXPECT_EQ(line->in(SlotState::ready), 4U);
  two->start(2);
  rest({two.get()});
  expect_settled();
}

TEST_F(EngineFaults, a_daemon_that_was_stopped_itself_does_not_take_its_device_for_stuck) {
  auto one = seat({.depth = 1, .batch = 4});
  one->start(1);
  line->commit(4);
  while (line->in(SlotState::inferring) < 4) ASSERT_TRUE(one->turn());
  time.pass(24h);
  while (one->turn()) {
  }
  EXPECT_TRUE(one->works());
  rest({one.get()});
  expect_settled();
}

TEST_F(EngineFaults,
       a_stuck_device_that_may_still_write_keeps_its_slots_until_it_lets_go_and_nobody_gets_a_frame_twice) {
  auto one = seat({.depth = 2, .batch = 2});
  auto two = seat({.depth = 2, .batch = 4, .index = 1});
  one->start(1);
  two->start(2);
  line->commit(4);
  while (line->in(SlotState::inferring) < 4) ASSERT_TRUE(one->turn());
  one->device()->stick(true);
  line->commit(6);
  rest({one.get(), two.get()});
  pass_the_patience({one.get(), two.get()});
  EXPECT_EQ(one->loop().state(), WorkerState::lost);
  EXPECT_EQ(line->in(SlotState::inferring), 4U) << "who knows what it does with their slots";
  EXPECT_EQ(line->in(SlotState::free), 20U) << "the other device goes on";
  one->device()->free_streams();
  rest({one.get(), two.get()});
  EXPECT_FALSE(one->taken());
  expect_settled();
}

TEST_F(EngineFaults, a_model_that_says_the_device_is_lost_is_believed) {
  auto one = seat({.depth = 2, .batch = 2});
  one->start(1);
  line->script->device_lost.store(true);
  line->commit(4);
  rest({one.get()});
  EXPECT_FALSE(one->taken());
  line->script->device_lost.store(false);
  auto other = seat({.depth = 1, .batch = 4, .index = 1});
  other->start(2);
  rest({other.get()});
  EXPECT_EQ(line->record(1).batches.load(), 4U) << "all four were suspects";
  expect_settled();
}

}  // namespace
}  // namespace peaknet::engine::test
