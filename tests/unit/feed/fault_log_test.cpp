#include "feed/fault_log.hpp"

#include <gtest/gtest.h>

namespace peaknet::feed {
namespace {

TEST(FaultLog, TheFirstOfEachCauseIsLoggedAndTheOthersWait) {
  FaultLog log(std::chrono::hours(1));
  EXPECT_TRUE(log.report({"npz.damaged", "a", "", ""}));
  EXPECT_FALSE(log.report({"npz.damaged", "b", "", ""}));
  EXPECT_TRUE(log.report({"dialect.unknown", "c", "", ""}));
  EXPECT_FALSE(log.report({"dialect.unknown", "d", "", ""}));
}

TEST(FaultLog, AfterTheIntervalOneMoreIsLogged) {
  FaultLog log(std::chrono::nanoseconds(1));
  EXPECT_TRUE(log.report({"npz.damaged", "a", "", ""}));
  EXPECT_TRUE(log.report({"npz.damaged", "b", "", ""}));
}

}  // namespace
}  // namespace peaknet::feed
