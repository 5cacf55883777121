#include "feed/throttled_log.hpp"

#include <gtest/gtest.h>

namespace peaknet::feed {
namespace {

TEST(ThrottledLog, TheFirstOfEachCauseIsLoggedAndTheOthersWait) {
  ThrottledLog log(std::chrono::hours(1));
  EXPECT_TRUE(log.report({"npz.damaged", "a", "", ""}));
  EXPECT_FALSE(log.report({"npz.damaged", "b", "", ""}));
  EXPECT_TRUE(log.report({"dialect.unknown", "c", "", ""}));
  EXPECT_FALSE(log.report({"dialect.unknown", "d", "", ""}));
}

TEST(ThrottledLog, AfterTheIntervalOneMoreIsLogged) {
  ThrottledLog log(std::chrono::nanoseconds(1));
  EXPECT_TRUE(log.report({"npz.damaged", "a", "", ""}));
  EXPECT_TRUE(log.report({"npz.damaged", "b", "", ""}));
}

}  // namespace
}  // namespace peaknet::feed
