#include "feed/progress.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/progress_line.hpp"

namespace peaknet::feed {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

Counts some_counts() {
  Counts counts;
  counts.committed = 40;
  counts.refused = 10;
  counts.failed = {{"npz.damaged", 2}, {"dialect.unknown", 1}};
  counts.narrowed = 3;
  counts.no_counts = 7;
  counts.messages = 8;
  return counts;
}

TEST(Progress, ALineHasABarWhereTheTotalIsKnown) {
  EXPECT_EQ(progress_text(some_counts(), 100, 123.4),
            "[##########----------]  50 %  50 of 100 frames  123/s  10 refused  3 failed");
  EXPECT_EQ(progress_text({}, 0, 12.34), "0 frames  12.3/s  0 refused");
  EXPECT_THAT(progress_text(some_counts(), 10, 1.0), HasSubstr("100 %"));  // more than was expected
}

TEST(Progress, TheSummaryNamesEveryCause) {
  EXPECT_EQ(
      summary_text("listen", some_counts(), 2.0),
      "listen: 40 frames committed, 10 refused, 3 failed (dialect.unknown 1, npz.damaged 2), 3 narrowed to float32 "
      "with loss, 7 pixels without a count, from 8 messages in 2.00 s (20.0/s)");
  EXPECT_EQ(summary_text("replay", {}, 0.0), "replay: 0 frames committed, 0 refused, 0 failed in 0.00 s (0.0/s)");
}

TEST(Progress, TheJsonHasTheSameCounts) {
  EXPECT_EQ(
      summary_json("listen", some_counts(), 2.0),
      R"({"schema":"peaknet.feed/1","mode":"listen","committed":40,"refused":10,)"
      R"("failed":{"dialect.unknown":1,"npz.damaged":2},"narrowed":3,"pixels_without_count":7,"messages":8,"missing":0,)"
      R"("unclear_sequences":0,"seconds":2.0,"rate":20.0})");
}

TEST(Progress, WithoutATerminalNothingIsDrawn) {
  testing::internal::CaptureStderr();
  {
    const FeedCounters tally;
    const ProgressLine line(progress_of(tally, 10));
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace peaknet::feed
