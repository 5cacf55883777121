#include "shm/history.hpp"

#include <gtest/gtest.h>

#include <memory>

namespace peaknet::shm {
namespace {

Past second(std::int64_t at, std::uint64_t committed) {
  Past past{.at = at, .span_ms = 1000, .run = 1, .counts = {}};
  past.counts[static_cast<std::size_t>(Measure::committed)] = committed;
  return past;
}
std::uint64_t committed(const Past& past) { return past.counts[static_cast<std::size_t>(Measure::committed)]; }

constexpr std::int64_t kBegin = 1'800'000'000;  // a whole minute

TEST(History, the_last_ten_minutes_are_there_by_second_and_older_ones_are_gone) {
  const auto history = std::make_unique<History>();
  for (std::int64_t at = kBegin; at < kBegin + 1000; ++at)
    add_second(*history, second(at, static_cast<std::uint64_t>(at - kBegin)));
  const auto past = seconds_of(*history, kBegin + 999);
  ASSERT_EQ(past.size(), 600U);
  EXPECT_EQ(past.front().at, kBegin + 400);
  EXPECT_EQ(committed(past.back()), 999U);
}

TEST(History, a_minute_adds_up_its_seconds) {
  const auto history = std::make_unique<History>();
  for (std::int64_t at = kBegin; at < kBegin + 150; ++at) add_second(*history, second(at, 2));
  const auto past = minutes_of(*history, kBegin + 149);
  ASSERT_EQ(past.size(), 3U);
  EXPECT_EQ(committed(past[0]), 120U);
  EXPECT_EQ(past[0].span_ms, 60'000U);
  EXPECT_EQ(committed(past[2]), 60U);
  EXPECT_EQ(past[2].at * 60, kBegin + 120);
}

TEST(History, time_without_a_daemon_has_no_points) {
  const auto history = std::make_unique<History>();
  add_second(*history, second(kBegin, 1));
  add_second(*history, second(kBegin + 300, 1));
  EXPECT_EQ(seconds_of(*history, kBegin + 300).size(), 2U) << "unknown is not zero";
  EXPECT_EQ(seconds_of(*history, kBegin + 700).size(), 1U);
  EXPECT_EQ(seconds_of(*history, kBegin + 100'000).size(), 0U);
  EXPECT_EQ(minutes_of(*history, kBegin + 100'000).size(), 0U);
}

TEST(History, what_somebody_scribbled_is_left_out_or_is_a_number) {
  const auto history = std::make_unique<History>();
  for (auto& point : history->seconds) {
    point.at.store(-1);
    point.span_ms.store(7);
  }
  history->seconds[3].at.store(INT64_MAX);
  EXPECT_EQ(seconds_of(*history, kBegin).size(), 0U);
  add_second(*history, second(-5, 1));
  EXPECT_EQ(seconds_of(*history, kBegin).size(), 0U);
}

TEST(PeakHistogram, every_number_lies_in_the_bucket_whose_edges_hold_it) {
  for (std::size_t peaks = 0; peaks < 8000; ++peaks) {
    const std::size_t bucket = PeakHistogram::bucket_of(peaks);
    ASSERT_LT(bucket, PeakHistogram::kBuckets);
    ASSERT_LE(PeakHistogram::lower_edge(bucket), peaks);
    if (bucket + 1 < PeakHistogram::kBuckets) {
      ASSERT_GT(PeakHistogram::lower_edge(bucket + 1), peaks);
    }
  }
  EXPECT_EQ(PeakHistogram::bucket_of(SIZE_MAX), PeakHistogram::kBuckets - 1);
}

}  // namespace
}  // namespace peaknet::shm
