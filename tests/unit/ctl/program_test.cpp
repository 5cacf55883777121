#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/child.hpp"

namespace peaknet::ctl {
namespace {

using test::Child;
using test::Exit;
using testing::HasSubstr;

Child ctl(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), test::bin_dir() + "/peaknetctl");
  return Child::start(arguments);
}

TEST(Peaknetctl, help_goes_to_stdout) {
  auto help = ctl({"--help"});
  EXPECT_EQ(help.wait(), Exit::code(0));
  EXPECT_THAT(help.out(), HasSubstr("Exit codes:"));
  EXPECT_EQ(help.err(), "");
}

TEST(Peaknetctl, a_wrong_command_line_is_exit_2_and_stdout_stays_clean) {
  auto wrong = ctl({"strat"});
  EXPECT_EQ(wrong.wait(), Exit::code(2));
  EXPECT_EQ(wrong.out(), "");
  EXPECT_EQ(wrong.err(),
            "error: unknown command 'strat' (did you mean 'start'?)\n  nothing was done\n  try: peaknetctl start   "
            "[cli.usage]\n");
}

TEST(Peaknetctl, whoever_asked_for_json_reads_json_even_then) {
  auto wrong = ctl({"--json", "strat"});
  EXPECT_EQ(wrong.wait(), Exit::code(2));
  EXPECT_THAT(wrong.out(), HasSubstr("\"schema\": \"peaknet.error/1\""));
}

TEST(Peaknetctl, an_instance_that_does_not_run_is_exit_3) {
  auto absent = ctl({"--instance", "no_such_instance", "status"});
  EXPECT_EQ(absent.wait(), Exit::code(3));
  EXPECT_THAT(absent.err(), HasSubstr("[control.not-running]"));
}

}  // namespace
}  // namespace peaknet::ctl
