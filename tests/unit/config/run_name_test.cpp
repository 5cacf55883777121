#include "config/run_name.hpp"

#include <gtest/gtest.h>

namespace peaknet::config {
namespace {

TEST(RunName, HasItsFieldsPutIn) {
  const RunNameFields fields{.run = "A7", .run_number = "217", .proposal = "mfx", .user = "jet"};
  EXPECT_EQ(fill_run_name("{run}", fields), "A7");
  EXPECT_EQ(fill_run_name("{proposal}_r{run_number}-{user}.{run}", fields), "mfx_r217-jet.A7");
}

TEST(RunName, AFieldThatIsPutInIsNotReadAgain) {
  EXPECT_EQ(fill_run_name("{user}_{run}", {.run = "A7", .run_number = "", .proposal = "", .user = "{run}"}),
            "{run}_A7");
}

TEST(RunName, WithoutTheRunFilesOfTwoRunsWouldHaveOneName) {
  EXPECT_TRUE(is_run_name("{run}"));
  EXPECT_TRUE(is_run_name("{proposal}_{run_number}_{run}"));
  for (const char* bad : {"", "{run_number}", "{run", "run}", "{}{run}", "{runs}{run}", "{run}/x", "../{run}", ".{run}",
                          "-{run}", "{run} x", "{{run}}"})
    EXPECT_FALSE(is_run_name(bad)) << bad;
  EXPECT_FALSE(is_run_name("{run}" + std::string(96, 'x')));
}

}  // namespace
}  // namespace peaknet::config
