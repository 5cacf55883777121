#include "base/signal_watch.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <condition_variable>
#include <csignal>
#include <mutex>
#include <vector>

namespace peaknet {
namespace {

TEST(SignalWatch, every_signal_is_a_call_also_one_that_came_before) {
  StopSignal signals;
  ::kill(::getpid(), SIGTERM);
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<int> came;
  const auto until = [&](std::size_t count) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return came.size() >= count; });
  };
  const SignalWatch watch(signals, [&](int number) {
    const std::lock_guard lock(mutex);
    came.push_back(number);
    changed.notify_all();
  });
  until(1);
  ::kill(::getpid(), SIGINT);
  until(2);
  EXPECT_EQ(came, (std::vector<int>{SIGTERM, SIGINT}));
}

TEST(SignalWatch, ends_without_a_signal) {
  StopSignal signals;
  const SignalWatch watch(signals, [](int) { FAIL() << "nobody has sent a signal"; });
}

}  // namespace
}  // namespace peaknet
