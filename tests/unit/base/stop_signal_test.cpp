#include "base/stop_signal.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <thread>

#include "tests/support/child.hpp"

namespace peaknet {
namespace {

using namespace std::chrono_literals;

TEST(StopSignal, a_stop_that_was_asked_before_the_wait_counts) {
  StopSignal stop;
  ::kill(::getpid(), SIGTERM);
  EXPECT_EQ(stop.wait(10s), SIGTERM);
  EXPECT_EQ(stop.poll(), std::nullopt);
}

TEST(StopSignal, a_sleeping_wait_ends_with_the_signal) {
  StopSignal stop;
  std::jthread other([] {
    std::this_thread::sleep_for(20ms);
    ::kill(::getpid(), SIGINT);
  });
  EXPECT_EQ(stop.wait(30s), SIGINT);
}

TEST(StopSignal, a_wait_ends_by_itself_when_nobody_asks) {
  StopSignal stop;
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(stop.wait(30ms), std::nullopt);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 30ms);
}

TEST(StopSignal, different_signals_are_each_seen) {
  StopSignal stop;
  ::kill(::getpid(), SIGHUP);
  ::kill(::getpid(), SIGTERM);
  const auto first = stop.poll();
  const auto second = stop.poll();
  ASSERT_TRUE(first && second);
  EXPECT_EQ(*first + *second, SIGHUP + SIGTERM);
}

// As timeout(1) does: the program, then its process group.
TEST(StopSignal, who_says_the_same_twice_at_once_asks_once) {
  StopSignal stop;
  bool once = false;
  for (int i = 0; i < 20 && !once; ++i) {  // the machine may be slower than one asking takes
    while (stop.wait(200ms)) {
    }
    ::kill(::getpid(), SIGTERM);
    EXPECT_EQ(stop.wait(10s), SIGTERM);
    ::kill(::getpid(), SIGTERM);
    once = !stop.poll();
  }
  EXPECT_TRUE(once);
  ::kill(::getpid(), SIGINT);
  EXPECT_EQ(stop.wait(10s), SIGINT) << "another signal is another";
}

TEST(StopSignal, its_descriptor_is_readable_while_a_signal_waits) {
  StopSignal stop;
  pollfd item{stop.fd(), POLLIN, 0};
  EXPECT_EQ(::poll(&item, 1, 0), 0);
  ::kill(::getpid(), SIGTERM);
  EXPECT_EQ(::poll(&item, 1, 1000), 1);
  EXPECT_EQ(stop.poll(), SIGTERM);
}

TEST(StopSignal, an_unread_second_signal_does_not_kill_a_program_that_is_ending_well) {
  auto child = test::Child::run([] {
    StopSignal stop;
    ::kill(::getpid(), SIGTERM);
    ::kill(::getpid(), SIGINT);
    return 7;
  });
  EXPECT_EQ(child.wait(), test::Exit::code(7));
  {
    StopSignal stop;
    ::kill(::getpid(), SIGTERM);
  }
  SUCCEED() << "still here after the destructor";
}

TEST(StopSignal, a_child_that_unblocks_dies_of_the_signal_as_usual) {
  StopSignal stop;
  auto child = test::Child::run([] {
    StopSignal::unblock_in_child();
    ::pause();
    return 0;
  });
  child.signal(SIGTERM);
  EXPECT_EQ(child.wait(), test::Exit::signal(SIGTERM));
}

}  // namespace
}  // namespace peaknet
