#include "ctl/options.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace peaknet::ctl {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

Result<Options> parse(std::vector<const char*> words) {
  words.insert(words.begin(), "peaknetctl");
  return parse_options(static_cast<int>(words.size()), words.data());
}
Error refused(const std::vector<const char*>& words) {
  const auto options = parse(words);
  if (options) {
    ADD_FAILURE() << "was taken";
    return {};
  }
  EXPECT_EQ(options.error().id, "cli.usage");
  return options.error();
}

TEST(Options, global_options_may_stand_before_and_after_the_verb) {
  for (const auto& words : {std::vector<const char*>{"--instance", "mfx", "--json", "--timeout", "500ms", "stats"},
                            std::vector<const char*>{"stats", "--json", "--timeout", "500ms", "--instance", "mfx"}}) {
    const auto options = parse(words);
    ASSERT_TRUE(options) << options.error().text();
    EXPECT_EQ(options->command, "stats");
    EXPECT_EQ(options->instance, "mfx");
    EXPECT_TRUE(options->json);
    EXPECT_EQ(options->timeout, 500ms);
  }
}

TEST(Options, those_of_a_command_may_stand_before_it) {
  EXPECT_EQ(parse({"--run", "0217", "start"})->run, "0217");
  EXPECT_TRUE(parse({"--check", "status"})->check);
  EXPECT_EQ(parse({"-n", "3", "watch"})->count, 3U);
  EXPECT_EQ(parse({"--timeout", "1s", "stop"})->timeout, 1s) << "of all commands, as ever";
  EXPECT_EQ(refused({"--check"}).what, "no command was given: '--check' is an option of 'status'");
}

TEST(Options, each_verb_has_its_own) {
  EXPECT_EQ(parse({"start", "--run", "0217"})->run, "0217");
  EXPECT_FALSE(parse({"start"})->run_number) << "not said is not 0";
  EXPECT_EQ(parse({"start", "--run-number", "0"})->run_number, 0U);
  EXPECT_EQ(parse({"start", "--proposal", "mfx", "--user", "jet 2"})->user, "jet 2");
  EXPECT_EQ(parse({"stop"})->stop_timeout, 120s);
  const auto stop = parse({"--timeout", "1s", "stop", "--timeout", "30"});
  EXPECT_EQ(stop->stop_timeout, 30s);
  EXPECT_EQ(stop->timeout, 1s);
  EXPECT_EQ(parse({"rebuffer", "--depth", "5"})->depth, 5U);
  EXPECT_EQ(parse({"rebuffer", "--slots", "128"})->slots, 128U);
  EXPECT_EQ(parse({"rebuffer", "--shape", "16,185,388"})->shape, (std::vector<std::uint32_t>{16, 185, 388}));
  const auto wait = parse({"wait", "--for", "drained", "--timeout", "1.5m"});
  EXPECT_EQ(wait->wait_for, "drained");
  EXPECT_EQ(wait->wait_timeout, 90s);
  EXPECT_EQ(parse({"version"})->command, "version");
}

TEST(Options, a_misspelt_word_gets_the_one_that_was_meant) {
  const Error command = refused({"strat"});
  EXPECT_EQ(command.what, "unknown command 'strat' (did you mean 'start'?)");
  EXPECT_EQ(command.remedy, "peaknetctl start");
  EXPECT_EQ(refused({"stats", "--jsn"}).what, "unknown option '--jsn' (did you mean '--json'?)");
  EXPECT_EQ(refused({"rebuffer", "--dpeth", "3"}).what, "unknown option '--dpeth' (did you mean '--depth'?)");
  EXPECT_EQ(refused({"--instnace", "mfx", "stats"}).what, "unknown option '--instnace' (did you mean '--instance'?)");
  EXPECT_EQ(refused({"wholly-unlike"}).what, "unknown command 'wholly-unlike'");
}

TEST(Options, what_is_missing_or_too_much_is_said) {
  EXPECT_EQ(refused({}).what, "no command was given");
  EXPECT_EQ(refused({"model"}).what, "'model' needs DO: what to do: show, or load PATH");
  EXPECT_EQ(refused({"audit"}).remedy, "peaknetctl help audit");
  EXPECT_THAT(refused({"stop", "now"}).what, HasSubstr("'now' is too much after 'stop'"));
  EXPECT_THAT(refused({"rebuffer", "--shape", "48,64"}).what, HasSubstr("--shape"));
  EXPECT_THAT(refused({"rebuffer", "--shape", "0,48,64"}).what, HasSubstr("0 not in range 1 to 32768"));
  EXPECT_THAT(refused({"rebuffer", "--depth", "9"}).what, HasSubstr("9 not in range 1 to 8"));
  EXPECT_THAT(refused({"wait"}).what, HasSubstr("'wait' needs --for: idle"));
  EXPECT_THAT(refused({"wait", "--for", "lunch"}).what, HasSubstr("lunch"));
  EXPECT_THAT(refused({"--config", "a", "--instance", "b", "stats"}).what, HasSubstr("excludes"));
  EXPECT_THAT(refused({"stats", "--timeout", "soon"}).what, HasSubstr("'soon' is no time"));
}

