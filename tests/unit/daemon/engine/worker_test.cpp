#include "daemon/engine/worker.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <future>
#include <numeric>
#include <random>
#include <thread>

#include "tests/unit/daemon/engine/line.hpp"

namespace peaknet::engine::test {
namespace {

using Choice = Line::Choice;

// --- every frame once, with what belongs to it
// --------------------------------------------------------------------------

class AnyDepth : public testing::TestWithParam<std::uint32_t> {};
INSTANTIATE_TEST_SUITE_P(Worker, AnyDepth, testing::Range(1U, kMaxDepth + 1),
                         [](const auto& about) { return "depth_" + std::to_string(about.param); });

// One frame, fewer than a batch, a batch, one more, fewer batches than lanes, as many, more; each time nothing follows
// until all have come out, so a result that waits for the next frame would hang the test.
void run_bursts(const Choice& choice, std::uint32_t panels) {
  SCOPED_TRACE("batch " + std::to_string(choice.batch) + (choice.staged ? ", staged" : ", in place"));
  Line line({.slots = 24, .panels = panels});
  const auto worker = line.worker(choice);
  line.gate.open("run-1");
  const std::uint32_t full = choice.depth * choice.batch;
  for (const std::uint32_t burst :
       {1U, choice.batch - 1, choice.batch, choice.batch + 1, choice.batch * (choice.depth - 1), full, full + 1,
        2 * full + choice.batch / 2, 1U, 3U}) {
    line.commit(std::min(burst, 60U));
    line.collect_all();
  }
  line.expect_settled();
  EXPECT_TRUE(eventually([&] { return worker->frames_in_flight() == 0; }, kPatience));
  for (const auto& [id, run] : line.runs()) ASSERT_EQ(run, "run-1") << id;
}

TEST_P(AnyDepth, every_frame_comes_out_once_with_its_own_mask_and_description_for_every_batch_size) {
  for (const std::uint32_t batch : {1U, 2U, 3U, 4U, 8U}) run_bursts({.depth = GetParam(), .batch = batch}, 1);
}

TEST_P(AnyDepth, the_same_where_images_and_masks_are_copied_some_time_later) {
  for (const std::uint32_t batch : {1U, 2U, 3U, 4U, 8U}) {
    run_bursts({.depth = GetParam(), .batch = batch, .staged = true, .seed = batch}, 1);
  }
}

TEST_P(AnyDepth, the_same_with_several_panels_to_an_event) {
  for (const std::uint32_t batch : {1U, 3U, 4U})
    run_bursts({.depth = GetParam(), .batch = batch, .staged = batch == 3}, 3);
}

// Defect 2 of the replaced pipeline: results went wrong once the lanes did not start at the first.
TEST_P(AnyDepth, whichever_lane_is_next_after_earlier_traffic_results_keep_their_frames) {
  const std::uint32_t depth = GetParam();
  Line line;
  const auto worker = line.worker({.depth = depth, .batch = 2, .staged = true, .max_delay = 0ms});
  line.gate.open("run-1");
  for (std::uint32_t lanes = 1; lanes <= depth; ++lanes) {
    Hold hold(line.script);
    for (std::uint32_t i = 0; i < lanes; ++i) {  // a lane for each: max_delay 0 does not wait for a fuller batch
      line.commit(1);
      ASSERT_TRUE(line.reaches(SlotState::inferring, i + 1));
    }
    hold.wait_until_held();
    hold.let_one_pass();  // the first lane is free again, the others are not
    line.collect(1);
    line.commit(3);
    hold.let_all_pass();
    line.collect_all();
  }
  line.expect_settled();
}

TEST(Worker, no_frame_at_all_ends_cleanly) {
  Line line;
  {
    const auto worker = line.worker({});
    line.gate.open("run-1");
    line.gate.drain(line.instance.layout().next_sequence.load());
    line.gate.shut();
  }
  line.expect_settled();
  EXPECT_EQ(line.record().frames.load(), 0U);
  EXPECT_EQ(line.record().batches.load(), 0U);
  EXPECT_EQ(line.record().state.load(), "ended");
}

// Defect 1 of the replaced pipeline: results of the last N-1 batches stayed in the pipeline.
TEST(Worker, the_last_partial_batch_comes_out_though_no_frame_follows) {
  for (std::uint32_t depth = 1; depth <= kMaxDepth; ++depth) {
    Line line;
    const auto worker = line.worker({.depth = depth, .batch = 8, .staged = true, .max_delay = 1h});
    line.gate.open("run-1");
    for (const std::uint32_t count : {1U, 3U, 8U, 11U}) {
      line.commit(count);
      line.collect(count);
    }
    line.expect_settled();
  }
}

TEST(Worker, neighbouring_slots_go_to_the_device_in_one_transfer_whatever_order_their_frames_have) {
  Line line({.slots = 8});
  const auto worker = line.worker({.depth = 1, .batch = 8, .staged = true, .max_delay = 1h});
  line.commit(8);  // slots 0 to 7, in some order
  line.gate.open("run-1");
  line.collect(8);
  EXPECT_EQ(line.record().transfers.load(), 1U);
  line.commit(8);
  line.collect(8);
  line.expect_settled();
  EXPECT_LE(line.record().transfers.load(), 1U + 8U);
  std::vector<std::uint64_t> expected(16);
  std::iota(expected.begin(), expected.end(), 0U);
  EXPECT_EQ(line.order(), expected) << "the order of the frames is theirs, not that of the slots";
}

TEST(Worker, frames_come_out_in_the_order_they_were_committed_when_one_device_works) {
  Line line;
  const auto worker = line.worker({.depth = 5, .batch = 3, .staged = true});
  line.gate.open("run-1");
  for (int i = 0; i < 20; ++i) {
    line.commit(12);
    line.collect(12);
  }
  std::vector<std::uint64_t> expected(240);
  std::iota(expected.begin(), expected.end(), 0U);
  EXPECT_EQ(line.order(), expected);
}

// --- where frames wait
// --------------------------------------------------------------------------------------------------

TEST(Worker, a_device_holds_no_more_batches_than_its_depth_and_the_other_frames_wait_in_q1) {
  Line line;
  const auto worker = line.worker({.depth = 3, .batch = 2});
  Hold hold(line.script);
  line.commit(20);
  line.gate.open("run-1");
  ASSERT_TRUE(line.reaches(SlotState::inferring, 6));
  hold.wait_until_held();
  ASSERT_TRUE(eventually([&] { return line.record().waited_ns[1].load() > 0; }, kPatience))
      << "it says that it waits for a lane";
  EXPECT_EQ(line.in(SlotState::inferring), 6U);
  EXPECT_EQ(line.in(SlotState::ready), 14U);
  EXPECT_EQ(line.in(SlotState::done), 0U);
  EXPECT_EQ(worker->frames_in_flight(), 6U);
  EXPECT_EQ(line.record().in_flight.load(), 6U);

  hold.let_one_pass();  // one lane gets free: one batch more, and no other
  ASSERT_TRUE(line.reaches(SlotState::done, 2));
  ASSERT_TRUE(line.reaches(SlotState::ready, 12));
  EXPECT_EQ(line.in(SlotState::inferring), 6U);
  hold.let_all_pass();
  line.collect(20);
  line.expect_settled();
}

TEST(Worker, a_frame_that_waits_for_company_goes_when_the_device_would_idle) {
  Line line;
  const auto worker = line.worker({.depth = 2, .batch = 4, .max_delay = 1h});
  Hold hold(line.script);
  line.gate.open("run-1");
  line.commit(1);
  ASSERT_TRUE(line.reaches(SlotState::inferring, 1)) << "an idle device takes what there is";
  line.commit(2);
  ASSERT_TRUE(eventually([&] { return line.record().waited_ns[2].load() > 0; }, kPatience))
      << "it says that a batch is forming";
  EXPECT_EQ(line.in(SlotState::ready), 2U) << "a lane is free, but the device is busy and the batch not full";
  hold.let_one_pass();
  line.collect(1);
  ASSERT_TRUE(line.reaches(SlotState::inferring, 2));
  hold.let_all_pass();
  line.collect(2);
  line.expect_settled();
}

TEST(Worker, a_full_batch_does_not_wait) {
  Line line;
  const auto worker = line.worker({.depth = 2, .batch = 4, .max_delay = 1h});
  Hold hold(line.script);
  line.gate.open("run-1");
  line.commit(1);
  ASSERT_TRUE(line.reaches(SlotState::inferring, 1));
  line.commit(4);
  ASSERT_TRUE(line.reaches(SlotState::inferring, 5));
  hold.let_all_pass();
  line.collect(5);
  line.expect_settled();
}

TEST(Worker, a_frame_waits_for_company_no_longer_than_max_delay) {
  Line line;
  const auto worker = line.worker({.depth = 2, .batch = 8, .max_delay = 30ms});
  Hold hold(line.script);
  line.gate.open("run-1");
  line.commit(1);
  ASSERT_TRUE(line.reaches(SlotState::inferring, 1));
  const auto begin = std::chrono::steady_clock::now();
  line.commit(2);
  ASSERT_TRUE(line.reaches(SlotState::inferring, 3)) << "the device is still busy";
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 25ms);
  hold.let_all_pass();
  line.collect(3);
  line.expect_settled();
}

TEST(Worker, while_nobody_takes_results_the_pool_fills_and_when_somebody_does_everything_goes_on) {
  Line line({.slots = 8});
  const auto worker = line.worker({.depth = 3, .batch = 3});
  line.gate.open("run-1");
  line.commit(8);
  ASSERT_TRUE(line.reaches(SlotState::done, 8));
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(line.try_commit()) << "full of results: the producer feels it";
  EXPECT_BALANCED(line.instance);
  EXPECT_EQ(line.take_results(3), 3U);
  line.commit(3);
  ASSERT_TRUE(line.reaches(SlotState::done, 8));
  EXPECT_FALSE(line.try_commit());
  line.collect(8);
  for (int i = 0; i < 50; ++i) {
    line.commit(4);
    line.collect(4);
  }
  line.expect_settled();
}

// --- the gate
// -----------------------------------------------------------------------------------------------------------

TEST(Worker, nothing_is_taken_before_the_gate_opens_and_after_it_is_shut) {
  Line line;
  const auto worker = line.worker({});
  line.commit(5);
  ASSERT_TRUE(eventually([&] { return line.record().waited_ns[3].load() > 0; }, kPatience))
      << "it says that it is stopped";
  EXPECT_EQ(line.in(SlotState::ready), 5U);
  line.gate.open("run-1");
  line.collect(5);
  line.gate.shut();
  line.commit(5);
  const auto stopped = line.record().waited_ns[3].load();
  ASSERT_TRUE(eventually([&] { return line.record().waited_ns[3].load() > stopped; }, kPatience));
  EXPECT_EQ(line.in(SlotState::ready), 5U);
  line.gate.open("run-2");
  line.collect(5);
  line.expect_settled();
  for (const auto& [id, run] : line.runs()) EXPECT_EQ(run, id < 5 ? "run-1" : "run-2");
}

TEST(Worker, a_drain_takes_what_was_claimed_before_the_mark_and_leaves_the_rest_for_the_next_run) {
  Line line;
  const auto worker = line.worker({.depth = 2, .batch = 2});
  Hold hold(line.script);
  line.commit(7);
  line.gate.open("run-1");
  ASSERT_TRUE(line.reaches(SlotState::inferring, 4));
  auto slow_producer = line.instance.producer();
  auto claimed_before = must(slow_producer->claim(1s));
  const std::uint64_t mark = line.instance.layout().next_sequence.load();
  line.gate.drain(mark);
  line.commit(4);
  hold.let_all_pass();
  line.collect(7);
  fill(claimed_before, 1'000'000, line.geometry, Nature::good);
  must(claimed_before.commit());
  line.collect(1);
  ASSERT_TRUE(eventually([&] { return worker->frames_in_flight() == 0; }, kPatience));
  EXPECT_EQ(line.in(SlotState::ready), 4U);
  EXPECT_EQ(line.runs().at(1'000'000), "run-1");
  line.gate.shut();
  line.gate.open("run-2");
  line.collect(4);
  for (std::uint64_t id = 7; id < 11; ++id) EXPECT_EQ(line.runs().at(id), "run-2");
  EXPECT_BALANCED(line.instance);
}

// A frame is stamped with the run it was taken for, so a frame taken too late gives itself away. A large pool, in which
// looking for frames takes a while, and a delay that differs from round to round let the gate close at any moment of
// it.
TEST(Worker, a_frame_that_is_committed_after_the_gate_was_shut_is_never_taken_before_it_opens_again) {
  Line line({.slots = shm::kMaxSlots});
  const auto worker = line.worker({.depth = 8, .batch = 64, .max_delay = 0ms});
  auto late_producer = line.instance.producer();
  constexpr std::uint64_t kRounds = 600;
  constexpr std::uint64_t kFirstLate = 1'000'000;
  for (std::uint64_t round = 0; round < kRounds; ++round) {
    auto late = must(late_producer->claim(kPatience));
    fill(late, kFirstLate + round, line.geometry, Nature::good);
    line.gate.open(std::to_string(round));
    line.commit(1);  // the worker is on its feet, looking for frames
    const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(round % 300);
    while (std::chrono::steady_clock::now() < until) std::this_thread::yield();
    line.gate.shut();
    must(late.commit());
    if (line.in(SlotState::free) < 1000) line.collect(1000);
    line.take_results(10);
  }
  line.gate.open(std::to_string(kRounds));
  line.collect(2 * kRounds - line.order().size());
  std::uint64_t too_early = 0;
  for (std::uint64_t round = 0; round < kRounds; ++round) {
    if (std::stoull(line.runs().at(kFirstLate + round)) <= round) ++too_early;
  }
  EXPECT_EQ(too_early, 0U) << "of " << kRounds << " frames";
}

// --- rebuffer
// -----------------------------------------------------------------------------------------------------------

void flow_with_rebuffers(Line& line, Worker& worker, const std::vector<std::uint32_t>& depths) {
  line.gate.open("run-1");
  std::vector<std::future<RebufferReceipt>> receipts;
  for (const std::uint32_t depth : depths) {
    for (int i = 0; i < 40; ++i) {
      line.commit(1);
      line.take_results(2);
      if (i == 20) receipts.push_back(worker.rebuffer(depth));
    }
  }
  line.collect_all();
  std::uint32_t before = worker.depth();
  if (!receipts.empty()) before = 1;
  for (std::size_t i = 0; i < receipts.size(); ++i) {
    ASSERT_EQ(receipts[i].wait_for(kPatience), std::future_status::ready);
    const auto receipt = receipts[i].get();
    EXPECT_EQ(receipt.before, before);
    EXPECT_EQ(receipt.after, depths[i]);
    before = receipt.after;
  }
}

TEST(Worker, results_while_the_depth_changes_are_those_of_depth_1_and_nothing_is_lost) {
  const std::vector<std::uint32_t> depths = {5, 1, 8, 2, 2, 7, 1};
  for (const bool staged : {false, true}) {
    Line plain;
    {
      const auto worker = plain.worker({.depth = 1, .batch = 2});
      plain.gate.open("run-1");
      for (std::size_t i = 0; i < 10 * depths.size(); ++i) {
        plain.commit(4);
        plain.collect(4);
      }
    }
    Line line;
    const auto worker = line.worker({.depth = 1, .batch = 2, .staged = staged});
    flow_with_rebuffers(line, *worker, depths);
    line.expect_settled();
    EXPECT_EQ(worker->depth(), 1U);
    EXPECT_EQ(line.record().depth.load(), 1U);
    EXPECT_EQ(line.record().rebuffers.load(), 6U) << "one of the seven changed nothing";
    ASSERT_EQ(plain.committed(), line.committed());
    EXPECT_EQ(plain.masks(), line.masks());
  }
}

TEST(Worker, more_lanes_are_used_at_once) {
  Line line;
  const auto worker = line.worker({.depth = 1, .batch = 1});
  Hold hold(line.script);
  line.gate.open("run-1");
  line.commit(8);
  ASSERT_TRUE(line.reaches(SlotState::inferring, 1));
  const auto receipt = worker->rebuffer(5).get();  // does not wait for anything on the device
  EXPECT_EQ(receipt.before, 1U);
  EXPECT_EQ(receipt.after, 5U);
  EXPECT_EQ(receipt.in_flight, 1U);
  EXPECT_TRUE(line.reaches(SlotState::inferring, 5));
  EXPECT_EQ(line.in(SlotState::ready), 3U);
  hold.let_all_pass();
  line.collect(8);
  line.expect_settled();
}

TEST(Worker, the_receipt_for_fewer_lanes_comes_when_the_others_are_empty) {
  Line line;
  const auto worker = line.worker({.depth = 5, .batch = 1});
  Hold hold(line.script);
  line.gate.open("run-1");
  line.commit(10);
  ASSERT_TRUE(line.reaches(SlotState::inferring, 5));
  auto receipt = worker->rebuffer(2);
  ASSERT_TRUE(eventually([&] { return worker->depth() == 2; }, kPatience));
  for (int done = 1; done <= 4; ++done) {
    EXPECT_EQ(receipt.wait_for(0s), std::future_status::timeout) << done;
    hold.let_one_pass();
    line.collect(1);
  }
  hold.let_one_pass();  // the lane of the fifth batch is the last beyond the new depth
  ASSERT_EQ(receipt.wait_for(kPatience), std::future_status::ready);
  const auto values = receipt.get();
  EXPECT_EQ(values.before, 5U);
  EXPECT_EQ(values.after, 2U);
  EXPECT_EQ(values.in_flight, 5U);
  ASSERT_TRUE(line.reaches(SlotState::inferring, 2));
  hold.let_all_pass();
  line.collect_all();
  line.expect_settled();
}

TEST(Worker, a_depth_that_is_so_already_is_answered_and_changes_nothing) {
  Line line;
  const auto worker = line.worker({.depth = 3});
  const auto receipt = worker->rebuffer(3).get();
  EXPECT_EQ(receipt.before, 3U);
  EXPECT_EQ(receipt.after, 3U);
  EXPECT_EQ(receipt.in_flight, 0U);
  EXPECT_EQ(line.record().rebuffers.load(), 0U);
}

TEST(Worker, requests_from_several_threads_are_done_one_after_the_other) {
  Line line;
  const auto worker = line.worker({.depth = 1, .batch = 1});
  line.gate.open("run-1");
  std::mutex mutex;
  std::vector<RebufferReceipt> receipts;
  {
    std::vector<std::jthread> askers;
    for (unsigned asker = 0; asker < 4; ++asker) {
      askers.emplace_back([&, asker] {
        std::mt19937 random(asker);
        for (int i = 0; i < 25; ++i) {
          const auto receipt = worker->rebuffer(1 + random() % kMaxDepth).get();
          const std::lock_guard lock(mutex);
          receipts.push_back(receipt);
        }
      });
    }
    for (int i = 0; i < 100; ++i) {
      line.commit(2);
      line.collect(2);
    }
  }
  line.expect_settled();
  // As a multiset they form one chain: every depth that is left was entered, but for the first and the last.
  std::map<std::uint32_t, int> balance;
  for (const auto& receipt : receipts) {
    --balance[receipt.before];
    ++balance[receipt.after];
  }
  ++balance[1];
  --balance[worker->depth()];
  for (const auto& [depth, count] : balance) EXPECT_EQ(count, 0) << depth;
  EXPECT_EQ(receipts.size(), 100U);
}

TEST(Worker, a_change_asked_for_while_the_model_is_loading_is_made_when_it_is_ready) {
  Line line;
  std::promise<void> may_load;
  auto worker = std::make_unique<Worker>(
      line.options_for({.depth = 2}), Line::device_maker({}),
      [make = line.model_maker(), gate = may_load.get_future().share()] {
        gate.wait();
        return make();
      },
      line.gate, line.progress);
  auto receipt = worker->rebuffer(4);
  EXPECT_EQ(worker->state(), WorkerState::loading);
  may_load.set_value();
  ASSERT_EQ(receipt.wait_for(kPatience), std::future_status::ready);
  EXPECT_EQ(receipt.get().after, 4U);
  EXPECT_EQ(worker->depth(), 4U);
}

// --- a network that fails
// -----------------------------------------------------------------------------------------------

TEST(Worker, a_frame_on_which_the_network_fails_is_an_error_alone_and_the_others_of_its_batch_get_their_masks) {
  for (const bool staged : {false, true}) {
    for (std::uint64_t bad = 0; bad < 4; ++bad) {
      Line line;
      const auto worker = line.worker({.depth = 2, .batch = 4, .staged = staged});
      for (std::uint64_t i = 0; i < 8; ++i) line.commit_one(i == bad ? Nature::poisoned : Nature::good);
      line.gate.open("run-1");
      line.collect(8);
      line.expect_settled();
      EXPECT_EQ(line.failed(), std::set<std::uint64_t>{bad});
      EXPECT_TRUE(eventually([&] { return worker->frames_in_flight() == 0; }, kPatience));
      EXPECT_EQ(line.record().model_errors.load(), 1U);
      EXPECT_EQ(line.record().frames.load(), 7U);
    }
  }
}

TEST(Worker, several_bad_frames_among_good_ones_are_told_apart_at_any_depth) {
  for (std::uint32_t depth = 1; depth <= kMaxDepth; ++depth) {
    Line line;
    const auto worker = line.worker({.depth = depth, .batch = 8, .staged = depth % 2 == 0, .seed = depth});
    line.gate.open("run-1");
    std::set<std::uint64_t> bad;
    std::mt19937 random(depth);
    for (int i = 0; i < 80; ++i) {
      const bool poisoned = random() % 5 == 0;
      if (poisoned) bad.insert(line.committed());
      line.commit_one(poisoned ? Nature::poisoned : Nature::good);
      line.take_results(4);
    }
    line.collect_all();
    line.expect_settled();
    EXPECT_EQ(line.failed(), bad);
  }
}

TEST(Worker, frames_that_are_tried_alone_are_finished_when_the_worker_ends_or_the_gate_is_shut) {
  Line line;
  for (std::uint64_t i = 0; i < 8; ++i) line.commit_one(i == 3 ? Nature::poisoned : Nature::good);
  {
    const auto worker = line.worker({.depth = 1, .batch = 8});
    Hold hold(line.script);
    line.gate.open("run-1");
    ASSERT_TRUE(line.reaches(SlotState::inferring, 8));
    hold.wait_until_held();
    line.gate.shut();
    hold.let_one_pass();  // all eight fail
    hold.wait_until_held();
  }
  EXPECT_EQ(line.in(SlotState::done), 8U);
  line.collect(8);
  line.expect_settled();
  EXPECT_EQ(line.failed(), std::set<std::uint64_t>{3});
}

TEST(Worker, when_the_network_fails_on_everything_every_frame_is_counted_as_failed_and_none_waits) {
  Line line;
  const auto worker = line.worker({.depth = 3, .batch = 4});
  line.script->fail_always.store(true);
  line.gate.open("run-1");
  for (int i = 0; i < 30; ++i) line.commit_one(Nature::poisoned);
  line.collect_all();
  line.expect_settled();
  EXPECT_TRUE(eventually([&] { return worker->frames_in_flight() == 0; }, kPatience));
  EXPECT_EQ(line.record().model_errors.load(), 30U);
  EXPECT_EQ(line.record().frames.load(), 0U);
}

// --- a device or a network that cannot be had
// ---------------------------------------------------------------------------

void expect_lost(const Line& line, Worker& worker, const std::string& id) {
  ASSERT_TRUE(eventually([&] { return worker.state() == WorkerState::lost; }, kPatience));
  EXPECT_EQ(worker.failure().id, id) << worker.failure().text();
  EXPECT_EQ(line.record().state.load(), "lost");
  EXPECT_EQ(line.record().error.load(), worker.failure().text());
  EXPECT_EQ(line.record().in_flight.load(), 0U);
}

TEST(Worker, without_a_network_it_is_lost_and_says_why) {
  Line line;
  line.gate.open("run-1");
  line.commit(3);
  Worker worker(
      line.options_for({}), Line::device_maker({}),
      []() -> Result<std::unique_ptr<model::Model>> {
        return Error{"model.unreadable", "no such network", "", ""};
      },
      line.gate, line.progress);
  expect_lost(line, worker, "model.unreadable");
  EXPECT_EQ(line.in(SlotState::ready), 3U) << "the frames stay";
}

TEST(Worker, a_network_that_fails_in_warm_up_is_not_used) {
  Line line;
  line.script->fail_always.store(true);
  const auto worker = line.starting_worker({});
  expect_lost(line, *worker, "model.failed");
}

TEST(Worker, without_a_device_it_is_lost_and_says_why) {
  Line line;
  Worker worker(
      line.options_for({}),
      []() -> Result<std::unique_ptr<device::Device>> {
        return Error{"device.unknown", "no such device", "", ""};
      },
      line.model_maker(), line.gate, line.progress);
  expect_lost(line, worker, "device.unknown");
}

TEST(Worker, without_memory_for_its_lanes_it_is_lost_and_says_why) {
  Line line;
  auto options = line.options_for({});
  options.layout.padded_height = options.layout.padded_width = 1U << 28;
  Worker worker(options, Line::device_maker({}), line.model_maker(), line.gate, line.progress);
  expect_lost(line, worker, "device.no-memory");
}

TEST(Worker, without_an_instance_or_a_pool_it_is_lost_and_says_why) {
  peaknet::test::TestInstance no_pool(
      {.geometry = coded_geometry(8), .full = shm::FullPolicy::block, .with_pool = false});
  const Line line;
  Gate gate;
  shm::EventCount progress;
  for (const auto& [name, id] :
       {std::pair{no_pool.name(), "pool.none"}, std::pair{std::string("no-such-instance"), "shm.absent"}}) {
    auto options = line.options_for({});
    options.instance = name;
    const Worker worker(options, Line::device_maker({}), line.model_maker(), gate, progress);
    ASSERT_TRUE(eventually([&] { return worker.state() == WorkerState::lost; }, kPatience));
    EXPECT_EQ(worker.failure().id, id) << worker.failure().text();
  }
}

TEST(Worker, a_lost_worker_breaks_the_promise_of_a_rebuffer_whenever_it_was_asked) {
  Line line;
  std::promise<void> may_fail;
  Worker worker(
      line.options_for({}), Line::device_maker({}),
      [gate = may_fail.get_future().share()]() -> Result<std::unique_ptr<model::Model>> {
        gate.wait();
        return Error{"model.unreadable", "no such network", "", ""};
      },
      line.gate, line.progress);
  auto early = worker.rebuffer(2);
  may_fail.set_value();
  ASSERT_EQ(early.wait_for(kPatience), std::future_status::ready);
  EXPECT_THROW(early.get(), std::future_error);
  ASSERT_TRUE(eventually([&] { return worker.state() == WorkerState::lost; }, kPatience));
  auto late = worker.rebuffer(2);
  ASSERT_EQ(late.wait_for(kPatience), std::future_status::ready) << "nobody would ever answer";
  EXPECT_THROW(late.get(), std::future_error);
}

TEST(Worker, frames_of_a_device_that_is_lost_go_back_to_q1_when_the_device_has_let_go_of_them_and_another_takes_them) {
  for (int round = 0; round < 5; ++round) {
    Line line;
    const auto fault = std::make_shared<DeviceFault>();
    const auto dying = line.worker({.depth = 3, .batch = 2, .staged = true, .fault = fault});
    Hold hold(line.script);
    line.commit(9);
    line.gate.open("run-1");
    ASSERT_TRUE(line.reaches(SlotState::inferring, 6));
    hold.wait_until_held();
    fault->lost.store(true);
    ASSERT_TRUE(eventually([&] { return dying->state() == WorkerState::lost; }, kPatience));
    EXPECT_EQ(line.in(SlotState::inferring), 6U) << "a stream still works on them";
    hold.let_all_pass();
    ASSERT_TRUE(line.reaches(SlotState::ready, 9));
    ASSERT_TRUE(eventually([&] { return dying->frames_in_flight() == 0; }, kPatience));
    ASSERT_TRUE(eventually([&] { return line.record().in_flight.load() == 0; }, kPatience));
    EXPECT_BALANCED(line.instance);

    const auto other = line.worker({.depth = 2, .batch = 4, .staged = true, .index = 1});
    line.collect(9);
    line.expect_settled();
    EXPECT_EQ(line.record(0).frames.load(), 0U) << "nothing of a lost device is published";
    EXPECT_TRUE(eventually([&] { return line.record(1).frames.load() == 9; }, kPatience));
  }
}

TEST(Worker, a_device_that_is_stuck_is_given_up_and_its_frames_go_to_another_when_it_lets_go) {
  Line line;
  const auto stuck = line.worker({.depth = 2, .batch = 2, .stuck_after = 20ms});
  std::unique_ptr<Worker> other;
  Hold hold(line.script);
  line.commit(4);
  line.gate.open("run-1");
  ASSERT_TRUE(eventually([&] { return stuck->state() == WorkerState::lost; }, kPatience));
  EXPECT_EQ(stuck->failure().id, "device.stuck");
  EXPECT_EQ(line.record().state.load(), "lost");
  EXPECT_EQ(line.in(SlotState::inferring), 4U) << "it may still write to their slots";
  hold.let_all_pass();
  ASSERT_TRUE(line.reaches(SlotState::ready, 4));
  EXPECT_EQ(line.record().frames.load(), 0U);
  other = line.worker({.depth = 2, .batch = 2, .index = 1});
  line.collect(4);
  line.expect_settled();
}

TEST(Worker, a_device_that_never_lets_go_keeps_its_slots_and_does_not_keep_the_worker_from_ending) {
  Line line;
  auto stuck = line.worker({.depth = 1, .batch = 2, .stuck_after = 20ms});
  // The run stands until the process ends, and must find all that it uses until then.
  static const Hold* const for_ever = new Hold(line.script);
  ASSERT_NE(for_ever, nullptr);
  line.commit(2);
  line.gate.open("run-1");
  ASSERT_TRUE(eventually([&] { return stuck->state() == WorkerState::lost; }, kPatience));
  stuck.reset();
  EXPECT_EQ(line.in(SlotState::inferring), 2U) << "they go back when the process is gone";
  EXPECT_BALANCED(line.instance);
}

// --- beginning and end
// --------------------------------------------------------------------------------------------------

TEST(Worker, it_publishes_what_is_on_the_device_before_it_ends_and_leaves_the_rest_in_q1) {
  for (const bool staged : {false, true}) {
    for (std::uint32_t depth = 1; depth <= kMaxDepth; ++depth) {
      Line line;
      auto worker = line.worker({.depth = depth, .batch = 2, .staged = staged});
      Hold hold(line.script);
      line.commit(20);
      line.gate.open("run-1");
      const std::uint32_t on_device = std::min(20U, 2 * depth);
      ASSERT_TRUE(line.reaches(SlotState::inferring, on_device));
      hold.wait_until_held();
      std::jthread ending([&] { worker.reset(); });
      hold.let_all_pass();
      ending.join();
      // A free lane may have taken more between the two; what was taken is published.
      EXPECT_EQ(line.in(SlotState::inferring), 0U);
      EXPECT_GE(line.in(SlotState::done), on_device);
      EXPECT_EQ(line.in(SlotState::done) + line.in(SlotState::ready), 20U);
      EXPECT_BALANCED(line.instance);
      const auto next = line.worker({.depth = 3, .batch = 4});
      line.collect(20);
      line.expect_settled();
    }
  }
}

TEST(Worker, it_may_end_at_any_moment_of_its_life) {
  Line line;
  line.gate.open("run-1");
  for (int i = 0; i < 40; ++i) {
    line.commit(3);
    auto worker = line.starting_worker({.depth = 2, .batch = 2, .staged = i % 2 == 0});
    if (i % 4 != 0) eventually([&] { return worker->state() == WorkerState::ready; }, kPatience);
    for (int k = 0; k < i; ++k) std::this_thread::yield();
    worker.reset();
    EXPECT_EQ(line.in(SlotState::inferring), 0U);
    ASSERT_BALANCED(line.instance);
    line.take_results(24);
  }
  const auto worker = line.worker({});
  line.collect_all();
  line.expect_settled();
}

TEST(Worker, it_tells_when_it_becomes_ready_and_when_its_last_frame_is_published) {
  Line line;
  auto ticket = line.progress.prepare();
  const auto worker = line.worker({});
  EXPECT_FALSE(line.progress.unchanged_since(ticket));
  EXPECT_EQ(worker->model_info().path, "builtin:threshold=100");
  line.gate.open("run-1");
  for (int i = 0; i < 20; ++i) {
    ticket = line.progress.prepare();
    line.commit(1);
    line.collect(1);
    EXPECT_TRUE(eventually([&] { return !line.progress.unchanged_since(ticket); }, kPatience));
  }
}

TEST(Worker, every_bucket_is_warmed_before_it_is_ready) {
  Line line;
  const auto worker = line.worker({.batch = 12});
  EXPECT_GE(line.script->runs.load(), 5U) << "1, 2, 4, 8 and 12";
  EXPECT_EQ(line.record().busy_ns.load(), 0U) << "warming is not work";
  EXPECT_EQ(line.record().batches.load(), 0U);
}

// Each sleep ends after kWaitSlice whether it was woken or not, so a lost wake-up shows as a median of about that, and
// as nothing else.
std::chrono::nanoseconds median_time(const std::function<void()>& before, const std::function<void()>& what) {
  std::vector<std::chrono::nanoseconds> times;
  for (int i = 0; i < 21; ++i) {
    before();
    const auto begin = std::chrono::steady_clock::now();
    what();
    times.push_back(std::chrono::steady_clock::now() - begin);
  }
  std::nth_element(times.begin(), times.begin() + 10, times.end());
  return times[10];
}

TEST(Worker, whatever_it_waits_for_wakes_it) {
  constexpr auto kMuchLess = shm::kWaitSlice / 2;
  Line line;
  auto worker = line.worker({.depth = 2, .batch = 4, .max_delay = 1h});
  const auto nothing = [] {};
  const auto frame = [&] {
    line.commit(1);
    line.collect(1);
  };
  line.gate.open("run-1");
  EXPECT_LT(median_time(nothing, frame), kMuchLess) << "a frame, and its end on the device";
  const auto shut_with_a_frame = [&] {
    line.gate.shut();
    line.commit(1);
  };
  const auto open = [&] {
    line.gate.open("run-1");
    line.collect(1);
  };
  EXPECT_LT(median_time(shut_with_a_frame, open), kMuchLess) << "the gate";
  const auto rebuffer = [&] { worker->rebuffer(worker->depth() == 2 ? 3 : 2).get(); };
  EXPECT_LT(median_time(nothing, rebuffer), kMuchLess) << "a request";
  EXPECT_LT(median_time([&] { line.gate.shut(); }, rebuffer), kMuchLess) << "a request while the gate is shut";
  const auto start = [&] { worker = line.worker({.depth = 2, .batch = 1}); };
  EXPECT_LT(median_time(start, [&] { worker.reset(); }), kMuchLess) << "its end";
}

// --- several devices, and others in the pool
// ----------------------------------------------------------------------------

TEST(Worker, two_devices_on_one_q1_take_each_frame_once_and_both_work) {
  for (const bool staged : {false, true}) {
    Line line({.slots = 32});
    const auto first = line.worker({.depth = 2, .batch = 4, .staged = staged, .seed = 1, .index = 0});
    const auto second = line.worker({.depth = 3, .batch = 3, .staged = staged, .seed = 2, .index = 1});
    line.gate.open("run-1");
    line.script->slow_us.store(200);
    while (line.committed() < 600) {
      line.commit_one();
    }
    line.collect_all();
    line.expect_settled();
    ASSERT_TRUE(eventually([&] { return first->frames_in_flight() + second->frames_in_flight() == 0; }, kPatience));
    const auto a = line.record(0).frames.load();
    const auto b = line.record(1).frames.load();
    EXPECT_EQ(a + b, 600U);
    EXPECT_GT(a, 60U);
    EXPECT_GT(b, 60U);
  }
}

TEST(Worker, a_frame_with_a_damaged_description_is_counted_as_failed_and_the_others_go_on) {
  Line line;
  const auto worker = line.worker({.depth = 2, .batch = 4});
  line.commit(8);
  for (std::uint32_t slot = 0; slot < line.geometry.slots; ++slot) {
    auto& about = line.instance.pool().descriptor(slot);
    const bool waits = shm::StateWord::unpack(line.instance.pool().word(slot).load()).state == SlotState::ready;
    if (waits && about.event_id == 5) about.panels = 77;
  }
  line.gate.open("run-1");
  line.collect(7);
  EXPECT_EQ(line.in(SlotState::free), line.geometry.slots);
  EXPECT_BALANCED(line.instance);
  EXPECT_EQ(line.instance.total(Counter::failed_descriptor), 1U);
  EXPECT_EQ(line.runs().count(5), 0U);
}

// --- the control segment
// --------------------------------------------------------------------------------------------------

TEST(Worker, the_counters_page_shows_frames_batches_sizes_padding_and_what_the_device_is) {
  Line line({.slots = 32, .panels = 3});
  line.record().in_flight.store(99);  // left by a daemon that was killed
  {
    const auto worker = line.worker({.depth = 2, .batch = 8, .max_delay = 1h});
    EXPECT_EQ(line.record().name.load(), device_name(0));
    EXPECT_EQ(line.record().state.load(), "ready");
    EXPECT_EQ(line.record().h2d_mode.load(), on_cuda() ? "registered" : "in place");
    EXPECT_EQ(line.record().error.load(), "");
    EXPECT_EQ(line.record().depth.load(), 2U);
    EXPECT_EQ(line.record().batch.load(), 8U);
    EXPECT_EQ(line.record().in_flight.load(), 0U);
    const std::array<std::uint32_t, 8> buckets = {1, 2, 4, 8, 0, 0, 0, 0};
    for (std::size_t i = 0; i < buckets.size(); ++i) EXPECT_EQ(line.record().buckets[i].load(), buckets[i]) << i;

    line.gate.open("run-1");
    // Held up by a first frame, so that what follows waits together: 8 full, 7 in a bucket of 8, 3 in one of 4, 2 in
    // one of 2.
    std::uint64_t batches = 0;
    std::uint64_t frames = 0;
    for (const std::uint32_t together : {8U, 7U, 3U, 2U}) {
      Hold hold(line.script);
      line.commit(1);
      ASSERT_TRUE(line.reaches(SlotState::inferring, 1));
      line.commit(together);
      hold.let_all_pass();
      line.collect(together + 1);
      batches += 2;
      frames += together + 1;
      ASSERT_TRUE(eventually([&] { return worker->frames_in_flight() == 0; }, kPatience));
      EXPECT_EQ(line.record().frames.load(), frames);
      EXPECT_EQ(line.record().batches.load(), batches);
    }
    EXPECT_EQ(line.record().in_flight.load(), 0U);
    const std::array<std::uint64_t, 8> sizes = {4, 1, 1, 2, 0, 0, 0, 0};
    for (std::size_t i = 0; i < sizes.size(); ++i) EXPECT_EQ(line.record().batch_sizes[i].load(), sizes[i]) << i;
    EXPECT_EQ(line.record().padded_rows.load(), 2U * 3U) << "one frame of 7 in 8, one of 3 in 4; a frame is three rows";
    EXPECT_GT(line.record().busy_ns.load(), 0U);
    EXPECT_EQ(line.record().model_errors.load(), 0U);
    EXPECT_EQ(line.record().rebuffers.load(), 0U);
  }
  EXPECT_EQ(line.record().state.load(), "ended");
  line.expect_settled();
}

}  // namespace
}  // namespace peaknet::engine::test
