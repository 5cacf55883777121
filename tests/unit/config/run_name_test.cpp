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

TEST(StemsOfRun, AreThoseThatItsFilesCanHave) {
  const StemsOfRun plain("p", "{run}", "A7");
  EXPECT_TRUE(plain.has("p_runA7"));
  EXPECT_TRUE(plain.has("p_runA7.r0012")) << "of a source with runs of its own";
  for (const char* other : {"p_runA70", "p_runxA7", "q_runA7", "p_runA7_x", "p_run"})
    EXPECT_FALSE(plain.has(other)) << other;

  const StemsOfRun more("p", "{proposal}_r{run_number}.{run}", "A7");
  EXPECT_TRUE(more.has("p_runmfx_r217.A7"));
  EXPECT_TRUE(more.has("p_rununknown_runknown.A7.r0012"));
  EXPECT_TRUE(more.has("p_runA7")) << "the whole was too long";
  for (const char* other : {"p_runmfx_r217.A8", "p_runmfx_r217xA7", "p_run_r.A7"})
    EXPECT_FALSE(more.has(other)) << other;
}

TEST(StemsOfRun, ARunIsATextAndNoPattern) {
  EXPECT_FALSE(StemsOfRun("p", "{run}", ".*").has("p_runA7"));
  EXPECT_FALSE(StemsOfRun("p", "{run}", "A7|(").has("p_runA7"));
  EXPECT_TRUE(StemsOfRun("p.q-r", "{run}", "A-7.b").has("p.q-r_runA-7.b"));
  EXPECT_FALSE(StemsOfRun("p.q-r", "{run}", "A-7.b").has("p.q-r_runA-7xb"));
}

}  // namespace
}  // namespace peaknet::config
