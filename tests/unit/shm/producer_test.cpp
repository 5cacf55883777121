#include "shm/producer.hpp"

#include <gtest/gtest.h>
#include <linux/futex.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <filesystem>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "shm/clock.hpp"
#include "tests/support/child.hpp"
#include "tests/support/instance.hpp"
#include "tests/support/watched_calls.hpp"

namespace peaknet::shm {
namespace {

using namespace std::chrono_literals;
using test::Call;
using test::Child;
using test::kCannotWatch;
using test::must;
using test::small_frames;
using test::TestInstance;
using test::Watch;
using test::with_watched_calls;

void commit_frames(Producer& producer, int count) {
  for (int i = 0; i < count; ++i) must(must(producer.claim(1s)).commit());
}

TEST(Producer, a_claimed_frame_describes_the_pool_and_is_not_there_before_its_commit) {
  TestInstance instance;
  auto producer = instance.producer();
  auto device = instance.consumer(Queue::q1);
  Frame frame = must(producer->claim(0s));
  EXPECT_EQ(frame.image().size(), producer->geometry().image_bytes());
  EXPECT_EQ(frame.pixels<std::uint16_t>().size(), producer->geometry().pixels());
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(frame.image().data()) % kPage, 0U);
  EXPECT_TRUE(frame.info().check(producer->geometry()));
  EXPECT_TRUE(std::isnan(frame.info().photon_energy_ev));
  EXPECT_EQ(instance.slots_in(SlotState::filling), 1U);
  EXPECT_FALSE(device->has_work());
  EXPECT_TRUE(device->take(8).frames.empty());
  EXPECT_BALANCED(instance);

