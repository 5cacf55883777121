#include "shm/histogram.hpp"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace peaknet::shm {
namespace {

TEST(Histogram, buckets_follow_each_other_and_their_edges_are_true) {
  std::size_t last = 0;
  for (std::uint64_t us = 0; us < 200000; ++us) {
    const std::size_t bucket = Histogram::bucket_of(us);
    ASSERT_TRUE(bucket == last || bucket == last + 1) << us;
    ASSERT_LE(us, Histogram::upper_edge(bucket)) << us;
    if (bucket > 0) {
      ASSERT_GT(us, Histogram::upper_edge(bucket - 1)) << us;
    }
    last = bucket;
  }
}

TEST(Histogram, the_error_of_a_bucket_is_at_most_six_percent) {
  for (std::uint64_t us = 16; us < (std::uint64_t{1} << 30); us = us * 5 / 4 + 1) {
    const auto edge = static_cast<double>(Histogram::upper_edge(Histogram::bucket_of(us)));
    ASSERT_LE((edge - static_cast<double>(us)) / static_cast<double>(us), 0.0625) << us;
  }
}

TEST(Histogram, hours_and_negative_spans_fall_into_the_outermost_buckets) {
  Histogram histogram;
  histogram.add(std::chrono::hours(1000));
  histogram.add(std::chrono::nanoseconds(-5));
  const auto counts = histogram.copy();
  EXPECT_EQ(counts.front(), 1U);
  EXPECT_EQ(counts.back(), 1U);
  EXPECT_EQ(histogram.max_us(), std::uint64_t{3'600'000'000'000});
}

TEST(Histogram, quantiles_of_a_known_distribution) {
  Histogram histogram;
  for (int us = 1; us <= 1000; ++us) histogram.add(std::chrono::microseconds(us));
  const auto counts = histogram.copy();
  EXPECT_NEAR(static_cast<double>(quantile_us(counts, histogram.max_us(), 0.5)), 500.0, 32.0);
  EXPECT_NEAR(static_cast<double>(quantile_us(counts, histogram.max_us(), 0.99)), 990.0, 62.0);
  EXPECT_EQ(quantile_us(counts, histogram.max_us(), 1.0), 1000U);
  EXPECT_EQ(quantile_us(counts, histogram.max_us(), 0.0), 1U);
  histogram.reset();
  EXPECT_EQ(quantile_us(histogram.copy(), histogram.max_us(), 0.5), 0U);
}

TEST(Histogram, what_many_add_at_once_is_all_there_with_the_largest_of_them) {
  Histogram histogram;
  constexpr int kAdds = 50000;
  {
    std::vector<std::jthread> adders;
    for (int thread = 0; thread < 4; ++thread) {
      adders.emplace_back([&] {
        for (int us = 1; us <= kAdds; ++us) histogram.add(std::chrono::microseconds(us));
      });
    }
  }
  std::uint64_t sum = 0;
  for (const auto count : histogram.copy()) sum += count;
  EXPECT_EQ(sum, std::uint64_t{4} * kAdds);
  EXPECT_EQ(histogram.max_us(), std::uint64_t{kAdds});
}

}  // namespace
}  // namespace peaknet::shm
