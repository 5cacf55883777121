// The manual page and the completion scripts say what the program understands, all of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/completion.hpp"
#include "ctl/options.hpp"
#include "tests/support/child.hpp"
#include "tests/unit/control/temp_folder.hpp"

namespace peaknet::ctl {
namespace {

using test::Child;
using test::Exit;
using testing::HasSubstr;

std::string in_roff(std::string text) {
  for (std::size_t at = text.find('-'); at != std::string::npos; at = text.find('-', at + 2)) text.insert(at, 1, '\\');
  return text;
}

TEST(Manual, has_every_command_and_every_option_with_its_meaning) {
  const CommandText program = command_line();
  ASSERT_GT(program.subcommands.size(), 15U);
  const std::string page = manual_page(program, "1.2.3", 1, "peaknetd (8)");
  for (const CommandText& command : program.subcommands) {
    EXPECT_THAT(page, HasSubstr(".SS " + in_roff(command.name)));
    EXPECT_FALSE(command.meaning.empty()) << command.name;
    EXPECT_THAT(page, HasSubstr(in_roff(command.meaning)));
    for (const OptionText& option : command.options) {
      EXPECT_FALSE(option.meaning.empty()) << command.name << ' ' << option.names.front();
      for (const std::string& name : option.names) EXPECT_THAT(page, HasSubstr(in_roff(name)));
    }
  }
  EXPECT_THAT(page, HasSubstr("degraded or failing"));
}

TEST(Manual, is_a_page_that_groff_takes_without_a_warning) {
  test::TempFolder folder;
  std::ofstream(folder / "peaknetctl.1") << manual_page(command_line(), "1.2.3", 1, "peaknetd (8)");
  auto groff = Child::start({"/usr/bin/groff", "-ww", "-man", "-Tutf8", folder / "peaknetctl.1"});
  const Exit exit = groff.wait();
  if (exit == Exit::code(127)) GTEST_SKIP() << "groff is not installed";
  EXPECT_EQ(exit, Exit::code(0));
  EXPECT_EQ(groff.err(), "");
  EXPECT_THAT(groff.out(), HasSubstr("rebuffer"));
}

TEST(Manual, says_of_each_option_what_help_says) {
  for (const CommandText& command : command_line().subcommands) {
    const std::vector<const char*> words = {"peaknetctl", command.name.c_str(), "--help"};
    const auto help = parse_options(3, words.data());
    ASSERT_TRUE(help);
    for (const OptionText& option : command.options) EXPECT_THAT(help->help, HasSubstr(option.names.back()));
  }
}

// What bash offers when TAB is pressed after these words.
std::vector<std::string> offered(const std::vector<std::string>& words) {
  test::TempFolder folder;
  std::ofstream(folder / "completion") << completion_script(command_line(), "bash");
  std::string line = "source " + folder / "completion" + "; COMP_WORDS=(peaknetctl";
  for (const auto& word : words) line += " '" + word + "'";
  line += "); COMP_CWORD=" + std::to_string(words.size()) + "; _peaknetctl; printf '%s\\n' \"${COMPREPLY[@]}\"";
  auto bash = Child::start({"/bin/bash", "-c", line});
  EXPECT_EQ(bash.wait(), Exit::code(0)) << bash.err();
  EXPECT_EQ(bash.err(), "");
  std::vector<std::string> lines;
  std::istringstream out(bash.out());
  for (std::string text; std::getline(out, text);) lines.push_back(text);
  return lines;
}

TEST(Completion, bash_offers_what_may_follow) {
  using testing::Contains;
  using testing::ElementsAre;
  EXPECT_THAT(offered({"st"}), ElementsAre("start", "stop", "stats", "status"));
  EXPECT_THAT(offered({"--instance", "mfx", "rebuffer", "--d"}), ElementsAre("--depth", "--dry-run"));
  EXPECT_THAT(offered({"wait", "--for", ""}), ElementsAre("idle", "running", "drained"));
  EXPECT_THAT(offered({"wait", "--for", "idle", "--ti"}), ElementsAre("--timeout"));
  EXPECT_THAT(offered({"completion", ""}), Contains("fish"));
  EXPECT_THAT(offered({"help", "reb"}), ElementsAre("rebuffer"));
  EXPECT_THAT(offered({"-i", "mfx", "sto"}), ElementsAre("stop")) << "the value of an option is not the command";
  EXPECT_THAT(offered({"-i", "start", "sto"}), ElementsAre("stop")) << "also where it is the name of one";
  for (const CommandText& command : command_line().subcommands) {
    EXPECT_THAT(offered({command.name.substr(0, 3)}), Contains(command.name));
    for (const OptionText& option : command.options) {
      if (option.is_positional()) continue;
      EXPECT_THAT(offered({command.name, option.names.back()}), Contains(option.names.back()));
    }
  }
}

TEST(Completion, zsh_and_fish_know_every_command_and_option) {
  const CommandText program = command_line();
  const std::string zsh = completion_script(program, "zsh");
  const std::string fish = completion_script(program, "fish");
  EXPECT_THAT(zsh, testing::StartsWith("#compdef peaknetctl\n"));
  for (const CommandText& command : program.subcommands) {
    EXPECT_THAT(zsh, HasSubstr("'" + command.name + ":"));
    EXPECT_THAT(fish, HasSubstr("-a " + command.name + " "));
    for (const OptionText& option : command.options) {
      if (option.is_positional()) continue;
      EXPECT_THAT(zsh, HasSubstr(option.names.back() + "["));
      EXPECT_THAT(fish, HasSubstr(" -l " + option.names.back().substr(2)));
    }
  }
  EXPECT_EQ(completion_script(program, "tcsh"), "");
}

}  // namespace
}  // namespace peaknet::ctl
