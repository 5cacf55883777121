// The manual page and the completion scripts of each program have all that its --help has; groff and the shells take
// them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

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

// Those of the program itself: an example at the end of its help may have other programs'.
std::set<std::string> own_options(const std::string& help) {
  std::string lines, line;
  for (std::istringstream all(help); std::getline(all, line);) {
    if (line.starts_with("  -")) lines += line.substr(0, line.find("  ", 3)) + "\n";
  }
  return options_in(lines);
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

// What bash offers when TAB is pressed after these words of a command line.
std::set<std::string> offered(const Program& program, const std::vector<std::string>& words) {
  std::string function = "_" + program.name;
  std::replace(function.begin(), function.end(), '-', '_');
  std::string line = "source <(" + bin_dir() + "/" + program.name + " --completion bash); COMP_WORDS=(" + program.name;
  for (const auto& word : words) line += " '" + word + "'";
  line += "); COMP_CWORD=" + std::to_string(words.size()) + "; " + function + "; printf '%s\n' \"${COMPREPLY[@]}\"";
  auto bash = Child::start({"/bin/bash", "-c", line});
  EXPECT_EQ(bash.wait(), Exit::code(0)) << bash.err();
  EXPECT_EQ(bash.err(), "");
  std::set<std::string> found;
  std::istringstream out(bash.out());
  for (std::string text; std::getline(out, text);) found.insert(text);
  return found;
}

TEST_P(Manuals, CompletionInBashOffersEveryOptionOfTheHelp) {
  for (const auto& option : own_options(printed({GetParam().name, "--help"})))
    EXPECT_THAT(offered(GetParam(), {option}), testing::Contains(option));
  for (const auto& command : GetParam().commands) {
    EXPECT_THAT(offered(GetParam(), {command.substr(0, 3)}), testing::Contains(command));
    const auto options = own_options(printed({GetParam().name, command, "--help"}));
    const auto after = offered(GetParam(), {command, "--"});
    for (const auto& option : options) EXPECT_THAT(after, testing::Contains(option)) << command;
  }
  const auto file = std::filesystem::temp_directory_path() / ("completion-of-" + GetParam().name);
  std::ofstream(file).flush();
  EXPECT_THAT(offered(GetParam(), {"--config", file.string().substr(0, file.string().size() - 2)}),
              testing::Contains(file.string()));
  std::filesystem::remove(file);
}

TEST_P(Manuals, CompletionScriptsAreTakenByTheirShells) {
  for (const std::string shell : {"bash", "zsh", "fish"}) {
    const std::string script = printed({GetParam().name, "--completion", shell});
    for (const auto& option : own_options(printed({GetParam().name, "--help"})))
      EXPECT_THAT(script, HasSubstr(shell == "fish" ? " -l " + option.substr(2) : option)) << shell;
    const auto file = std::filesystem::temp_directory_path() / ("completion-of-" + GetParam().name + "." + shell);
    std::ofstream(file) << script;
    auto check = Child::start(
        {"/bin/sh", "-c", "command -v " + shell + " >/dev/null || exit 0; exec " + shell + " -n " + file.string()});
    EXPECT_EQ(check.wait(), Exit::code(0)) << check.err();
    EXPECT_EQ(check.err(), "");
    std::filesystem::remove(file);
  }
}

INSTANTIATE_TEST_SUITE_P(Programs, Manuals,
                         testing::Values(Program{"peaknetd", "8", {"tune"}},
                                         Program{"peaknet-writer", "8", {"preview", "peaks"}},
                                         Program{"peaknet-live", "8", {}},
                                         Program{"peaknet-feed", "1", {"replay", "simulate", "listen", "record"}}),
                         [](const auto& program) { return "P" + std::to_string(program.index); });

}  // namespace
}  // namespace peaknet::test
