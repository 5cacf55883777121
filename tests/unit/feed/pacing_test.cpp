#include "feed/pacing.hpp"

#include <gtest/gtest.h>

#include <thread>

namespace peaknet::feed {
namespace {

using Clock = std::chrono::steady_clock;

TEST(Pacer, FullSpeedNeverWaits) {
  const Pacer pacer(0.0);
  EXPECT_TRUE(pacer.wait_for(~std::uint64_t{0}, {}));
}

TEST(Pacer, AFrameIsDueAtItsTimeFromTheStart) {
  const auto start = Clock::now();
  const Pacer pacer(100.0);
  EXPECT_TRUE(pacer.wait_for(0, {}));
  EXPECT_TRUE(pacer.wait_for(5, {}));
  EXPECT_GE(Clock::now() - start, std::chrono::milliseconds(50));
}

TEST(Pacer, TimeThatWasLostIsMadeUpFor) {
  const Pacer pacer(50.0);
  std::this_thread::sleep_for(std::chrono::milliseconds(220));  // as if the pool had been full
  const auto before = Clock::now();
  for (std::uint64_t i = 0; i <= 10; ++i) pacer.wait_for(i, {});
  EXPECT_LT(Clock::now() - before, std::chrono::milliseconds(200));  // eleven frames at their pace take this
}

TEST(Pacer, AStopEndsTheWait) {
  const Pacer pacer(0.001);
  std::stop_source stop;
  std::jthread stopper([&] { stop.request_stop(); });
  EXPECT_FALSE(pacer.wait_for(1, stop.get_token()));
  EXPECT_FALSE(pacer.wait_for(0, stop.get_token()));
}

}  // namespace
}  // namespace peaknet::feed
