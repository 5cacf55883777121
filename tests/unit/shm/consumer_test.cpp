#include "shm/consumer.hpp"

#include <gtest/gtest.h>
#include <linux/futex.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>
#include <map>
#include <thread>

#include "shm/clock.hpp"
#include "tests/support/child.hpp"
#include "tests/support/instance.hpp"
#include "tests/support/watched_calls.hpp"
#include "tests/unit/shm/shared_block.hpp"

namespace peaknet::shm {
namespace {

using namespace std::chrono_literals;
using test::Call;
using test::Child;
using test::kCannotWatch;
using test::must;
using test::Shared;
using test::small_frames;
using test::TestInstance;
using test::Watch;
using test::with_watched_calls;

void commit_frames(Producer& producer, int count) {
  for (int i = 0; i < count; ++i) must(must(producer.claim(1s)).commit());
}

TEST(Consumer, a_frame_goes_all_the_way_with_its_pixels_its_mask_and_what_is_known_about_it) {
  TestInstance instance;
  auto producer = instance.producer();
  auto device = instance.consumer(Queue::q1);
  auto writer = instance.consumer(Queue::q2);

  Frame frame = must(producer->claim(1s));
  const auto pixels = frame.pixels<std::uint16_t>();
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint16_t>(i * 7);
  frame.info().event_id = 4711;
  frame.info().timestamp = std::uint64_t{1'700'000'000} << 32 | 999;
  frame.info().photon_energy_ev = 9800.5;
  frame.info().original_height = 40;
  frame.info().pad_top = 8;
  frame.info().set_source_run("run0042");
  frame.info().user = {1, 2, 3, 4};
  must(frame.commit());
  ASSERT_BALANCED(instance);

  auto taken = device->take(8, kMaxSequence, "2026-11-21-3");
  ASSERT_EQ(taken.frames.size(), 1U);
  ASSERT_TRUE(taken.refused.empty());
  ASSERT_BALANCED(instance);
  HeldFrame& on_device = taken.frames[0];
  EXPECT_EQ(instance.slots_in(SlotState::inferring), 1U);
  const auto* seen = reinterpret_cast<const std::uint16_t*>(on_device.image().data());
  for (std::size_t i = 0; i < pixels.size(); ++i) ASSERT_EQ(seen[i], static_cast<std::uint16_t>(i * 7)) << i;
  for (std::size_t i = 0; i < on_device.mask().size(); ++i) on_device.mask()[i] = i * 0x0101010101010101U;
  must(on_device.publish(ResultStatus::mask));
  EXPECT_EQ(instance.slots_in(SlotState::done), 1U);
  ASSERT_BALANCED(instance);

  auto written = writer->take(8);
  ASSERT_EQ(written.frames.size(), 1U);
  HeldFrame& result = written.frames[0];
  const FrameDescriptor& d = result.descriptor();
  EXPECT_EQ(d.producer, producer->number());
  EXPECT_EQ(d.producer_seq, 0U);
  EXPECT_EQ(d.event_id, 4711U);
  EXPECT_EQ(d.timestamp, std::uint64_t{1'700'000'000} << 32 | 999);
  EXPECT_EQ(d.photon_energy_ev, 9800.5);
  EXPECT_EQ(d.original_height, 40U);
  EXPECT_EQ(d.pad_top, 8U);
  EXPECT_EQ(d.source_run_id(), "run0042");
  EXPECT_EQ(d.run_id(), "2026-11-21-3");
  EXPECT_EQ(d.user, (std::array<std::uint64_t, 4>{1, 2, 3, 4}));
  EXPECT_EQ(d.result_status, static_cast<std::uint32_t>(ResultStatus::mask));
  EXPECT_LE(d.claim_ns, d.commit_ns);
  EXPECT_LE(d.commit_ns, d.take_ns);
  EXPECT_LE(d.take_ns, d.done_ns);
  EXPECT_LE(d.done_ns, d.write_ns);
  EXPECT_EQ(d.last_writer, 0U) << "nobody had it before us";
  EXPECT_EQ(result.attempts(), 0U);
  for (std::size_t i = 0; i < result.mask().size(); ++i) ASSERT_EQ(result.mask()[i], i * 0x0101010101010101U) << i;
  EXPECT_EQ(instance.slots_in(SlotState::writing), 1U);
  ASSERT_BALANCED(instance);
  must(result.finish(Counter::written));
  ASSERT_BALANCED(instance);
  EXPECT_EQ(instance.slots_in(SlotState::free), instance.pool().geometry().slots);
  for (const Stage stage : {Stage::q1_wait, Stage::infer, Stage::q2_wait, Stage::write, Stage::total}) {
    std::uint64_t count = 0;
    for (const auto bucket : instance.layout().stages[static_cast<std::size_t>(stage)].copy()) count += bucket;
    EXPECT_EQ(count, 1U) << name(stage);
  }
}

TEST(Consumer, every_outcome_ends_a_frame_and_is_counted_as_itself) {
  TestInstance instance({.geometry = small_frames(8)});
  auto producer = instance.producer();
  auto device = instance.consumer(Queue::q1);
  auto writer = instance.consumer(Queue::q2);
  for (const Counter outcome : kOutcomes) {
    commit_frames(*producer, 1);
    must(device->take(1).frames.at(0).publish(ResultStatus::error));
    must(writer->take(1).frames.at(0).finish(outcome));
    EXPECT_EQ(instance.total(outcome), 1U) << name(outcome);
    EXPECT_BALANCED(instance);
  }
  EXPECT_EQ(instance.accounting().outcomes(), kOutcomes.size());
}

TEST(Consumer, frames_come_oldest_first_and_no_more_than_asked_for) {
  TestInstance instance({.geometry = small_frames(8)});
  auto producer = instance.producer();
  auto device = instance.consumer(Queue::q1);
  commit_frames(*producer, 8);
  EXPECT_EQ(device->waiting(), 8U);
  auto first = device->take(3);
  ASSERT_EQ(first.frames.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(first.frames[i].descriptor().producer_seq, i);
  EXPECT_TRUE(device->take(0).frames.empty());
  auto rest = device->take(100);
  ASSERT_EQ(rest.frames.size(), 5U);
  for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ(rest.frames[i].descriptor().producer_seq, 3 + i);
}

TEST(Consumer, frames_of_a_later_claim_than_the_limit_stay_where_they_are) {
  TestInstance instance;
  auto producer = instance.producer();
  auto device = instance.consumer(Queue::q1);
  commit_frames(*producer, 2);
  const std::uint64_t limit = instance.layout().next_sequence.load();
  commit_frames(*producer, 3);
  EXPECT_EQ(device->waiting(limit), 2U);
  auto before = device->take(8, limit);
  EXPECT_EQ(before.frames.size(), 2U);
  EXPECT_FALSE(device->has_work(limit));
  EXPECT_TRUE(device->has_work());
}

TEST(Consumer, a_frame_given_back_comes_again_first_and_is_no_failed_attempt) {
  TestInstance instance;
  auto producer = instance.producer();
  auto device = instance.consumer(Queue::q1);
  auto writer = instance.consumer(Queue::q2);
  commit_frames(*producer, 3);
  { auto dropped = device->take(1); }  // destroyed without publish
  EXPECT_EQ(instance.total(Counter::redelivered), 1U);
  auto again = device->take(1);
  ASSERT_EQ(again.frames.size(), 1U);
  EXPECT_EQ(again.frames[0].descriptor().producer_seq, 0U);
  EXPECT_EQ(again.frames[0].attempts(), 0U);
  must(again.frames[0].publish(ResultStatus::mask));
  {
    auto held = writer->take(1);
    ASSERT_EQ(held.frames.size(), 1U);
    held.frames[0].give_back();
    EXPECT_EQ(instance.slots_in(SlotState::done), 1U);
  }
  auto written = writer->take(1);
  ASSERT_EQ(written.frames.size(), 1U);
  EXPECT_EQ(written.frames[0].descriptor().last_writer, writer->participant().number())
      << "a second writer must know who had it";
  EXPECT_EQ(instance.total(Counter::redelivered), 2U);
  EXPECT_BALANCED(instance);
}

TEST(Consumer, a_suspect_comes_again_with_one_attempt_more_but_is_quarantined_for_the_death_of_its_owner_alone) {
  TestInstance instance;
  auto producer = instance.producer();
  auto device = instance.consumer(Queue::q1);
  commit_frames(*producer, 1);
  for (const std::uint32_t attempts : {0U, 1U, 2U, 2U}) {
    auto held = device->take(1);
    ASSERT_EQ(held.frames.size(), 1U);
    EXPECT_EQ(held.frames[0].attempts(), attempts);
    held.frames[0].give_back_suspect();
    EXPECT_EQ(instance.slots_in(SlotState::ready), 1U);
  }
  EXPECT_EQ(instance.total(Counter::redelivered), 4U);
  auto last = device->take(1);
  must(last.frames.at(0).publish(ResultStatus::error));
  EXPECT_BALANCED(instance);
}

TEST(Consumer, a_held_frame_may_be_moved_about) {
  TestInstance instance;
  auto producer = instance.producer();
  auto device = instance.consumer(Queue::q1);
  commit_frames(*producer, 2);
  auto taken = device->take(2);
  HeldFrame first = std::move(taken.frames[0]);
  HeldFrame second = std::move(taken.frames[1]);
  std::swap(first, second);
  taken.frames.clear();
  EXPECT_EQ(instance.slots_in(SlotState::inferring), 2U);
  EXPECT_EQ(first.descriptor().producer_seq, 1U);
  must(first.publish(ResultStatus::mask));
  must(second.publish(ResultStatus::mask));
  EXPECT_EQ(instance.slots_in(SlotState::done), 2U);
}

TEST(Consumer, a_damaged_description_is_a_failed_frame_and_its_slot_is_free_again) {
  TestInstance instance({.geometry = small_frames(3)});
  auto producer = instance.producer();
  auto device = instance.consumer(Queue::q1);
  auto writer = instance.consumer(Queue::q2);
  commit_frames(*producer, 3);
  instance.pool().descriptor(1).width = 7;
  auto taken = device->take(8);
  EXPECT_EQ(taken.frames.size(), 2U);
  ASSERT_EQ(taken.refused.size(), 1U);
  EXPECT_EQ(taken.refused[0].id, "frame.bad-descriptor");
  EXPECT_NE(taken.refused[0].what.find("frame 1"), std::string::npos) << taken.refused[0].text();
  EXPECT_EQ(instance.total(Counter::failed_descriptor), 1U);
  EXPECT_EQ(instance.slots_in(SlotState::free), 1U);
  EXPECT_BALANCED(instance);

  // The same between the device and the writer.
  must(taken.frames[0].publish(ResultStatus::mask));
  instance.pool().descriptor(taken.frames[0].slot()).pixel_type = 0;
  EXPECT_EQ(writer->take(8).refused.size(), 1U);
  EXPECT_EQ(instance.total(Counter::failed_descriptor), 2U);
  EXPECT_EQ(instance.slots_in(SlotState::free), 2U);
  EXPECT_BALANCED(instance);
}

TEST(Consumer, what_others_scribble_on_the_description_while_it_is_held_does_not_reach_the_next_stage) {
  TestInstance instance;
  auto producer = instance.producer();
  auto device = instance.consumer(Queue::q1);
  auto writer = instance.consumer(Queue::q2);
  commit_frames(*producer, 1);
  auto taken = device->take(1);
  instance.pool().descriptor(taken.frames.at(0).slot()).height = 1;
  must(taken.frames[0].publish(ResultStatus::mask));
  EXPECT_EQ(writer->take(1).frames.size(), 1U);
}

TEST(Consumer, a_frame_whose_state_word_was_overwritten_is_reported_lost_not_published_twice) {
  TestInstance instance;
  auto producer = instance.producer();
  auto device = instance.consumer(Queue::q1);
  commit_frames(*producer, 1);
  auto taken = device->take(1);
  const std::uint32_t slot = taken.frames.at(0).slot();
  instance.pool().word(slot).store(StateWord{99, 0, 0, SlotState::free}.pack());
  const Status lost = taken.frames[0].publish(ResultStatus::mask);
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().id, "frame.lost");
  EXPECT_EQ(StateWord::unpack(instance.pool().word(slot).load()).state, SlotState::free);
  EXPECT_EQ(instance.total(Counter::inferred), 0U);
}

TEST(Consumer, a_sleeping_consumer_is_woken_by_a_commit) {
  TestInstance instance;
  auto device = Child::run([&] {
    auto q1 = instance.consumer(Queue::q1);
    for (;;) {
      auto taken = q1->take(4);
      for (auto& frame : taken.frames) must(frame.publish(ResultStatus::mask));
      if (!taken.frames.empty()) return 0;
      q1->wait_for_work(1s);
    }
  });
  ASSERT_TRUE(test::eventually([&] { return !instance.pool().header().ready_event.unchanged_since(0); }));
  auto producer = instance.producer();
  auto writer = instance.consumer(Queue::q2);
  const auto start = monotonic_ns();
  commit_frames(*producer, 1);
  while (!writer->has_work()) writer->wait_for_work(1s);
  EXPECT_LT(monotonic_ns() - start, 2'000'000'000);
  EXPECT_EQ(device.wait(), test::Exit::code(0));
}

TEST(Consumer, waiting_costs_next_to_no_processor_time) {
  TestInstance instance;
  auto idle = Child::run([&] {
    auto consumer = instance.consumer(Queue::q1);
    const auto cpu = [] {
      timespec now{};
      clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
      return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
    };
    const auto before = cpu();
    const std::int64_t start = monotonic_ns();
    while (monotonic_ns() - start < 1'000'000'000) consumer->wait_for_work(1s);
    return static_cast<int>((cpu() - before) / 1ms);
  });
  const test::Exit spent = idle.wait();
  EXPECT_FALSE(spent.by_signal);
  EXPECT_LT(spent.number, 100) << "milliseconds of CPU time in a second of waiting";
}

TEST(Consumer, waiting_for_work_returns_at_once_when_there_is_some) {
  TestInstance instance;
  auto producer = instance.producer();
  auto device = instance.consumer(Queue::q1);
  const auto empty = monotonic_ns();
  device->wait_for_work(20ms);
  EXPECT_GE(monotonic_ns() - empty, 19'000'000);
  commit_frames(*producer, 1);
  const auto full = monotonic_ns();
  for (int i = 0; i < 10; ++i) device->wait_for_work(50ms);
  EXPECT_LT(monotonic_ns() - full, 250'000'000);
  EXPECT_EQ(instance.total(Counter::late_wakes), 0U);
}

TEST(Consumer, a_request_to_finish_files_is_seen_once_and_answered_by_its_generation) {
  TestInstance instance;
  auto writer = instance.consumer(Queue::q2);
  EXPECT_EQ(writer->close_requested(), 0U);
  instance.layout().run.close_generation.store(1);
  EXPECT_EQ(writer->close_requested(), 1U);
  const auto before = instance.layout().control_event.prepare();
  writer->closed(1);
  EXPECT_EQ(writer->close_requested(), 0U);
  EXPECT_EQ(writer->participant().record().closed_generation.load(), 1U);
  EXPECT_FALSE(instance.layout().control_event.unchanged_since(before)) << "the daemon's supervisor is told";
  instance.layout().run.close_generation.store(3);
  EXPECT_EQ(writer->close_requested(), 3U) << "two requests at once are answered together";
  writer->closed(3);
  EXPECT_EQ(writer->close_requested(), 0U);
  auto late = instance.consumer(Queue::q2);
  EXPECT_EQ(late->close_requested(), 0U) << "who comes later has no files to finish";
}

TEST(Consumer, a_sleeping_writer_is_woken_by_a_request_to_finish_files) {
  TestInstance instance;
  auto writer = Child::run([&] {
    auto q2 = instance.consumer(Queue::q2);
    while (q2->close_requested() == 0) q2->wait_for_work(1s);
    q2->closed(q2->close_requested());
    return 0;
  });
  ASSERT_TRUE(test::eventually([&] { return !instance.pool().header().done_event.unchanged_since(0); }));
  auto& control = instance.layout().control_event;
  auto ticket = control.prepare();
  instance.layout().run.close_generation.fetch_add(1);
  instance.pool().header().done_event.notify();
  const auto answered = [&] { return instance.layout().participants[1].closed_generation.load() == 1; };
  while (!answered() && writer.running()) {
    control.wait(ticket);
    ticket = control.prepare();
  }
  EXPECT_TRUE(answered());
  EXPECT_EQ(writer.wait(), test::Exit::code(0));
}

TEST(Consumer, a_request_that_came_just_before_the_sleep_is_not_slept_over) {
  TestInstance instance;
  auto writer = instance.consumer(Queue::q2);
  // The writer has looked (nothing), then the request comes with its notification, then the writer goes to sleep.
  ASSERT_EQ(writer->close_requested(), 0U);
  instance.layout().run.close_generation.store(1);
  instance.pool().header().done_event.notify();
  const auto start = monotonic_ns();
  writer->wait_for_work(50ms);
  EXPECT_LT(monotonic_ns() - start, 40'000'000);
  // A writer that is not ready to answer yet does not spin.
  const auto second = monotonic_ns();
  writer->wait_for_work(20ms);
  EXPECT_GE(monotonic_ns() - second, 19'000'000);
}

TEST(Consumer, frames_of_each_producer_are_taken_in_order_by_one_consumer) {
  constexpr std::uint64_t kFrames = 6000;
  TestInstance instance({.geometry = small_frames(16)});
  std::vector<Child> producers;
  for (int i = 0; i < 3; ++i) {
    producers.push_back(Child::run([&] {
      auto producer = instance.producer();
      commit_frames(*producer, kFrames);
      return 0;
    }));
  }
  auto device = instance.consumer(Queue::q1);
  auto writer = instance.consumer(Queue::q2);
  std::map<std::uint64_t, std::uint64_t> next;
  for (std::uint64_t seen = 0; seen < 3 * kFrames;) {
    auto taken = device->take(1 + seen % 16);
    if (taken.frames.empty()) device->wait_for_work(1s);
    for (auto& frame : taken.frames) {
      ASSERT_EQ(frame.descriptor().producer_seq, next[frame.descriptor().producer]++);
      must(frame.publish(ResultStatus::mask));
      ++seen;
    }
    for (auto& frame : writer->take(16).frames) must(frame.finish(Counter::written));
  }
  for (auto& producer : producers) EXPECT_EQ(producer.wait(), test::Exit::code(0));
  EXPECT_EQ(next.size(), 3U);
  EXPECT_EQ(instance.total(Counter::written), 3 * kFrames);
  EXPECT_EQ(instance.total(Counter::late_wakes), 0U);
  EXPECT_BALANCED(instance);
}

TEST(Consumer, frames_of_each_producer_reach_each_of_several_consumers_in_order_and_only_one_of_them) {
  constexpr int kProducers = 3;
  constexpr std::uint64_t kFrames = 4000;
  struct Evidence {
    std::array<std::array<std::atomic<std::uint8_t>, kFrames>, 16> taken{};  // by producer number and sequence
    std::atomic<std::uint64_t> count{0}, out_of_order{0};
  };
  Shared<Evidence> shared;
  TestInstance instance({.geometry = small_frames(16)});
  std::vector<Child> children;
  for (int i = 0; i < 2; ++i) {
    children.push_back(Child::run([&] {
      auto device = instance.consumer(Queue::q1);
      auto writer = instance.consumer(Queue::q2);
      std::map<std::uint64_t, std::uint64_t> last;
      while (shared->count < kProducers * kFrames) {
        auto taken = device->take(4);
        if (taken.frames.empty()) device->wait_for_work(10ms);
        for (auto& frame : taken.frames) {
          const auto& d = frame.descriptor();
          auto [entry, first] = last.try_emplace(d.producer, d.producer_seq);
          if (!first && d.producer_seq <= std::exchange(entry->second, d.producer_seq)) ++shared->out_of_order;
          ++shared->taken.at(d.producer).at(d.producer_seq);
          ++shared->count;
          must(frame.publish(ResultStatus::mask));
        }
        for (auto& frame : writer->take(16).frames) must(frame.finish(Counter::written));
      }
      return 0;
    }));
  }
  for (int i = 0; i < kProducers; ++i) {
    children.push_back(Child::run([&] {
      auto producer = instance.producer();
      commit_frames(*producer, kFrames);
      return 0;
    }));
  }
  for (auto& child : children) EXPECT_EQ(child.wait(), test::Exit::code(0));
  EXPECT_EQ(shared->out_of_order, 0U);
  std::uint64_t once = 0;
  for (const auto& producer : shared->taken)
    once += static_cast<std::uint64_t>(std::count(producer.begin(), producer.end(), 1));
  EXPECT_EQ(once, kProducers * kFrames);
  EXPECT_BALANCED(instance);
}

TEST(Consumer, without_a_pool_there_is_nothing_to_attach_to) {
  TestInstance instance({.with_pool = false});
  auto consumer = Consumer::attach(instance.name(), Queue::q2, "writer");
  ASSERT_FALSE(consumer);
  EXPECT_EQ(consumer.error().id, "pool.none");
}

TEST(Consumer, a_forked_copy_publishes_and_answers_nothing_for_its_parent) {
  TestInstance instance;
  commit_frames(*instance.producer(), 1);
  auto device = instance.consumer(Queue::q1);
  auto taken = device->take(1);
  instance.layout().run.close_generation.store(3);
  auto copy = Child::run([&] {
    device->closed(3);
    const Status published = taken.frames.at(0).publish(ResultStatus::mask);
    return !published && published.error().id == "member.forked" ? 0 : 1;
  });
  EXPECT_EQ(copy.wait(), test::Exit::code(0));
  EXPECT_EQ(device->close_requested(), 3U) << "nobody has answered";
  EXPECT_EQ(instance.slots_in(SlotState::inferring), 1U);
  must(taken.frames.at(0).publish(ResultStatus::mask));
  EXPECT_BALANCED(instance);
}

TEST(Consumer, a_published_frame_is_nobodys_suspect_any_more) {
  TestInstance instance;
  commit_frames(*instance.producer(), 1);
  auto device = instance.consumer(Queue::q1);
  auto taken = device->take(1);
  must(taken.frames.at(0).publish(ResultStatus::mask));
  taken.frames.at(0).give_back_suspect();
  EXPECT_EQ(instance.slots_in(SlotState::done), 1U);
  EXPECT_EQ(instance.total(Counter::redelivered), 0U);
  EXPECT_EQ(instance.consumer(Queue::q2)->take(1).frames.at(0).attempts(), 0U);
}

TEST(Consumer, who_waits_in_vain_gives_back_what_the_dead_held_and_that_is_no_lost_wake_up) {
  TestInstance instance;
  auto device = instance.consumer(Queue::q1);
  commit_frames(*instance.producer(), 1);
  auto dead = Child::run([&] {
    auto* other = instance.consumer(Queue::q1).release();
    new Consumer::Taken(other->take(1));
    raise(SIGKILL);
    return 1;
  });
  ASSERT_EQ(dead.wait(), test::Exit::signal(SIGKILL));
  EXPECT_TRUE(device->take(1).frames.empty());
  device->wait_for_work(1ms);
  EXPECT_EQ(instance.slots_in(SlotState::ready), 1U);
  EXPECT_EQ(instance.total(Counter::late_wakes), 0U);
  EXPECT_EQ(device->take(1).frames.size(), 1U);
}

// Sleeps until its time is over while `meanwhile` happens; the kernel says that nobody woke it.
TEST(Consumer, work_that_came_without_a_wake_up_is_counted_and_work_with_one_is_not) {
  for (const bool notified : {false, true}) {
    TestInstance instance;
    auto producer = instance.producer();
    auto device = instance.consumer(Queue::q1);
    const bool watched = with_watched_calls(
        {Watch{SYS_futex, 1, FUTEX_WAIT}},
        [&](const Call&) {
          if (notified) {
            commit_frames(*producer, 1);
          } else {
            instance.pool().word(0).store(StateWord{1, 0, 0, SlotState::ready}.pack());
          }
          return ETIMEDOUT;
        },
        [&] { device->wait_for_work(1s); });
    if (!watched) GTEST_SKIP() << kCannotWatch;
    EXPECT_EQ(instance.total(Counter::late_wakes), notified ? 0U : 1U);
    EXPECT_TRUE(device->has_work());
  }
}

}  // namespace
}  // namespace peaknet::shm
