#include "daemon/engine/shedding.hpp"

#include <gtest/gtest.h>

#include <numeric>

#include "shm/errors.hpp"
#include "tests/unit/daemon/engine/seat.hpp"

namespace peaknet::engine::test {
namespace {

// --- the levels alone

class ShedLevels {
 public:
  explicit ShedLevels(const SheddingOptions& options = {.smaller_model = true}) : shedding(options) {}
  // Looks four times a second for so long; the level afterwards.
  std::uint32_t after(std::chrono::milliseconds span, std::uint32_t waiting, std::uint32_t free) {
    for (std::chrono::milliseconds past{0}; past < span; past += 250ms) {
      time.pass(250ms);
      if (shedding.look(time.now(), waiting, free)) ++steps;
    }
    return shedding.level();
  }
  Shedding shedding;
  TestTime time;
  std::uint32_t steps = 0;
};

TEST(Shedding, a_backlog_must_last_before_a_rung_is_climbed_and_each_rung_takes_its_time) {
  ShedLevels shed_levels;
  EXPECT_EQ(shed_levels.after(2000ms, 80, 20), 0U);
  EXPECT_EQ(shed_levels.after(250ms, 80, 20), 1U);
  EXPECT_EQ(shed_levels.after(2000ms, 80, 20), 1U);
  EXPECT_EQ(shed_levels.after(250ms, 80, 20), 2U);
}

TEST(Shedding, one_look_without_backlog_begins_the_time_anew) {
  ShedLevels shed_levels;
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(shed_levels.after(2000ms, 80, 20), 0U);
    EXPECT_EQ(shed_levels.after(250ms, 60, 40), 0U);
  }
}

TEST(Shedding, between_the_two_thresholds_nothing_changes_whichever_rung_it_is) {
  ShedLevels shed_levels;
  EXPECT_EQ(shed_levels.after(1h, 60, 40), 0U);
  ASSERT_EQ(shed_levels.after(4500ms, 90, 10), 2U);
  EXPECT_EQ(shed_levels.after(1h, 41, 59), 2U);
  EXPECT_EQ(shed_levels.after(1h, 69, 31), 2U);
  EXPECT_EQ(shed_levels.steps, 2U);
}

TEST(Shedding, it_descends_more_slowly_than_it_climbs_and_ends_at_the_bottom) {
  ShedLevels shed_levels;
  ASSERT_EQ(shed_levels.after(1h, 100, 0), 5U) << "hurry, smaller model, 1 of 2, 4, 8";
  EXPECT_EQ(shed_levels.after(10s, 0, 100), 5U);
  EXPECT_EQ(shed_levels.after(250ms, 0, 100), 4U);
  EXPECT_EQ(shed_levels.after(1h, 0, 100), 0U);
  EXPECT_EQ(shed_levels.steps, 10U);
}

TEST(Shedding, a_rung_keeps_what_those_below_it_do_and_the_top_is_what_was_asked_for) {
  ShedLevels shed_levels({.smaller_model = true, .keep_one_of = 5});
  const auto raise_one = [&] {
    shed_levels.after(2250ms, 100, 0);
    return shed_levels.shedding.effort();
  };
  EXPECT_FALSE(shed_levels.shedding.effort().hurry);
  EXPECT_TRUE(raise_one().hurry);
  EXPECT_TRUE(raise_one().smaller_model);
  for (const std::uint32_t keep : {2U, 4U, 5U, 5U}) {
    const ShedLevel effort = raise_one();
    EXPECT_EQ(effort.keep_one_of, keep);
    EXPECT_TRUE(effort.hurry && effort.smaller_model);
  }
  EXPECT_EQ(Shedding({.keep_one_of = 1}).levels(), 2U) << "no frame is skipped where one of one is kept";
}

TEST(Shedding, slots_on_devices_and_with_writers_are_no_backlog) {
  ShedLevels shed_levels;
  EXPECT_EQ(shed_levels.after(1h, 0, 0), 0U);
}

TEST(Shedding, of_so_many_frames_in_a_row_exactly_one_is_kept_however_they_are_cut_into_batches) {
  for (const std::uint32_t keep : {2U, 3U, 8U}) {
    Shedding shedding({});
    std::mt19937 random(keep);
    std::vector<std::uint64_t> kept;
    std::uint64_t frames = 0;
    while (frames < 10'000) {
      const auto count = static_cast<std::uint32_t>(random() % 20);
      for (std::uint64_t i = shedding.skip_first(count, keep); i < count; i += keep) kept.push_back(frames + i);
      frames += count;
    }
    for (std::size_t i = 0; i < kept.size(); ++i) ASSERT_EQ(kept[i], i * keep);
    EXPECT_EQ(kept.size(), (frames + keep - 1) / keep);
  }
}

// --- what a worker does of it

struct Shed {
  explicit Shed(Line::Choice choice = {}, std::uint32_t slots = 40)
      : line({.slots = slots}), seat(line, order, time, with(std::move(choice), shedding)) {
    line.watch = order;
    seat.start(7);
    line.gate.open("run");
  }
  static Line::Choice with(Line::Choice choice, const std::shared_ptr<Shedding>& shedding) {
    choice.shedding = shedding;
    return choice;
  }
  // Until nothing moves any more.
  void rest() {
    while (seat.turn() || seat.device_step()) {
    }
  }
  void fill_up() {
    while (line.try_commit()) {
    }
  }
  // To this level, by a full queue that nobody is served from.
  void raise_to(std::uint32_t level) {
    while (shedding->level() < level) {
      shedding->look(time.now(), 1, 0);
      time.pass(3s);
      shedding->look(time.now(), 1, 0);
    }
  }
  std::shared_ptr<Shedding> shedding = std::make_shared<Shedding>(SheddingOptions{});  // levels: hurry, 1 of 2, 4, 8
  std::shared_ptr<HappensBefore> order = std::make_shared<HappensBefore>();
  TestTime time;
  Line line;
  Seat seat;
};

TEST(SheddingWorker, of_frames_that_wait_one_of_four_is_processed_and_the_others_come_out_as_skipped) {
  Shed shed({.depth = 2, .batch = 4});
  shed.raise_to(3);
  shed.line.may_skip = true;
  for (int round = 0; round < 3; ++round) {
    shed.fill_up();
    shed.rest();
    shed.line.take_results(1000);
  }
  shed.line.expect_settled();
  EXPECT_EQ(shed.line.committed(), 120U);
  EXPECT_EQ(shed.line.skipped().size(), 90U);
  for (std::uint64_t id = 0; id < 120; ++id) EXPECT_EQ(shed.line.skipped().contains(id), id % 4 != 0) << id;
  const auto accounting = shed.line.instance.accounting();
  EXPECT_EQ(accounting.total(Counter::skipped), 90U);
  EXPECT_EQ(accounting.total(Counter::dropped_shed), 90U);
  EXPECT_EQ(accounting.total(Counter::written), 30U);
  EXPECT_EQ(shed.line.record().skipped.load(), 90U);
  EXPECT_EQ(shed.line.record().frames.load(), 30U);
  EXPECT_EQ(shed.line.record().batches.load(), 9U) << "10 of 40 go in batches of 4, 4 and 2";
  EXPECT_EQ(shed.order->violations(), std::vector<std::string>{});
}

TEST(SheddingWorker, without_it_nothing_is_skipped_however_long_the_queue_was_full) {
  Line line;
  TestTime time;
  const auto order = std::make_shared<HappensBefore>();
  Seat seat(line, order, time, {.depth = 1, .batch = 2});
  seat.start(7);
  line.gate.open("run");
  for (int i = 0; i < 200; ++i) {
    while (line.try_commit()) {
    }
    time.pass(5s);
    while (seat.turn() || seat.device_step()) {
    }
    line.take_results(1000);
  }
  line.expect_settled();
  EXPECT_EQ(line.skipped().size(), 0U);
  EXPECT_EQ(line.instance.layout().shedding.levels.load(), 0U);
}

TEST(SheddingWorker, it_climbs_while_the_queue_stays_full_and_comes_back_when_it_is_empty_and_says_so) {
  Shed shed({.depth = 1, .batch = 2});
  shed.line.may_skip = true;
  auto& shown = shed.line.instance.layout().shedding;
  EXPECT_EQ(shown.levels.load(), 5U);
  std::uint32_t rounds = 0;
  while (shown.level.load() < 4 && ++rounds < 1000) {  // a device that is slower than its producers
    shed.fill_up();
    shed.time.pass(100ms);
    shed.seat.wake();
    shed.seat.turn();
    if (rounds % 5 == 0) shed.seat.device_step();
    shed.line.take_results(1000);
  }
  EXPECT_EQ(shown.level.load(), 4U);
  EXPECT_EQ(shown.keep_one_of.load(), 8U);
  EXPECT_EQ(shown.raises.load(), 4U);
  EXPECT_GT(rounds, 80U) << "2 s each, 100 ms a round";
  shed.rest();
  shed.line.take_results(1000);
  for (int i = 0; i < 1000; ++i) {
    shed.time.pass(100ms);
    shed.seat.wake();
    shed.rest();
  }
  EXPECT_EQ(shown.level.load(), 0U);
  EXPECT_EQ(shown.lowerings.load(), 4U);
  EXPECT_EQ(shown.effort.load(), "every frame is processed, in full batches");
  const auto before = shed.line.skipped().size();
  EXPECT_GT(before, 0U);
  shed.fill_up();
  shed.rest();
  shed.line.take_results(1000);
  shed.line.expect_settled();
  EXPECT_EQ(shed.line.skipped().size(), before) << "all is as it was";
  std::map<std::string, std::uint64_t> noted;
  for (const auto& kind : shm::read_errors(shed.line.instance.control_segment())) noted[kind.id] = kind.count;
  EXPECT_EQ(noted["shedding.up"], 4U);
  EXPECT_EQ(noted["shedding.down"], 4U);
}

TEST(SheddingWorker, frames_that_nobody_may_take_are_no_load) {
  Shed shed;
  shed.line.gate.shut();
  shed.fill_up();
  for (int i = 0; i < 100; ++i) {
    shed.time.pass(1s);
    shed.seat.wake();
    shed.rest();
  }
  EXPECT_EQ(shed.shedding->level(), 0U);
  shed.line.gate.open("run");
  shed.rest();
  shed.line.take_results(1000);
  shed.line.expect_settled();
}

TEST(SheddingWorker, a_frame_that_was_on_a_device_that_failed_is_not_skipped_afterwards) {
  Shed shed({.depth = 1, .batch = 4});
  shed.line.may_skip = true;
  shed.line.commit(4);
  while (shed.line.in(SlotState::inferring) < 4) shed.seat.turn();
  shed.seat.device()->break_down();
  while (shed.seat.taken()) {
    shed.seat.turn();
    shed.seat.device_step();
  }
  ASSERT_TRUE(shed.line.reaches(SlotState::ready, 4));
  shed.raise_to(4);
  shed.seat.start(8);
  shed.rest();
  shed.line.take_results(1000);
  shed.line.expect_settled();
  EXPECT_EQ(shed.line.skipped().size(), 0U);
}

TEST(SheddingWorker, on_its_rung_the_smaller_model_makes_the_results_and_they_say_so) {
  Line line;
  TestTime time;
  const auto order = std::make_shared<HappensBefore>();
  const auto shedding = std::make_shared<Shedding>(SheddingOptions{.smaller_model = true});
  Line::Choice choice{.depth = 2, .batch = 4, .shedding = shedding};
  choice.smaller_model = true;
  Seat seat(line, order, time, choice);
  seat.start(7);
  line.gate.open("run");
  const auto run = [&] {
    line.commit(12);
    while (seat.turn() || seat.device_step()) {
    }
    line.take_results(1000);
    return line.models().rbegin()->second;
  };
  EXPECT_EQ(run(), 1U);
  while (shedding->level() < 2) {
    shedding->look(time.now(), 1, 0);
    time.pass(3s);
    shedding->look(time.now(), 1, 0);
  }
  EXPECT_EQ(run(), 2U);
  line.expect_settled();
}

}  // namespace
}  // namespace peaknet::engine::test
