#include "shm/run_facts.hpp"

#include <gtest/gtest.h>

#include "tests/support/instance.hpp"

namespace peaknet::shm {
namespace {

TEST(RunFacts, AreThoseThatWereEntered) {
  const test::TestInstance instance;
  ControlLayout& layout = instance.layout();
  const RunFacts said{.number = 217, .proposal = "mfxl1038923", .user = "lysozyme, jet 2"};
  enter_run_facts(layout, 1, "A7", said);
  EXPECT_EQ(run_facts_of(layout, "A7"), said);
  const RunFacts first{.number = 0, .proposal = {}, .user = {}};
  enter_run_facts(layout, 2, "B", first);
  EXPECT_EQ(run_facts_of(layout, "B").number, 0U) << "a number like any other";
  EXPECT_EQ(run_facts_of(layout, "A7"), said) << "frames that outlived their run still find them";
}

TEST(RunFacts, OfARunOfWhichNothingWasSaidAreNone) {
  const test::TestInstance instance;
  ControlLayout& layout = instance.layout();
  EXPECT_FALSE(run_facts_of(layout, "").any()) << "nothing was entered";
  enter_run_facts(layout, 1, "A7", {.number = 217, .proposal = "p", .user = "u"});
  enter_run_facts(layout, 2, "A7", {});
  EXPECT_FALSE(run_facts_of(layout, "A7").any()) << "the newest run of that id";
  EXPECT_FALSE(run_facts_of(layout, "C").any());
}

TEST(RunFacts, AreForgottenAfterSomeRuns) {
  const test::TestInstance instance;
  ControlLayout& layout = instance.layout();
  for (std::uint32_t run = 1; run <= kRunFacts + 1; ++run)
    enter_run_facts(layout, run, std::to_string(run), {.number = run, .proposal = {}, .user = {}});
  EXPECT_FALSE(run_facts_of(layout, "1").any());
  for (std::uint32_t run = 2; run <= kRunFacts + 1; ++run)
    EXPECT_EQ(run_facts_of(layout, std::to_string(run)).number, run);
}

TEST(RunFacts, ARecordThatIsBeingWrittenIsNone) {
  const test::TestInstance instance;
  ControlLayout& layout = instance.layout();
  enter_run_facts(layout, 3, "A7", {.number = 217, .proposal = "p", .user = "u"});
  layout.run_facts[3].ordinal.store(0);
  EXPECT_FALSE(run_facts_of(layout, "A7").any());
}

}  // namespace
}  // namespace peaknet::shm
