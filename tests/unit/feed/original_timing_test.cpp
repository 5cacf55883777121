#include "feed/original_timing.hpp"

#include <gtest/gtest.h>

namespace peaknet::feed {
namespace {

using namespace std::chrono_literals;
using Clock = OriginalTiming::Clock;

constexpr std::int64_t kBegin = 1'700'000'000'000'000'000;

TEST(OriginalTiming, FramesAreAsFarApartAsTheyWere) {
  OriginalTiming timing;
  const auto now = Clock::now();
  EXPECT_EQ(timing.due(kBegin, now), now);
  EXPECT_EQ(timing.due(kBegin + 8'333'333, now + 1ms), now + 8'333'333ns);
  // Time that was lost is made up for: nothing drifts.
  EXPECT_EQ(timing.due(kBegin + 16'666'666, now + 500ms), now + 16'666'666ns);
}

TEST(OriginalTiming, WhoIsOvertakenIsLateAndAnotherRunBeginsAnew) {
  OriginalTiming timing;
  const auto now = Clock::now();
  timing.due(kBegin, now);
  timing.due(kBegin + 5'000'000'000, now + 5s);
  EXPECT_EQ(timing.due(kBegin + 4'500'000'000, now + 5s), now + 4500ms);
  EXPECT_EQ(timing.due(kBegin, now + 6s), now + 6s);  // played again
  EXPECT_EQ(timing.due(kBegin + 2'000'000'000, now + 6s), now + 8s);
}

TEST(OriginalTiming, AFrameWithoutATimeWaitsForNothing) {
  OriginalTiming timing;
  const auto now = Clock::now();
  EXPECT_EQ(timing.due(0, now), now);
  EXPECT_FALSE(timing.knows_any());
  timing.due(kBegin, now);
  EXPECT_TRUE(timing.knows_any());
  EXPECT_EQ(timing.due(0, now + 1s), now + 1s);
}

TEST(OriginalTiming, AStopEndsTheWait) {
  OriginalTiming timing;
  std::stop_source stop;
  EXPECT_TRUE(timing.wait_for(kBegin, stop.get_token()));
  stop.request_stop();
  EXPECT_FALSE(timing.wait_for(kBegin + 3'600'000'000'000, stop.get_token()));
}

TEST(OriginalTiming, AWildTimeHoldsNobodyForYears) {
  OriginalTiming timing;
  const auto now = Clock::now();
  timing.due(kBegin, now);
  EXPECT_EQ(timing.due(kBegin + 3'600'000'000'000, now), now + 10s);
  EXPECT_EQ(timing.cuts(), 1U);
  EXPECT_EQ(timing.cut(), 3590s);
  EXPECT_EQ(timing.due(kBegin + 3'601'000'000'000, now), now + 11s);  // and goes on from there
  EXPECT_EQ(timing.cuts(), 1U);
}

}  // namespace
}  // namespace peaknet::feed
