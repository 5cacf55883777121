#include "daemon/model/row_threads.hpp"

#include <gtest/gtest.h>

#include <algorithm>
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

void expect_apart(const RowPlan& plan, std::int64_t rows, std::int64_t parts) {
  EXPECT_EQ(plan.apart.rows, rows);
  EXPECT_EQ(plan.apart.parts, parts);
  EXPECT_EQ(plan.apart.threads, 1U);
}

TEST(RowPlan, rows_of_medium_images_are_parts_of_their_own) {
  const auto plan = share_rows(8, kMedium, 2, {});
  expect_apart(plan, 1, 8);
  EXPECT_FALSE(plan.together);
}

TEST(RowPlan, one_row_is_one_part_for_one_thread_or_for_all) {
  const auto plan = share_rows(1, kMedium, 4, {});
  expect_apart(plan, 1, 1);
  ASSERT_TRUE(plan.together);
  EXPECT_EQ(plan.together->parts, 1);
  EXPECT_EQ(plan.together->threads, 4U);
}

TEST(RowPlan, one_thread_takes_the_batch_as_it_is) {
  const auto plan = share_rows(8, kMedium, 1, {});
  expect_apart(plan, 8, 1);
  EXPECT_FALSE(plan.together);
}

TEST(RowPlan, small_images_go_together_but_every_thread_gets_some) {
  expect_apart(share_rows(8, 64 * 64, 2, {}), 4, 2);
  expect_apart(share_rows(128, 256 * 256, 2, {}), 4, 32);
  expect_apart(share_rows(9, 64 * 64, 2, {}), 5, 2);
}

TEST(RowPlan, threads_that_are_more_than_the_rows_may_work_together_on_each) {
  const auto plan = share_rows(3, kMedium, 16, {});
  expect_apart(plan, 1, 3);
  ASSERT_TRUE(plan.together);
  EXPECT_EQ(plan.together->parts, 3);
  EXPECT_EQ(plan.together->threads, 5U);
}

TEST(RowPlan, three_rows_for_two_threads_may_go_as_they_are_because_one_would_wait) {
  const auto plan = share_rows(3, kMedium, 2, {});
  expect_apart(plan, 1, 3);
  ASSERT_TRUE(plan.together);
  EXPECT_EQ(plan.together->rows, 3);
  EXPECT_EQ(plan.together->threads, 2U);
  EXPECT_FALSE(share_rows(5, kMedium, 2, {}).together);
}

TEST(RowPlan, a_network_for_certain_numbers_of_rows_gets_no_others) {
  expect_apart(share_rows(8, kMedium, 2, {1, 2, 4, 8}), 1, 8);
  expect_apart(share_rows(8, kMedium, 2, {4, 8}), 4, 2);
  expect_apart(share_rows(8, 64 * 64, 2, {1, 2, 4, 8}), 4, 2);
  expect_apart(share_rows(8, kMedium, 2, {3, 8}), 8, 1);
  expect_apart(share_rows(8, kMedium, 2, {8, 16}), 8, 1);
}

TEST(RowPlan, every_row_is_in_one_part_and_no_thread_is_too_much) {
  for (std::int64_t rows = 1; rows < 40; ++rows) {
    for (const std::uint32_t threads : {1U, 2U, 3U, 8U, 64U}) {
      for (const std::int64_t side : {8, 256, 512, 2048}) {
        const auto plan = share_rows(rows, side * side, threads, {});
        for (const auto& parts : {plan.apart, plan.together.value_or(plan.apart)}) {
          EXPECT_GE(parts.rows * parts.parts, rows);
          EXPECT_LT(parts.rows * (parts.parts - 1), rows);
          EXPECT_GE(parts.threads, 1U);
          EXPECT_TRUE(parts.threads == 1 || parts.parts * parts.threads <= threads);
        }
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
      const bool use_all = choice_.together(now_);
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
  const auto longest =
      std::max<ThreadChoice::Duration>(ThreadChoice::kLongestPause, ThreadChoice::kTries * milliseconds(300));
  runs.run(static_cast<int>(longest / milliseconds(20)) + 1, milliseconds(10), milliseconds(20));
  EXPECT_GE(runs.run(1000, milliseconds(10), milliseconds(20)), 990);
}

TEST(ThreadChoice, one_slow_run_is_forgiven_after_a_pause_of_so_many_times_its_length) {
  Runs runs;
  runs.run(100, milliseconds(10), milliseconds(20));
  runs.run(1, milliseconds(500), milliseconds(500));
  EXPECT_EQ(runs.run(5, milliseconds(10), milliseconds(20)), 0);
  runs.run(500 * ThreadChoice::kTries / 20, milliseconds(10), milliseconds(20));
  EXPECT_GE(runs.run(1000, milliseconds(10), milliseconds(20)), 990);
}

TEST(ThreadChoice, the_first_run_of_each_form_does_not_count) {
  ThreadChoice choice;
  ThreadChoice::Time now{};
  for (const int took : {9000, 5, 10, 20}) {
    const bool all = choice.together(now);
    now += milliseconds(took);
    choice.ran(all, milliseconds(took), now);
  }
  EXPECT_TRUE(choice.together(now));
}

TEST(RowThreads, every_row_is_done_once_in_whatever_form) {
  for (const std::uint32_t threads : {1U, 2U, 5U}) {
    RowThreads crew("it", threads);
    for (std::int64_t rows = 1; rows < 30; ++rows) {
      const auto plan = share_rows(rows, kMedium, threads, {});
      std::vector<std::atomic<int>> done(static_cast<std::size_t>(rows));
      const auto outcome = crew.run(plan, [&](const RowParts& parts, std::int64_t part) {
        for (auto row = part * parts.rows; row < std::min(rows, (part + 1) * parts.rows); ++row)
          ++done[static_cast<std::size_t>(row)];
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
  const auto outcome = crew.run({{1, kThreads, 1}, {}}, [&](const RowParts&, std::int64_t) {
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
    const auto outcome = crew.run({{1, 8, 1}, {}}, [&](const RowParts&, std::int64_t part) -> Status {
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
