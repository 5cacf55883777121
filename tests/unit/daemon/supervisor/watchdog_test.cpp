#include "daemon/supervisor/watchdog.hpp"

#include <gtest/gtest.h>

namespace peaknet::supervisor {
namespace {

using namespace std::chrono_literals;

class ProgressTest : public ::testing::Test {
 protected:
  Progress progress{60s};
  Progress::Time now{};
};

TEST_F(ProgressTest, a_device_that_holds_frames_must_finish_some) {
  EXPECT_TRUE(progress.made(now, 10, 4, {1}));
  EXPECT_FALSE(progress.made(now + 1s, 10, 4, {2}));
  EXPECT_TRUE(progress.made(now + 2s, 11, 4, {3}));
}

TEST_F(ProgressTest, without_frames_nothing_has_to_happen_as_long_as_threads_go_on) {
  for (int second = 0; second < 600; second += 10)
    EXPECT_TRUE(progress.made(now + std::chrono::seconds(second), 0, 0,
                              {static_cast<std::uint64_t>(second), 7u + static_cast<std::uint64_t>(second)}));
}

TEST_F(ProgressTest, a_thread_that_loads_or_warms_may_stand_in_one_call_for_so_long_and_no_longer) {
  EXPECT_TRUE(progress.made(now, 0, 0, {5, 9}));
  EXPECT_TRUE(progress.made(now + 59s, 0, 0, {5, 10}));
  EXPECT_FALSE(progress.made(now + 61s, 0, 0, {5, 11})) << "the first thread has not moved for 61 s";
  EXPECT_TRUE(progress.made(now + 62s, 0, 0, {6, 12}));
}

TEST_F(ProgressTest, a_worker_that_is_lost_is_not_waited_for) {
  EXPECT_TRUE(progress.made(now, 0, 0, {5, 9}));
  EXPECT_TRUE(progress.made(now + 100s, 0, 0, {10}));
}

}  // namespace
}  // namespace peaknet::supervisor
