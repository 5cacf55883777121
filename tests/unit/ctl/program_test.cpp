#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/child.hpp"

namespace peaknet::ctl {
namespace {

using test::Child;
using test::Exit;
using testing::HasSubstr;
using testing::Not;

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

std::string libraries_of(const std::string& program) {
  auto linked = Child::start({"ldd", program});
  EXPECT_EQ(linked.wait(), Exit::code(0)) << linked.err();
  EXPECT_THAT(linked.out(), HasSubstr("libc.so"));
  return linked.out();
}

TEST(Peaknetctl, starts_without_the_libraries_that_only_files_and_pictures_need) {
  const std::string libraries = libraries_of(test::bin_dir() + "/peaknetctl");
  for (const char* slow : {"hdf5", "libcurl", "libldap", "libgnutls", "cairo", "libX11", "torch", "cuda"})
    EXPECT_THAT(libraries, Not(HasSubstr(slow)));
  const std::string of_files = libraries_of(PEAKNETCTL_FILES);
  EXPECT_THAT(of_files, HasSubstr("hdf5"));
  EXPECT_THAT(of_files, HasSubstr("cairo"));
  for (const char* heavy : {"torch", "cuda"}) EXPECT_THAT(of_files, Not(HasSubstr(heavy)));
}

TEST(PeaknetctlFiles, started_by_hand_points_to_peaknetctl) {
  for (const auto& words : {std::vector<std::string>{"status"}, {"--help"}}) {
    std::vector<std::string> command = {PEAKNETCTL_FILES};
    command.insert(command.end(), words.begin(), words.end());
    auto other = Child::start(command);
    EXPECT_EQ(other.wait(), Exit::code(2));
    EXPECT_EQ(other.out(), "");
    EXPECT_THAT(other.err(), HasSubstr("the part of peaknetctl for audit, page, trace and view alone"));
  }
}

}  // namespace
}  // namespace peaknet::ctl
