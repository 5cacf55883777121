// RetryQueue alone: no device, no shared memory; a frame is its name and the number of devices that failed under it.
#include "daemon/engine/retry_queue.hpp"

#include <gtest/gtest.h>

#include <string>

namespace peaknet::engine {
namespace {

using device::Fault;

struct NamedFrame {
  char name = '?';
  std::uint32_t failed_devices = 0;
  std::uint32_t attempts() const { return failed_devices; }
};
using Queue = RetryQueue<NamedFrame>;

std::vector<NamedFrame> frames(const std::string& names, std::uint32_t failed_devices = 0) {
  std::vector<NamedFrame> all;
  for (const char name : names) all.push_back({name, failed_devices});
  return all;
}
Queue::Batch batch(const std::string& names) { return {.frames = frames(names)}; }
std::string names(const Queue::Batch& batch) {
  std::string all;
  for (const auto& frame : batch.frames) all += frame.name;
  return all;
}

constexpr std::size_t kAny = 100;

TEST(RetryQueue, without_suspects_all_frames_may_go_at_once) {
  Queue queue;
  EXPECT_EQ(names(queue.isolate_suspects(frames("abc"))), "abc");
  EXPECT_TRUE(queue.empty());
  EXPECT_FALSE(queue.may_start(true));
}

TEST(RetryQueue, each_suspect_waits_until_it_can_have_the_device_for_itself) {
  Queue queue;
  auto taken = frames("a");
  taken.push_back({'x', 1});
  taken.push_back({'b'});
  taken.push_back({'y', 2});
  const auto good = queue.isolate_suspects(std::move(taken));
  EXPECT_EQ(names(good), "ab");
  EXPECT_FALSE(good.alone);
  for (const char* name : {"x", "y"}) {
    EXPECT_FALSE(queue.may_start(false));
    ASSERT_TRUE(queue.may_start(true));
    const auto suspect = queue.next(kAny);
    EXPECT_EQ(names(suspect), name);
    EXPECT_TRUE(suspect.alone);
  }
  EXPECT_TRUE(queue.empty());
}

TEST(RetryQueue, a_batch_that_was_too_large_runs_again_in_pieces_and_before_what_waited) {
  Queue queue;
  queue.requeue(batch("x"), Fault::memory);
  EXPECT_EQ(queue.requeue(batch("abcde"), Fault::memory).retried, 5U);
  EXPECT_TRUE(queue.may_start(false));
  EXPECT_EQ(names(queue.next(2)), "ab");
  EXPECT_EQ(names(queue.next(2)), "cd");
  EXPECT_EQ(names(queue.next(2)), "e");
  EXPECT_EQ(names(queue.next(2)), "x");
  EXPECT_TRUE(queue.empty());
}

TEST(RetryQueue, memory_that_is_missing_never_fails_a_frame_by_itself) {
  Queue queue;
  auto again = batch("a");
  for (int i = 0; i < 3 * kTries; ++i) {
    const auto requeued = queue.requeue(std::move(again), Fault::memory);
    EXPECT_FALSE(requeued.failed);
    EXPECT_EQ(requeued.retried, 1U);
    again = queue.next(kAny);
    EXPECT_EQ(again.tries, 0);
  }
}

TEST(RetryQueue, a_fault_that_may_pass_is_tried_so_often_and_then_frame_by_frame) {
  Queue queue;
  auto again = batch("ab");
  for (int run = 1; run < kTries; ++run) {
    EXPECT_EQ(queue.requeue(std::move(again), Fault::transient).retried, 2U);
    again = queue.next(kAny);
    EXPECT_EQ(names(again), "ab") << run;
    EXPECT_EQ(again.tries, run);
  }
  EXPECT_EQ(queue.requeue(std::move(again), Fault::transient).retried, 2U);
  for (const char* name : {"a", "b"}) {
    const auto single = queue.next(kAny);
    EXPECT_EQ(names(single), name);
    EXPECT_EQ(single.tries, 0) << "by itself it has all its tries";
    EXPECT_FALSE(single.alone) << "a fault of the network is none of the device";
  }
}

TEST(RetryQueue, the_tries_of_a_batch_stay_with_each_of_its_pieces) {
  Queue queue;
  queue.requeue(batch("abc"), Fault::transient);
  EXPECT_EQ(queue.next(2).tries, 1);
  EXPECT_EQ(queue.next(2).tries, 1);
}

TEST(RetryQueue, a_frame_that_fails_by_itself_is_returned_and_does_not_run_again) {
  Queue queue;
  const auto requeued = queue.requeue(batch("a"), Fault::frame);
  ASSERT_TRUE(requeued.failed);
  EXPECT_EQ(requeued.failed->name, 'a');
  EXPECT_EQ(requeued.retried, 0U);
  EXPECT_TRUE(queue.empty());

  auto again = batch("b");
  for (int run = 1; run < kTries; ++run) {
    EXPECT_FALSE(queue.requeue(std::move(again), Fault::transient).failed);
    again = queue.next(kAny);
  }
  EXPECT_TRUE(queue.requeue(std::move(again), Fault::transient).failed);
}

TEST(RetryQueue, of_a_batch_that_the_network_refused_each_frame_is_tried_by_itself) {
  Queue queue;
  const auto requeued = queue.requeue(batch("abc"), Fault::frame);
  EXPECT_FALSE(requeued.failed);
  EXPECT_EQ(requeued.retried, 3U);
  EXPECT_EQ(names(queue.next(kAny)), "a");
  EXPECT_EQ(names(queue.next(kAny)), "b");
  EXPECT_EQ(names(queue.next(kAny)), "c");
}

TEST(RetryQueue, a_suspect_stays_alone_when_it_runs_again) {
  Queue queue;
  queue.isolate_suspects(frames("x", 1));
  queue.requeue(queue.next(kAny), Fault::memory);
  EXPECT_FALSE(queue.may_start(false));
  EXPECT_TRUE(queue.next(kAny).alone);
}

TEST(RetryQueue, a_frame_is_offered_to_one_more_device_than_failed_under_it_but_not_for_ever) {
  EXPECT_TRUE(may_try_another_device(NamedFrame{'a', 0}));
  for (std::uint32_t failed = kDevices - 1; failed < kDevices + 2; ++failed)
    EXPECT_FALSE(may_try_another_device(NamedFrame{'a', failed})) << failed;
}

TEST(RetryQueue, forgets_all_when_the_worker_ends) {
  Queue queue;
  queue.requeue(batch("ab"), Fault::memory);
  queue.clear();
  EXPECT_TRUE(queue.empty());
}

}  // namespace
}  // namespace peaknet::engine