TEST(Options, help_is_text_with_examples_and_no_error) {
  const auto options = parse({"--help"});
  ASSERT_TRUE(options);
  EXPECT_EQ(options->command, "");
  EXPECT_THAT(options->help, HasSubstr("peaknetctl wait --for drained"));
  EXPECT_THAT(parse({"stop", "--help"})->help, HasSubstr("--timeout"));
}

TEST(Options, help_is_a_command_too_and_version_an_option) {
  EXPECT_EQ(parse({"help"})->help, parse({"--help"})->help);
  EXPECT_EQ(parse({"help", "stop"})->help, parse({"stop", "--help"})->help);
  EXPECT_EQ(parse({"help", "sto"})->help, parse({"stop", "--help"})->help);
  EXPECT_EQ(parse({"help", "stop"})->command, "");
  EXPECT_EQ(refused({"help", "strat"}).what, "unknown command 'strat' (did you mean 'start'?)");
  for (const char* word : {"--version", "-V"}) EXPECT_THAT(parse({word})->help, testing::StartsWith("peaknetctl "));
}

TEST(Options, numbers_are_asked_for_as_people_type_them) {
  for (const char* name : {"-c", "-n", "--count"}) EXPECT_EQ(parse({"watch", name, "5"})->count, 5U) << name;
  EXPECT_EQ(parse({"watch", "-n5", "-d", "500ms"})->every, 500ms);
  EXPECT_EQ(parse({"top", "-n", "1"})->count, 1U);
  EXPECT_EQ(parse({"errors", "-n", "3"})->count, 3U);
  EXPECT_EQ(parse({"-i", "mfx", "status"})->instance, "mfx");
}

TEST(Abbreviations, the_beginning_of_a_word_is_enough_if_only_one_has_it) {
  EXPECT_EQ(parse({"reb", "--dep", "5"})->depth, 5U);
  EXPECT_EQ(parse({"reb", "--dep=5"})->depth, 5U);
  EXPECT_EQ(parse({"--dep", "5", "reb"})->depth, 5U);
  EXPECT_EQ(parse({"--inst", "mfx", "wat", "--cou", "2"})->instance, "mfx");
  EXPECT_EQ(parse({"wat", "--inst", "mfx"})->instance, "mfx");
  EXPECT_EQ(parse({"stop"})->words, (std::vector<std::string>{"peaknetctl", "stop"}));
  EXPECT_EQ(parse({"aud", "/data/stat"})->words, (std::vector<std::string>{"peaknetctl", "audit", "/data/stat"}))
      << "what peaknetctl-files is started with";
}

TEST(Abbreviations, a_beginning_that_several_have_is_refused_with_their_names) {
  EXPECT_EQ(refused({"stat"}).what, "'stat' may be stats, status");
  EXPECT_EQ(refused({"rebuffer", "--d", "5"}).what, "'--d' may be --depth, --dry-run");
}

TEST(Abbreviations, a_value_is_never_taken_for_a_command) {
  EXPECT_EQ(parse({"--instance", "sto", "stats"})->instance, "sto");
  EXPECT_EQ(parse({"start", "--run", "--jso"})->run, "--jso");
  EXPECT_EQ(parse({"trace", "3:1", "sta"})->folders, std::vector<std::string>{"sta"});
}

TEST(Span, is_written_as_people_write_it) {
  EXPECT_EQ(*parse_span("2s"), 2s);
  EXPECT_EQ(*parse_span("500ms"), 500ms);
  EXPECT_EQ(*parse_span("1.5m"), 90s);
  EXPECT_EQ(*parse_span("2h"), 2h);
  EXPECT_EQ(*parse_span("0.25"), 250ms);
  EXPECT_EQ(*parse_span("0"), 0ms);
  for (const char* bad : {"", "s", "-1s", "2x", "2 s", "1e9", "inf", "nan", "25h"})
    EXPECT_FALSE(parse_span(bad)) << bad;
}

}  // namespace
}  // namespace peaknet::ctl