  must(frame.commit());
  EXPECT_EQ(producer->committed(), 1U);
  EXPECT_TRUE(device->has_work());
  EXPECT_EQ(instance.total(Counter::committed), 1U);
  EXPECT_EQ(instance.total(Counter::claimed), 1U);
  EXPECT_BALANCED(instance);
}

TEST(Producer, fill_copies_every_byte_of_an_image_larger_than_a_piece_of_the_copy) {
  TestInstance instance({.geometry = {2, 3, 353, 387, PixelType::uint16}});
  auto producer = instance.producer();
  const std::size_t bytes = producer->geometry().image_bytes();
  std::vector<std::byte> image(bytes);
  for (std::size_t i = 0; i < bytes; ++i) image[i] = static_cast<std::byte>(i * 2654435761U >> 13);
  Frame frame = must(producer->claim(0s));
  std::ranges::fill(frame.image(), std::byte{0xee});
  must(frame.fill(image));
  EXPECT_TRUE(std::ranges::equal(frame.image(), image));
  must(frame.commit());
  EXPECT_BALANCED(instance);
}

TEST(Producer, fill_refuses_an_image_of_another_size_and_the_frame_can_still_be_filled) {
  TestInstance instance;
  auto producer = instance.producer();
  std::vector<std::byte> image(producer->geometry().image_bytes() + 2, std::byte{7});
  Frame frame = must(producer->claim(0s));
  std::ranges::fill(frame.image(), std::byte{0xee});
  for (const std::size_t size : {std::size_t{0}, image.size() - 3, image.size()}) {
    const auto refused = frame.fill(std::span(image).first(size));
    ASSERT_FALSE(refused) << size;
    EXPECT_EQ(refused.error().id, "frame.other-shape");
    EXPECT_NE(refused.error().what.find(std::to_string(size)), std::string::npos) << refused.error().text();
  }
  EXPECT_TRUE(std::ranges::all_of(frame.image(), [](std::byte b) { return b == std::byte{0xee}; }));
  must(frame.fill(std::span(image).first(image.size() - 2)));
  must(frame.commit());
  EXPECT_BALANCED(instance);
}

TEST(Producer, an_uncommitted_frame_gives_its_slot_back_and_leaves_no_gap_in_the_sequence) {
  TestInstance instance;
  auto producer = instance.producer();
  { const Frame frame = must(producer->claim(0s)); }
  EXPECT_EQ(instance.slots_in(SlotState::free), instance.pool().geometry().slots);
  EXPECT_EQ(instance.total(Counter::aborted), 1U);
  commit_frames(*producer, 2);
  auto device = instance.consumer(Queue::q1);
  auto taken = device->take(8);
  ASSERT_EQ(taken.frames.size(), 2U);
  EXPECT_EQ(taken.frames[0].descriptor().producer_seq, 0U);
  EXPECT_EQ(taken.frames[1].descriptor().producer_seq, 1U);
  EXPECT_BALANCED(instance);
}

TEST(Producer, a_moved_frame_is_given_back_once) {
  TestInstance instance;
  auto producer = instance.producer();
  Frame first = must(producer->claim(0s));
  Frame second = std::move(first);
  Frame third = must(producer->claim(0s));
  third = std::move(second);
  must(third.commit());
  EXPECT_EQ(instance.total(Counter::aborted), 0U) << "the frame that was assigned over lives in the other variable";
  EXPECT_EQ(instance.slots_in(SlotState::ready), 1U);
  EXPECT_EQ(instance.slots_in(SlotState::filling), 1U);
}

TEST(Producer, the_lowest_free_slot_comes_first) {
  TestInstance instance({.geometry = small_frames(6)});
  auto producer = instance.producer();
  auto device = instance.consumer(Queue::q1);
  auto writer = instance.consumer(Queue::q2);
  commit_frames(*producer, 6);
  auto taken = device->take(6);
  ASSERT_EQ(taken.frames.size(), 6U);
  for (std::uint32_t i = 0; i < 6; ++i) EXPECT_EQ(taken.frames[i].slot(), i);
  // Slots 4 and 1 come free, in this order.
  for (const std::size_t i : {4U, 1U}) {
    must(taken.frames[i].publish(ResultStatus::mask));
    auto written = writer->take(1);
    must(written.frames.at(0).finish(Counter::written));
  }
  Frame first = must(producer->claim(0s));
  Frame second = must(producer->claim(0s));
  must(first.commit());
  must(second.commit());
  auto again = device->take(2);
  ASSERT_EQ(again.frames.size(), 2U);
  EXPECT_EQ(again.frames[0].slot(), 1U);
  EXPECT_EQ(again.frames[1].slot(), 4U);
}

TEST(Producer, policy_block_waits_until_its_deadline_and_says_where_the_frames_are) {
  TestInstance instance({.geometry = small_frames(3)});
  auto producer = instance.producer();
  commit_frames(*producer, 3);
  const auto start = monotonic_ns();
  auto refused = producer->claim(120ms);
  const auto took = monotonic_ns() - start;
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().id, "pool.full");
  EXPECT_NE(refused.error().what.find("3 frames wait for a device"), std::string::npos) << refused.error().text();
  EXPECT_NE(refused.error().what.find("policy block"), std::string::npos) << refused.error().text();
  EXPECT_GE(took, 119'000'000);
  EXPECT_LT(took, 1'000'000'000);
  EXPECT_EQ(instance.total(Counter::refused_full), 1U);
  EXPECT_GE(instance.total(Counter::blocked_ns), 119'000'000U) << "a wait in vain is a wait";
  EXPECT_EQ(instance.total(Counter::committed), 3U);
  EXPECT_BALANCED(instance);
}

TEST(Producer, a_wait_is_counted_while_it_lasts_and_once) {
  TestInstance instance({.geometry = small_frames(3)});
  auto producer = instance.producer();
  commit_frames(*producer, 3);
  ASSERT_FALSE(must(producer->claim_step(1h, 0ms)).has_value());
  const auto first = instance.total(Counter::blocked_ns);
  EXPECT_GT(first, 0U);
  const auto begin = monotonic_ns();
  ASSERT_FALSE(must(producer->claim_step(1h, 30min)).has_value());
  EXPECT_LE(instance.total(Counter::blocked_ns) - first, static_cast<std::uint64_t>(monotonic_ns() - begin))
      << "what went by before is not counted again";
  EXPECT_EQ(instance.total(Counter::refused_full), 0U);
}

TEST(Producer, a_signal_ends_a_step_and_not_a_claim) {
  TestInstance instance({.geometry = small_frames(2)});
  auto producer = instance.producer();
  commit_frames(*producer, 2);
  for (const bool step : {true, false}) {
    int sleeps = 0;
    const auto interrupt_one = [&](const Call&) { return ++sleeps == 1 ? EINTR : 0; };
    const bool watched = with_watched_calls({{SYS_futex, 1, FUTEX_WAIT}}, interrupt_one, [&] {
      if (step) {
        EXPECT_FALSE(must(producer->claim_step(1h, 0ms)).has_value());
      } else {
        EXPECT_EQ(producer->claim(1ms).error().id, "pool.full");
      }
    });
    if (!watched) GTEST_SKIP() << kCannotWatch;
    if (step) {
      EXPECT_EQ(sleeps, 1) << "who called looks at the signal before the next sleep";
    } else {
      EXPECT_GE(sleeps, 1);
    }
  }
  EXPECT_EQ(instance.total(Counter::refused_full), 1U);
}

TEST(Producer, policy_block_goes_on_as_soon_as_a_slot_is_free) {
  TestInstance instance({.geometry = small_frames(2)});
  auto producer = instance.producer();
  commit_frames(*producer, 2);
  auto worker = Child::run([&] {
    auto device = instance.consumer(Queue::q1);
    auto writer = instance.consumer(Queue::q2);
    std::this_thread::sleep_for(30ms);
    must(device->take(1).frames.at(0).publish(ResultStatus::mask));
    must(writer->take(1).frames.at(0).finish(Counter::filtered));
    return 0;
  });
  const auto start = monotonic_ns();
  Frame frame = must(producer->claim(10s));
  EXPECT_LT(monotonic_ns() - start, 2'000'000'000);
  EXPECT_EQ(worker.wait(), test::Exit::code(0));
  EXPECT_GE(instance.total(Counter::blocked_ns), 1'000'000U);
  EXPECT_EQ(instance.total(Counter::refused_full), 0U);
  EXPECT_EQ(instance.total(Counter::late_wakes), 0U);
}

TEST(Producer, policy_drop_newest_refuses_at_once_and_counts_every_refusal) {
  TestInstance instance({.geometry = small_frames(3), .full = FullPolicy::drop_newest});
  auto producer = instance.producer();
  int committed = 0;
  int refused = 0;
  const auto start = monotonic_ns();
  for (int i = 0; i < 10; ++i) {
    auto frame = producer->claim(10s);
    if (!frame) {
      EXPECT_EQ(frame.error().id, "pool.full");
      ++refused;
    } else {
      must(frame->commit());
      ++committed;
    }
  }
  EXPECT_LT(monotonic_ns() - start, 2'000'000'000) << "no refusal waits for the deadline";
  EXPECT_EQ(committed, 3);
  EXPECT_EQ(refused, 7);
  EXPECT_EQ(instance.total(Counter::refused_full), 7U);
  EXPECT_EQ(instance.total(Counter::committed), 3U);
  EXPECT_BALANCED(instance);
}

TEST(Producer, policy_drop_oldest_replaces_the_oldest_waiting_frames_and_counts_each) {
  TestInstance instance({.geometry = small_frames(4), .full = FullPolicy::drop_oldest});
  auto producer = instance.producer();
  for (int i = 0; i < 11; ++i) {
    commit_frames(*producer, 1);
    ASSERT_BALANCED(instance);
  }
  EXPECT_EQ(instance.total(Counter::committed), 11U);
  EXPECT_EQ(instance.total(Counter::dropped_oldest), 7U);
  auto device = instance.consumer(Queue::q1);
  auto taken = device->take(8);
  ASSERT_EQ(taken.frames.size(), 4U);
  for (std::size_t i = 0; i < 4; ++i)
    EXPECT_EQ(taken.frames[i].descriptor().producer_seq, 7 + i) << "the newest four stay";
}

TEST(Producer, policy_drop_oldest_touches_no_frame_that_somebody_has_taken) {
  TestInstance instance({.geometry = small_frames(3), .full = FullPolicy::drop_oldest});
  auto producer = instance.producer();
  auto device = instance.consumer(Queue::q1);
  commit_frames(*producer, 3);
  auto taken = device->take(3);
  ASSERT_EQ(taken.frames.size(), 3U);
  must(taken.frames[0].publish(ResultStatus::mask));
  auto refused = producer->claim(10ms);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().id, "pool.full");
  EXPECT_EQ(instance.total(Counter::dropped_oldest), 0U);

  taken.frames[1].give_back();
  commit_frames(*producer, 1);  // now there is one to drop
  EXPECT_EQ(instance.total(Counter::dropped_oldest), 1U);
  EXPECT_BALANCED(instance);
}

TEST(Producer, policy_drop_oldest_sees_a_frame_that_becomes_droppable_while_it_waits) {
  TestInstance instance({.geometry = small_frames(2), .full = FullPolicy::drop_oldest});
  auto producer = instance.producer();
  auto other = instance.producer();
  Frame first = must(other->claim(0s));
  Frame second = must(other->claim(0s));
  auto waiting = Child::run([&] {
    auto third = instance.producer();
    auto frame = third->claim(10s);
    if (!frame) return 1;
    must(frame->commit());
    return static_cast<int>(
        third->participant().record().counters[static_cast<std::size_t>(Counter::late_wakes)].load());
  });
  ASSERT_TRUE(test::eventually([&] { return !instance.pool().header().free_event.unchanged_since(0); })) << "asleep";
  must(first.commit());
  EXPECT_EQ(waiting.wait(), test::Exit::code(0)) << "no wake-up may be reported as lost";
  EXPECT_EQ(instance.total(Counter::dropped_oldest), 1U);
  must(second.commit());
  EXPECT_BALANCED(instance);
}

TEST(Producer, own_policy_goes_before_that_of_the_pool) {
  TestInstance instance({.geometry = small_frames(2), .full = FullPolicy::block});
  auto producer = instance.producer(FullPolicy::drop_oldest);
  commit_frames(*producer, 5);
  EXPECT_EQ(instance.total(Counter::dropped_oldest), 3U);
}

TEST(Producer, two_droppers_and_a_taker_at_once_lose_and_double_nothing) {
  TestInstance instance({.geometry = small_frames(3), .full = FullPolicy::drop_oldest});
  std::vector<Child> producers;
  for (int i = 0; i < 2; ++i) {
    producers.push_back(Child::run([&] {
      auto producer = instance.producer();
      for (int n = 0; n < 3000; ++n) must(must(producer->claim(10s)).commit());
      return 0;
    }));
  }
  auto device = instance.consumer(Queue::q1);
  auto writer = instance.consumer(Queue::q2);
  std::uint64_t finished = 0;
  const auto drain = [&] {
    for (auto& frame : device->take(2).frames) must(frame.publish(ResultStatus::mask));
    for (auto& frame : writer->take(2).frames) must(frame.finish(Counter::written)), ++finished;
  };
  while (std::any_of(producers.begin(), producers.end(), [](Child& child) { return child.running(); })) drain();
  while (device->has_work()) drain();
  for (auto& producer : producers) EXPECT_EQ(producer.wait(), test::Exit::code(0));
  const FrameAccounting accounting = instance.accounting();
  EXPECT_EQ(test::unbalanced(accounting), "");
  EXPECT_EQ(accounting.total(Counter::committed), 6000U);
  EXPECT_EQ(accounting.total(Counter::written), finished);
  EXPECT_EQ(accounting.total(Counter::dropped_oldest) + finished, 6000U);
  EXPECT_EQ(accounting.total(Counter::late_wakes), 0U);
  EXPECT_EQ(instance.slots_in(SlotState::free), 3U);
}

TEST(Producer, moves_to_the_new_pool_by_itself_when_the_daemon_changes_it) {
  TestInstance instance({.geometry = small_frames(4)});
  auto producer = instance.producer();
  commit_frames(*producer, 1);
  Geometry larger = small_frames(6);
  larger.height = 100;
  instance.next_epoch(larger);
  Frame frame = must(producer->claim(1s));
  EXPECT_EQ(producer->geometry(), larger);
  EXPECT_EQ(frame.info().height, 100U);
  must(frame.commit());
  EXPECT_EQ(instance.slots_in(SlotState::ready), 1U);
}

TEST(Producer, does_not_move_to_the_new_pool_while_it_holds_a_frame_of_the_old_one) {
  TestInstance instance;
  auto producer = instance.producer();
  const auto old = producer->participant().shared_pool();
  Frame frame = must(producer->claim(0s));
  const auto* image = frame.image().data();
  instance.next_epoch(small_frames(5));
  EXPECT_EQ(producer->claim(1s).error().id, "pool.held");
  EXPECT_EQ(frame.image().data(), image);
  must(frame.commit());
  EXPECT_EQ(old->count_states()[static_cast<std::size_t>(SlotState::ready)], 1U);
  EXPECT_EQ(instance.slots_in(SlotState::free), 5U);
  must(must(producer->claim(0s)).commit());
  EXPECT_EQ(instance.slots_in(SlotState::ready), 1U);
}

TEST(Producer, a_blocked_claim_wakes_up_into_the_new_pool) {
  TestInstance instance({.geometry = small_frames(2)});
  auto waiting = Child::run([&] {
    auto producer = instance.producer();
    commit_frames(*producer, 2);
    auto frame = producer->claim(20s);
    if (!frame) return 1;
    return producer->geometry().slots == 5 ? 0 : 2;
  });
  ASSERT_TRUE(test::eventually([&] { return !instance.pool().header().free_event.unchanged_since(0); }));
  const auto old_pool = must(instance.control_segment().open_pool(Access::read_only));
  instance.next_epoch(small_frames(5));
  EXPECT_EQ(waiting.wait(), test::Exit::code(0));
}

TEST(Producer, finds_the_new_pool_even_if_it_was_made_under_the_number_of_the_old_one) {
  TestInstance instance({.geometry = small_frames(4)});
  auto producer = instance.producer();
  instance.pool().header().header.state.store(SegmentState::retired);
  EXPECT_EQ(producer->claim(20ms).error().id, "pool.full") << "retired, and no new one yet";
  Segment::unlink(pool_name(instance.name(), 1));
  EXPECT_EQ(producer->claim(20ms).error().id, "pool.full") << "and removed";
  instance.layout().epoch.store(0);
  instance.next_epoch(small_frames(3));
  must(must(producer->claim(1s)).commit());
  EXPECT_EQ(producer->geometry().slots, 3U);
  EXPECT_EQ(instance.slots_in(SlotState::ready), 1U);
}

TEST(Producer, without_a_pool_there_is_nothing_to_attach_to) {
  TestInstance instance({.with_pool = false});
  auto producer = Producer::attach(instance.name());
  ASSERT_FALSE(producer);
  EXPECT_EQ(producer.error().id, "pool.none");
}

TEST(Producer, a_claim_in_a_removed_instance_says_so) {
  TestInstance instance({.geometry = small_frames(2)});
  auto producer = instance.producer();
  instance.layout().header.state.store(SegmentState::removed);
  instance.pool().header().header.state.store(SegmentState::retired);
  EXPECT_FALSE(producer->participant().instance_removed())
      << "a word that anybody can write, and the name is still there";
  std::filesystem::remove("/dev/shm" + control_segment_name(instance.name()));
  auto frame = producer->claim(1s);
  ASSERT_FALSE(frame);
  EXPECT_EQ(frame.error().id, "instance.removed");
}

TEST(Producer, a_forked_copy_commits_nothing_for_its_parent) {
  TestInstance instance;
  auto producer = instance.producer();
  Frame frame = must(producer->claim(0s));
  auto copy = Child::run([&] {
    const Status committed = frame.commit();
    return !committed && committed.error().id == "member.forked" ? 0 : 1;
  });
  EXPECT_EQ(copy.wait(), test::Exit::code(0));
  EXPECT_EQ(instance.slots_in(SlotState::filling), 1U);
  must(frame.commit());
  EXPECT_EQ(producer->committed(), 1U);
  EXPECT_BALANCED(instance);
}

TEST(Producer, a_slot_that_comes_without_a_wake_up_is_counted_and_one_with_a_late_one_is_not) {
  for (const bool notified : {false, true}) {
    TestInstance instance({.geometry = small_frames(2)});
    auto producer = instance.producer();
    auto other = instance.producer();
    std::vector<Frame> held;
    for (int i = 0; i < 2; ++i) held.push_back(must(other->claim(0s)));
    // The kernel says that the time is over, whatever happened meanwhile.
    const bool watched = with_watched_calls(
        {Watch{SYS_futex, 1, FUTEX_WAIT}},
        [&](const Call&) {
          if (notified) {
            held.pop_back();
          } else {
            instance.pool().word(1).store(StateWord{9, 0, 0, SlotState::free}.pack());
          }
          return ETIMEDOUT;
        },
        [&] { must(must(producer->claim(10s)).commit()); });
    if (!watched) GTEST_SKIP() << kCannotWatch;
    EXPECT_EQ(instance.total(Counter::late_wakes), notified ? 0U : 1U);
    EXPECT_BALANCED(instance);
  }
}

TEST(Producer, a_frame_that_may_be_dropped_with_a_late_wake_up_is_no_lost_one) {
  TestInstance instance({.geometry = small_frames(2), .full = FullPolicy::drop_oldest});
  auto producer = instance.producer();
  auto device = instance.consumer(Queue::q1);
  commit_frames(*producer, 2);
  auto taken = device->take(2);
  const bool watched = with_watched_calls(
      {SYS_futex_waitv},
      [&](const Call&) {
        taken.frames.pop_back();
        return ETIMEDOUT;
      },
      [&] { must(must(producer->claim(10s)).commit()); });
  if (!watched) GTEST_SKIP() << kCannotWatch;
  EXPECT_EQ(instance.total(Counter::late_wakes), 0U);
  EXPECT_EQ(instance.total(Counter::dropped_oldest), 1U);
  EXPECT_BALANCED(instance);
}

}  // namespace
}  // namespace peaknet::shm
