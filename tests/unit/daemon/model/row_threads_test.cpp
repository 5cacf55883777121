#include "daemon/model/row_threads.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

namespace peaknet::model {
namespace {

using std::chrono::milliseconds;

constexpr std::int64_t kMedium = 512 * 512;  // pixels

TEST(RowParts, rows_of_medium_images_are_parts_of_their_own) {
  const auto plan = share_rows(8, kMedium, 2, {});
  EXPECT_EQ(plan.rows, 1);
  EXPECT_EQ(plan.parts, 8);
  EXPECT_EQ(plan.workers, 2U);
  EXPECT_EQ(plan.threads_each, 1U);
}

TEST(RowParts, one_row_or_one_thread_is_one_part) {
  EXPECT_EQ(share_rows(1, kMedium, 4, {}).parts, 1);
  EXPECT_EQ(share_rows(1, kMedium, 4, {}).threads_each, 4U);
  EXPECT_EQ(share_rows(8, kMedium, 1, {}).parts, 1);
  EXPECT_EQ(share_rows(8, kMedium, 1, {}).threads_each, 1U);
}

TEST(RowParts, small_images_go_together_but_every_thread_gets_some) {
  EXPECT_EQ(share_rows(8, 64 * 64, 2, {}).rows, 4);
  EXPECT_EQ(share_rows(128, 256 * 256, 2, {}).rows, 4);
  EXPECT_EQ(share_rows(9, 64 * 64, 2, {}).rows, 5);
  EXPECT_EQ(share_rows(9, 64 * 64, 2, {}).parts, 2);
}

TEST(RowParts, threads_that_are_more_than_the_rows_work_together_on_each) {
  const auto plan = share_rows(3, kMedium, 16, {});
  EXPECT_EQ(plan.workers, 3U);
  EXPECT_EQ(plan.threads_each, 5U);
}

TEST(RowParts, a_network_for_certain_numbers_of_rows_gets_no_others) {
  EXPECT_EQ(share_rows(8, kMedium, 2, {1, 2, 4, 8}).rows, 1);
  EXPECT_EQ(share_rows(8, kMedium, 2, {4, 8}).rows, 4);
  EXPECT_EQ(share_rows(8, 64 * 64, 2, {1, 2, 4, 8}).rows, 4);
  EXPECT_EQ(share_rows(8, kMedium, 2, {3, 8}).parts, 1);
  EXPECT_EQ(share_rows(8, kMedium, 2, {8, 16}).parts, 1);
}

TEST(RowParts, every_row_is_in_one_part_and_no_thread_is_too_much) {
  for (std::int64_t rows = 1; rows < 40; ++rows) {
    for (const std::uint32_t threads : {1U, 2U, 3U, 8U, 64U}) {
      for (const std::int64_t side : {8, 256, 512, 2048}) {
        const auto plan = share_rows(rows, side * side, threads, {});
        EXPECT_GE(plan.rows * plan.parts, rows);
        EXPECT_LT(plan.rows * (plan.parts - 1), rows);
        EXPECT_GE(plan.workers, 1U);
        EXPECT_LE(plan.workers * plan.threads_each, threads);
      }
    }
  }
}

// Time passes with the runs alone.
class Runs {
 public:
  // `runs` with what either form takes; the number that used all threads.
  int run(int runs, milliseconds all, milliseconds one) {
    int with_all = 0;
    for (int i = 0; i < runs; ++i) {
      const bool use_all = choice_.all(now_);
      with_all += use_all ? 1 : 0;
      now_ += use_all ? all : one;
      choice_.ran(use_all, use_all ? all : one, now_);
    }
    return with_all;
  }
  ThreadChoice::Time now() const { return now_; }

