// The manual page of each program has all that its --help has, and groff takes it without a warning.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <set>

#include "tests/support/child.hpp"

namespace peaknet::test {
namespace {

using testing::HasSubstr;

std::string printed(const std::vector<std::string>& arguments) {
  auto command = arguments;
  command.front() = bin_dir() + "/" + command.front();
  auto child = Child::start(command);
  EXPECT_EQ(child.wait(), Exit::code(0)) << child.err();
  return child.out();
}

std::set<std::string> options_in(const std::string& help) {
  static const std::regex kOption(R"((^|[\s,\[])(--[a-z][a-z-]*))");
  std::set<std::string> found;
  for (std::sregex_iterator at(help.begin(), help.end(), kOption), end; at != end; ++at) found.insert((*at)[2]);
  return found;
}

std::string without_roff(std::string page) {
  for (std::size_t at = page.find("\\-"); at != std::string::npos; at = page.find("\\-", at)) page.erase(at, 1);
  return page;
}

struct Program {
  std::string name, section;
  std::vector<std::string> commands;
};

class Manuals : public testing::TestWithParam<Program> {};

TEST_P(Manuals, HaveEveryOptionOfTheHelp) {
  const std::string page = without_roff(printed({GetParam().name, "--manual"}));
  EXPECT_TRUE(page.starts_with(".TH ")) << page.substr(0, 80);
  EXPECT_THAT(page, HasSubstr(" " + GetParam().section + " \"\" \"peaknetd "));
  const auto has_all = [&](const std::string& help) {
    const auto options = options_in(help);
    EXPECT_GE(options.size(), 2U) << help;
    for (const auto& option : options) EXPECT_THAT(page, HasSubstr(option));
  };
  has_all(printed({GetParam().name, "--help"}));
  for (const auto& command : GetParam().commands) {
    EXPECT_THAT(page, HasSubstr(".SS " + command));
    has_all(printed({GetParam().name, command, "--help"}));
  }
}

TEST_P(Manuals, AreTakenByGroffWithoutAWarning) {
  const auto file = std::filesystem::temp_directory_path() / ("peaknet-" + GetParam().name + "." + GetParam().section);
  std::ofstream(file) << printed({GetParam().name, "--manual"});
  auto groff = Child::start({"/usr/bin/groff", "-ww", "-man", "-Tutf8", file.string()});
  const Exit exit = groff.wait();
  std::filesystem::remove(file);
  if (exit == Exit::code(127)) GTEST_SKIP() << "groff is not installed";
  EXPECT_EQ(exit, Exit::code(0));
  EXPECT_EQ(groff.err(), "");
}

INSTANTIATE_TEST_SUITE_P(Programs, Manuals,
                         testing::Values(Program{"peaknetd", "8", {"tune"}},
                                         Program{"peaknet-writer", "8", {"preview", "peaks"}},
                                         Program{"peaknet-live", "8", {}},
                                         Program{"peaknet-feed", "1", {"replay", "simulate", "listen", "record"}}),
                         [](const auto& program) { return "P" + std::to_string(program.index); });

}  // namespace
}  // namespace peaknet::test
