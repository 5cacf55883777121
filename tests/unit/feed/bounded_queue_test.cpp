#include "feed/bounded_queue.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>

namespace peaknet::feed {
namespace {

TEST(BoundedQueue, ItemsComeOutInOrderAndAClosedQueueIsEmptiedFirst) {
  BoundedQueue<int> queue(3);
  for (int i : {1, 2, 3}) EXPECT_TRUE(queue.push(i, {}));
  queue.close();
  int late = 4;
  EXPECT_FALSE(queue.push(late, {}));
  EXPECT_EQ(queue.pop(), 1);
  EXPECT_EQ(queue.pop(), 2);
  EXPECT_EQ(queue.pop(), 3);
  EXPECT_EQ(queue.pop(), std::nullopt);
}

TEST(BoundedQueue, AFullQueueHoldsThePusherUntilThereIsRoom) {
  BoundedQueue<int> queue(1);
  int first = 1;
  queue.push(first, {});
  std::atomic<bool> pushed{false};
  std::jthread pusher([&] {
    int second = 2;
    queue.push(second, {});
    pushed = true;
  });
  EXPECT_FALSE(pushed);
  EXPECT_EQ(queue.pop(), 1);
  EXPECT_EQ(queue.pop(), 2);
}

TEST(BoundedQueue, AStopLetsThePusherGoWithItsItem) {
  BoundedQueue<std::unique_ptr<int>> queue(1);
  auto first = std::make_unique<int>(1), second = std::make_unique<int>(2);
  queue.push(first, {});
  std::stop_source stop;
  std::jthread stopper([&] { stop.request_stop(); });
  EXPECT_FALSE(queue.push(second, stop.get_token()));
  EXPECT_EQ(*second, 2);
}

}  // namespace
}  // namespace peaknet::feed
