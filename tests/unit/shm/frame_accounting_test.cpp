#include "shm/frame_accounting.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/support/child.hpp"
#include "tests/support/instance.hpp"
#include "tests/unit/shm/shared_block.hpp"

namespace peaknet::shm {
namespace {

using namespace std::chrono_literals;
using test::Child;
using test::must;
using test::Shared;
using test::small_frames;
using test::TestInstance;

void commit_frames(Producer& producer, int count) {
  for (int i = 0; i < count; ++i) must(must(producer.claim(1s)).commit());
}

TEST(FrameAccounting, a_fresh_instance_has_empty_books) {
  TestInstance instance;
  const FrameAccounting accounting = instance.accounting();
  EXPECT_TRUE(accounting.settled);
  EXPECT_EQ(accounting.imbalance(), 0);
  EXPECT_EQ(accounting.in_flight(), 0U);
  EXPECT_EQ(accounting.slots[static_cast<std::size_t>(SlotState::free)], instance.pool().geometry().slots);
}

TEST(FrameAccounting, an_instance_without_a_pool_has_books_too) {
  TestInstance instance({.with_pool = false});
  const FrameAccounting accounting = read_accounting(instance.control_segment(), nullptr);
  EXPECT_TRUE(accounting.settled);
  EXPECT_EQ(accounting.imbalance(), 0);
}

TEST(FrameAccounting, a_read_only_reader_sees_the_same) {
  TestInstance instance;
  commit_frames(*instance.producer(), 3);
  const auto control_segment = must(ControlSegment::open(instance.name(), Access::read_only));
  const auto pool = must(control_segment->open_pool(Access::read_only));
  const FrameAccounting accounting = read_accounting(*control_segment, pool.get());
  EXPECT_TRUE(accounting.settled);
  EXPECT_EQ(accounting.total(Counter::committed), 3U);
  EXPECT_EQ(accounting.in_flight(), 3U);
  EXPECT_EQ(accounting.imbalance(), 0);
}

TEST(FrameAccounting, the_books_of_a_participant_outlive_it_and_are_continued_by_the_next_with_its_id) {
  TestInstance instance({.geometry = small_frames(8)});
  for (int i = 0; i < 3; ++i) commit_frames(*instance.producer(), 2);  // each has id 1
  EXPECT_EQ(instance.total(Counter::committed), 6U);
  const auto& record = instance.layout().participants[1];
  EXPECT_EQ(record.counters[static_cast<std::size_t>(Counter::committed)].load(), 6U);
  EXPECT_EQ(record.base[static_cast<std::size_t>(Counter::committed)].load(), 4U)
      << "what the last one did is the difference";
}

TEST(FrameAccounting, a_run_begins_with_the_frames_that_wait_and_ends_balanced) {
  TestInstance instance({.geometry = small_frames(8)});
  auto producer = instance.producer();
  auto device = instance.consumer(Queue::q1);
  auto writer = instance.consumer(Queue::q2);
  const auto finish_one = [&](Counter outcome) {
    must(device->take(1).frames.at(0).publish(ResultStatus::mask));
    must(writer->take(1).frames.at(0).finish(outcome));
  };
  commit_frames(*producer, 5);
  finish_one(Counter::written);
  finish_one(Counter::filtered);

  begin_run_accounting(instance.control_segment());
  FrameAccounting accounting = instance.accounting();
  EXPECT_EQ(accounting.of_run(Counter::committed), 3U) << "the three that wait are the new run's";
  EXPECT_EQ(accounting.of_run(Counter::written), 0U);
  EXPECT_EQ(accounting.of_run(Counter::filtered), 0U);
  EXPECT_EQ(accounting.total(Counter::committed), 5U);

  commit_frames(*producer, 1);
  for (int i = 0; i < 4; ++i) finish_one(Counter::written);
  accounting = instance.accounting();
  EXPECT_EQ(accounting.of_run(Counter::committed), 4U);
  EXPECT_EQ(accounting.of_run(Counter::written), 4U);
  EXPECT_EQ(accounting.in_flight(), 0U);
  EXPECT_EQ(test::unbalanced(accounting), "");
}

TEST(FrameAccounting, an_operation_half_way_is_not_settled) {
  TestInstance instance;
  auto& intent = instance.layout().participants[7].intent;
  intent.old_word.store(1);
  EXPECT_FALSE(instance.accounting().settled);
  intent.old_word.store(0);
  EXPECT_TRUE(instance.accounting().settled);
}

TEST(FrameAccounting, nonsense_in_the_state_words_is_an_imbalance_and_no_crash) {
  TestInstance instance({.geometry = small_frames(4)});
  auto producer = instance.producer();
  commit_frames(*producer, 4);
  instance.pool().word(2).store(~std::uint64_t{0});
  const FrameAccounting accounting = instance.accounting();
  EXPECT_EQ(accounting.imbalance(), 1);
}

// Every reading that says it has settled must balance, whatever the others do at that moment.
TEST(FrameAccounting, balance_in_every_settled_reading_while_everybody_works) {
  struct Flags {
    std::atomic<bool> stop{false};
  };
  Shared<Flags> flags;
  TestInstance instance({.geometry = small_frames(6), .full = FullPolicy::drop_oldest});
  std::vector<Child> children;
  for (int i = 0; i < 2; ++i) {
    children.push_back(Child::run([&] {
      auto producer = instance.producer();
      for (unsigned n = 0; !flags->stop; ++n) {
        auto frame = producer->claim(50ms);
        if (!frame || n % 5 == 0) continue;  // not committed: given back
        must(frame->commit());
        if (n % 64 == 0) std::this_thread::sleep_for(200us);
      }
      return 0;
    }));
  }
  children.push_back(Child::run([&] {
    auto device = instance.consumer(Queue::q1);
    for (unsigned n = 0; !flags->stop; ++n) {
      auto taken = device->take(3);
      if (taken.frames.empty()) device->wait_for_work(20ms);
      for (auto& frame : taken.frames) {
        if (n++ % 7 != 0) must(frame.publish(ResultStatus::mask));
      }
    }
    return 0;
  }));
  children.push_back(Child::run([&] {
    auto writer = instance.consumer(Queue::q2);
    for (unsigned n = 0; !flags->stop; ++n) {
      auto taken = writer->take(3);
      if (taken.frames.empty()) writer->wait_for_work(20ms);
      for (auto& frame : taken.frames) {
        if (n++ % 11 != 0) must(frame.finish(kOutcomes[n % kOutcomes.size()]));
      }
    }
    return 0;
  }));
  int settled = 0;
  const auto end = std::chrono::steady_clock::now() + 3s;
  while (std::chrono::steady_clock::now() < end) {
    const FrameAccounting accounting = instance.accounting();
    if (!accounting.settled) continue;
    ++settled;
    ASSERT_EQ(accounting.imbalance(), 0) << test::unbalanced(accounting);
  }
  flags->stop = true;
  for (auto& child : children) EXPECT_EQ(child.wait(), test::Exit::code(0));
  EXPECT_GT(settled, 100);
  EXPECT_BALANCED(instance);
  EXPECT_GT(instance.total(Counter::dropped_oldest), 0U);
}

}  // namespace
}  // namespace peaknet::shm
