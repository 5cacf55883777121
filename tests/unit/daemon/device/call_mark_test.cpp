#include "daemon/device/call_mark.hpp"

#include <gtest/gtest.h>

#include <future>

namespace peaknet::device {
namespace {

using namespace std::chrono_literals;
using Inside = CallMark::Inside;

const Error kWhy{"device.stuck", "it does not come back", "", ""};

class CallMarkTest : public ::testing::Test {
 protected:
  // Looks every half second of its own time.
  std::optional<CallMark::Standing> look(int times = 1) {
    std::optional<CallMark::Standing> seen;
    for (int i = 0; i < times; ++i) seen = mark.standing(now += 500ms);
    return seen;
  }
  CallMark mark;
  CallMark::Clock::time_point now{1h};
};

TEST_F(CallMarkTest, a_call_that_goes_on_grows_older_and_the_next_begins_anew) {
  mark.adopt();
  EXPECT_FALSE(look().has_value());
  {
    const Inside inside(mark, "an upload");
    EXPECT_EQ(look()->time, 0ms) << "when it began nobody knows";
    EXPECT_EQ(look(4)->time, 2s);
    EXPECT_STREQ(look()->call, "an upload");
  }
  EXPECT_FALSE(look().has_value());
  const Inside inside(mark, "a download");
  EXPECT_EQ(look()->time, 0ms);
  EXPECT_STREQ(look()->call, "a download");
}

TEST_F(CallMarkTest, calls_that_follow_each_other_are_none_that_stands_though_each_look_meets_one) {
  mark.adopt();
  for (int i = 0; i < 100; ++i) {
    const Inside inside(mark, "an upload");
    EXPECT_EQ(look()->time, 0ms);
  }
}

TEST_F(CallMarkTest, a_process_that_was_stopped_for_an_hour_has_not_stood_for_one) {
  mark.adopt();
  const Inside inside(mark, "an upload");
  look();
  now += 1h;
  EXPECT_EQ(look()->time, 1s);
}

TEST_F(CallMarkTest, marks_within_a_mark_and_of_other_threads_count_for_nothing) {
  mark.adopt();
  std::async(std::launch::async, [&] {
    const Inside inside(mark, "an upload");
    EXPECT_FALSE(look().has_value());
  }).get();
  const Inside outer(mark, "work");
  look();
  {
    const Inside inner(mark, "memory");
    EXPECT_EQ(look(2)->time, 1s);
  }
  EXPECT_EQ(look()->time, 1500ms);
  EXPECT_STREQ(look()->call, "work");
}

TEST_F(CallMarkTest, only_a_call_that_was_seen_and_has_not_come_back_is_given_up) {
  mark.adopt();
  bool done = false;
  EXPECT_FALSE(mark.give_up(kWhy, [&] { done = true; }));
  {
    const Inside seen(mark, "an upload");
    look();
  }
  EXPECT_FALSE(mark.give_up(kWhy, [&] { done = true; }));
  EXPECT_FALSE(mark.leave_behind());
  {
    const Inside another(mark, "an upload");
    EXPECT_FALSE(mark.give_up(kWhy, [&] { done = true; })) << "it has never been looked at";
    EXPECT_FALSE(mark.leave_behind());
  }
  EXPECT_FALSE(done);
  EXPECT_TRUE(mark.verdict().ok());
}

TEST_F(CallMarkTest, who_gives_a_call_up_works_alone_and_the_thread_finds_the_verdict_when_it_comes_back) {
  std::promise<void> in, out;
  int shared = 1;  // of the thread, or of who acts in its place
  auto thread = std::async(std::launch::async, [&] {
    mark.adopt();
    {
      const Inside inside(mark, "an upload");
      in.set_value();
      out.get_future().wait();
    }
    EXPECT_EQ(mark.verdict().error().id, "device.stuck");
    return shared;
  });
  in.get_future().wait();
  look();
  EXPECT_TRUE(mark.give_up(kWhy, [&] {
    out.set_value();  // it comes back while we are at it
    EXPECT_EQ(thread.wait_for(20ms), std::future_status::timeout);
    shared = 2;
  }));
  EXPECT_EQ(thread.get(), 2);
  EXPECT_FALSE(mark.leave_behind()) << "it came back";
}

TEST_F(CallMarkTest, a_thread_that_was_left_behind_goes_no_further_than_its_call) {
  struct Shared {  // for ever: the thread may use it
    CallMark mark;
    std::promise<void> in, out;
    std::atomic<bool> further{false};
  };
  auto* const shared = new Shared;  // NOLINT: the thread never ends
  std::thread([shared] {
    shared->mark.adopt();
    {
      const Inside inside(shared->mark, "an upload");
      shared->in.set_value();
      shared->out.get_future().wait();
    }
    shared->further.store(true);
  }).detach();
  shared->in.get_future().wait();
  EXPECT_TRUE(shared->mark.standing(now).has_value());
  EXPECT_TRUE(shared->mark.leave_behind());
  EXPECT_FALSE(shared->mark.give_up(kWhy, [] {})) << "too late";
  shared->out.set_value();
  std::this_thread::sleep_for(20ms);
  EXPECT_FALSE(shared->further.load());
}

}  // namespace
}  // namespace peaknet::device
