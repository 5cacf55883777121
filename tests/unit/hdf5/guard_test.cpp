// The right to call HDF5: what it costs whom, with a library that is thread-safe and with one that is not.
#include "hdf5/guard.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <optional>
#include <thread>

#include "tests/support/child.hpp"

namespace peaknet::hdf5 {
namespace {

using namespace std::chrono_literals;

// Does another thread get one while this thread has one? It is waited for so long.
bool others_may(Sharing mine, Sharing theirs, std::chrono::milliseconds at_most) {
  std::optional<Guard> guard(std::in_place, mine);
  std::promise<void> had;
  auto got = had.get_future();
  std::thread other([&] {
    const Guard theirs_now(theirs);
    had.set_value();
  });
  const bool at_once = got.wait_for(at_most) == std::future_status::ready;
  guard.reset();
  other.join();
  return at_once;
}

TEST(Guard, is_held_by_its_thread_alone_until_the_last_goes) {
  EXPECT_FALSE(Guard::held());
  {
    const Guard outer(Sharing::handles);
    {
      Guard inner;
      EXPECT_TRUE(Guard::held());
      inner.release();
      inner.release();
      EXPECT_TRUE(Guard::held());
    }
    std::thread([] { EXPECT_FALSE(Guard::held()); }).join();
  }
  EXPECT_FALSE(Guard::held());
}

TEST(Guard, of_shared_handles_lets_one_thread_in) {
  EXPECT_FALSE(others_may(Sharing::handles, Sharing::handles, 200ms));
}

TEST(Guard, of_own_files_holds_nobody_up_where_the_library_is_thread_safe) {
  if (!is_thread_safe()) GTEST_SKIP() << "this HDF5 is not thread-safe";
  EXPECT_TRUE(others_may(Sharing::nothing, Sharing::nothing, 60s));
}

TEST(Guard, lets_one_thread_in_where_the_library_is_not_thread_safe) {
  const auto ended = test::Child::run([] {
                       take_for_not_thread_safe();
                       return others_may(Sharing::nothing, Sharing::nothing, 200ms) ? 1 : 0;
                     }).wait();
  EXPECT_EQ(ended, test::Exit::code(0));
}

TEST(Guard, is_had_by_a_child_that_was_forked_under_it) {
  const Guard guard(Sharing::handles);
  const auto ended = test::Child::run([] {
                       const Guard again(Sharing::handles);
                       return Guard::held() ? 0 : 1;
                     }).wait();
  EXPECT_EQ(ended, test::Exit::code(0));
}

}  // namespace
}  // namespace peaknet::hdf5
