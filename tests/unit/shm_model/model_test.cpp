// The whole protocol of the slots, every interleaving of its actions and every death, explored to the end
// (protocol.hpp): no promise is broken in any state, and the end can be reached from each. And each mutation of the
// protocol is seen.
#include <gtest/gtest.h>

#include <cstdio>
#include <string>

#include "tests/unit/shm_model/explorer.hpp"

namespace peaknet::model {
namespace {

constexpr std::size_t kMostStates = 120'000'000;  // about 60 bytes each

void expect_right(const std::string& what, const Settings& settings) {
  const Exploration seen = explore(settings, kMostStates);
  std::printf("%-66s %9zu states %10zu transitions  depth %3zu  %3zu ends  %6.1f s\n", what.c_str(), seen.states,
              seen.transitions, seen.depth, seen.ends, seen.seconds);
  EXPECT_EQ(seen.problem, "");
  EXPECT_GT(seen.ends, 0U);
}

void expect_seen(Mutation mutation, const std::string& problem, Settings settings) {
  settings.mutation = mutation;
  const Exploration seen = explore(settings, kMostStates);
  std::printf("%-32s %8zu states: %s\n", name(mutation), seen.states,
              seen.problem.substr(0, seen.problem.find('\n')).c_str());
  EXPECT_TRUE(seen.problem.starts_with(problem)) << "instead: " << seen.problem;
}

#ifndef PEAKNET_SOAK

TEST(SlotModel, two_producers_two_slots_and_a_death_of_anybody_anywhere) {
  expect_right("2 producers of 1 frame (block), 2 slots, 1 death", {.frames = {1, 1}, .deaths = 1});
}

TEST(SlotModel, two_producers_that_drop_each_others_frames_and_a_death) {
  expect_right("2 producers of 1 frame (drop oldest), 1 slot, 1 death",
               {.slots = 1, .frames = {1, 1}, .drops = {true, true}, .deaths = 1});
}

TEST(SlotModel, two_producers_that_wait_for_one_slot_and_a_death) {
  expect_right("2 producers of 1 frame (block), 1 slot, 1 death", {.slots = 1, .frames = {1, 1}, .deaths = 1});
}

TEST(SlotModel, a_producer_that_outruns_everybody_and_a_death) {
  expect_right("1 producer of 3 frames (drop oldest), 2 slots, 1 death",
               {.frames = {3, 0}, .drops = {true, false}, .deaths = 1});
}

TEST(SlotModel, a_frame_that_takes_three_owners_down) {
  expect_right("1 producer of 1 frame (block), 2 slots, 3 deaths", {.frames = {1, 0}, .deaths = 3});
}

#else

TEST(SlotModel, larger_than_there_is_time_for_every_day) {
  expect_right("2 producers of 1 frame, who recover too, 2 slots, 1 death",
               {.frames = {1, 1}, .deaths = 1, .producers_recover = true});
  expect_right("2 producers of 1 frame (block), 3 slots, 1 death", {.slots = 3, .frames = {1, 1}, .deaths = 1});
  expect_right("2 producers of 2 and 1 frames (block), 2 slots, no death", {.frames = {2, 1}, .deaths = 0});
  expect_right("2 producers of 2 and 1 frames (drop and block), 2 slots, no death",
               {.frames = {2, 1}, .drops = {true, false}, .deaths = 0});
  expect_right("2 producers of 1 frame (drop oldest), 1 slot, 2 deaths",
               {.slots = 1, .frames = {1, 1}, .drops = {true, true}, .deaths = 2});
  expect_right("2 producers of 2 and 1 frames (drop and block), 1 slot, 1 death",
               {.slots = 1, .frames = {2, 1}, .drops = {true, false}, .deaths = 1});
  expect_right("2 producers of 1 frame (drop oldest), 2 full slots, no death",
               {.frames = {2, 2}, .ready_at_start = 2, .drops = {true, true}, .deaths = 0});
  expect_right("2 producers of 1 frame (drop and block), 2 full slots, 1 death",
               {.frames = {2, 2}, .ready_at_start = 2, .drops = {true, false}, .deaths = 1});
  expect_right("1 producer of 2 frames (block), 2 slots, 3 deaths", {.frames = {2, 0}, .deaths = 3});
}

#endif

TEST(SlotModel, the_explorer_sees_every_broken_rule) {
  const Settings calm{.frames = {1, 1}, .deaths = 0};
  const Settings one_dies{.frames = {1, 0}, .deaths = 1};
  const Settings drop{.slots = 1, .frames = {1, 1}, .drops = {true, true}, .deaths = 1};
  const std::string stuck = "somebody waits for ever";
  expect_seen(Mutation::sleep_without_looking_again, stuck, {.frames = {1, 0}, .deaths = 0});
  expect_seen(Mutation::wake_before_clearing, stuck, {.frames = {1, 0}, .deaths = 0});
  expect_seen(Mutation::wake_one_forget_the_rest, stuck, {.slots = 1, .frames = {2, 1}, .deaths = 0});
  expect_seen(Mutation::commit_without_notifying, stuck, {.frames = {1, 0}, .deaths = 0});
  expect_seen(Mutation::describe_after_commit, "a committed frame is torn", calm);
  expect_seen(Mutation::exchange_without_intent, "the counters do not balance", one_dies);
  expect_seen(Mutation::count_before_exchange, "the counters do not balance", one_dies);
  expect_seen(Mutation::drop_by_the_rule_of_owners, "the counters do not balance", drop);
  expect_seen(Mutation::owner_written_after_claim, stuck, one_dies);
  expect_seen(Mutation::reuse_id_without_recovery, "a slot is lost: its owner rests", one_dies);
  expect_seen(Mutation::recover_without_proof_of_death, "an owner lost its slot", calm);
  expect_seen(Mutation::recovery_frees_results, "a committed frame is lost", one_dies);
  expect_seen(Mutation::recovery_forgets_attempts, "attempts are not the owners that died", one_dies);
  expect_seen(Mutation::take_after_one_look, "a producer's younger frame was taken before its older one",
              {.frames = {2, 0}, .deaths = 0});
}

}  // namespace
}  // namespace peaknet::model