 private:
  ThreadChoice choice_;
  ThreadChoice::Time now_{};
};

TEST(ThreadChoice, where_all_threads_are_faster_they_stay) {
  Runs runs;
  EXPECT_GE(runs.run(10000, milliseconds(10), milliseconds(20)), 9900);
}

TEST(ThreadChoice, where_one_thread_is_faster_all_are_tried_seldom) {
  Runs runs;
  EXPECT_LE(runs.run(10000, milliseconds(20), milliseconds(10)), 40);
}

TEST(ThreadChoice, a_collapse_costs_few_runs_however_long_it_lasts) {
  Runs runs;
  runs.run(100, milliseconds(10), milliseconds(20));
  EXPECT_LE(runs.run(10000, milliseconds(300), milliseconds(30)), 50);
}

TEST(ThreadChoice, after_a_collapse_all_threads_come_back_within_the_longest_pause) {
  Runs runs;
  runs.run(100, milliseconds(10), milliseconds(20));
  runs.run(10000, milliseconds(300), milliseconds(30));
  const int pause = static_cast<int>(ThreadChoice::kLongestPause / milliseconds(20)) + 1;
  runs.run(pause, milliseconds(10), milliseconds(20));
  EXPECT_GE(runs.run(1000, milliseconds(10), milliseconds(20)), 990);
}

TEST(ThreadChoice, one_slow_run_is_forgiven_after_the_shortest_pause) {
  Runs runs;
  runs.run(100, milliseconds(10), milliseconds(20));
  runs.run(1, milliseconds(500), milliseconds(500));
  EXPECT_EQ(runs.run(5, milliseconds(10), milliseconds(20)), 0);
  runs.run(10, milliseconds(10), milliseconds(20));
  EXPECT_GE(runs.run(1000, milliseconds(10), milliseconds(20)), 990);
}

TEST(ThreadChoice, the_first_run_of_each_form_does_not_count) {
  ThreadChoice choice;
  ThreadChoice::Time now{};
  for (const int took : {9000, 5, 10, 20}) {
    const bool all = choice.all(now);
    now += milliseconds(took);
    choice.ran(all, milliseconds(took), now);
  }
  EXPECT_TRUE(choice.all(now));
}

TEST(RowThreads, every_part_is_done_once_with_the_threads_it_may_use) {
  for (const std::uint32_t threads : {1U, 2U, 5U}) {
    RowThreads crew("it", threads);
    for (std::int64_t rows = 1; rows < 30; ++rows) {
      const auto plan = share_rows(rows, kMedium, threads, {});
      std::vector<std::atomic<int>> done(static_cast<std::size_t>(plan.parts));
      const auto outcome = crew.run(plan, [&](std::int64_t part, std::uint32_t each) {
        ++done[static_cast<std::size_t>(part)];
        EXPECT_TRUE(each == 1 || each == plan.threads_each);
        return Status{};
      });
      EXPECT_TRUE(outcome.ok());
      for (const auto& count : done) EXPECT_EQ(count, 1);
    }
  }
}

TEST(RowThreads, parts_run_at_the_same_time) {
  constexpr std::int64_t kThreads = 3;
  RowThreads crew("it", kThreads);
  std::mutex mutex;
  std::condition_variable changed;
  std::set<std::thread::id> inside;
  const auto outcome = crew.run({1, kThreads, kThreads, 1}, [&](std::int64_t, std::uint32_t) {
    std::unique_lock hold(mutex);
    inside.insert(std::this_thread::get_id());
    changed.notify_all();
    changed.wait(hold, [&] { return inside.size() == kThreads; });
    return Status{};
  });
  EXPECT_TRUE(outcome.ok());
}

TEST(RowThreads, parts_that_fail_are_one_error_that_of_the_first_and_the_others_are_done) {
  RowThreads crew("it", 3);
  for (int again = 0; again < 20; ++again) {
    std::atomic<int> done = 0;
    const auto outcome = crew.run({1, 8, 3, 1}, [&](std::int64_t part, std::uint32_t) -> Status {
      ++done;
      if (part < 5) return {};
      return Error{"test.failed", "part " + std::to_string(part), "", ""};
    });
    ASSERT_FALSE(outcome.ok());
    EXPECT_EQ(outcome.error().what, "part 5");
    EXPECT_EQ(done, 8);
  }
}

}  // namespace
}  // namespace peaknet::model
