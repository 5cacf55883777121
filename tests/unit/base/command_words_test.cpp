#include "base/command_words.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "base/fatal.hpp"

namespace peaknet {
namespace {

std::vector<std::string> words(const std::string& line) {
  std::istringstream in(line);
  std::vector<std::string> all;
  for (std::string word; in >> word;) all.push_back(word);
  return all;
}

// A program with an option of its own and two commands that share one.
struct Camera {
  CLI::App app{"takes pictures", "camera"};
  std::string config, run;
  int frames = 0;
  double rate = 0;
  bool json = false;

  Camera() {
    app.require_subcommand(1);
    app.set_version_flag("-V,--version", std::string("camera 1"));
    app.add_option("--config", config, "the configuration")->type_name("FILE");
    for (const char* name : {"shoot", "stop"}) {
      auto* command = app.add_subcommand(name, name);
      command->fallthrough();
      command->add_option("-n,--frames", frames, "how many")->type_name("N");
      command->add_flag("--json", json, "as JSON");
      command->add_option("--rate", rate, "a second")->check(CLI::Range(0.0, 1e9))->type_name("HZ");
    }
    app.get_subcommand("stop")->add_option("--run", run, "which run")->required()->type_name("ID");
  }
  std::string ordered(const std::string& line) const {
    std::string text;
    for (const std::string& word : command_first(describe(app), words(line))) text += (text.empty() ? "" : " ") + word;
    return text;
  }
  Error refused(const std::string& line) {
    const auto all = words(line);
    std::vector<const char*> argv;
    for (const std::string& word : all) argv.push_back(word.c_str());
    try {
      read_command_line(app, static_cast<int>(argv.size()), argv.data());
    } catch (const Fatal& fatal) {
      EXPECT_EQ(fatal.exit_code(), kExitUsage);
      return fatal.error();
    }
    ADD_FAILURE() << line << " was taken";
    return {};
  }
};

TEST(CommandFirst, options_of_a_command_may_stand_before_it) {
  const Camera camera;
  EXPECT_EQ(camera.ordered("camera --frames 9 shoot --json"), "camera shoot --json --frames 9");
  EXPECT_EQ(camera.ordered("camera -n9 --json shoot"), "camera shoot -n9 --json");
  EXPECT_EQ(camera.ordered("camera --frames=9 --config c.yaml shoot"), "camera --config c.yaml shoot --frames=9");
  EXPECT_EQ(camera.ordered("camera --json sho"), "camera sho --json") << "where beginnings will do";
  EXPECT_EQ(camera.ordered("camera --fra 9 --con c.yaml shoot"), "camera --con c.yaml shoot --fra 9");
}

TEST(CommandFirst, a_value_is_no_command) {
  const Camera camera;
  EXPECT_EQ(camera.ordered("camera --config stop shoot --json"), "camera --config stop shoot --json");
  EXPECT_EQ(camera.ordered("camera --run shoot stop"), "camera stop --run shoot");
}

TEST(CommandFirst, what_follows_the_end_of_options_stays_there) {
  EXPECT_EQ(Camera().ordered("camera --json shoot -- --odd"), "camera shoot --json -- --odd");
}

TEST(CommandFirst, words_that_nobody_knows_are_left_to_the_parser) {
  for (const std::string line : {"camera --odd 3 shoot", "camera x shoot --json", "camera", "camera --json"})
    EXPECT_EQ(Camera().ordered(line), line);
}

TEST(ReadCommandLine, takes_options_on_both_sides_of_the_command) {
  Camera camera;
  const char* argv[] = {"camera", "--frames", "9", "--json", "--config", "c.yaml", "shoot"};
  EXPECT_TRUE(read_command_line(camera.app, 7, argv));
  EXPECT_EQ(camera.frames, 9);
  EXPECT_TRUE(camera.json);
  EXPECT_EQ(camera.config, "c.yaml");
}

TEST(ReadCommandLine, says_what_is_wrong_with_the_word_that_was_meant) {
  EXPECT_EQ(Camera().refused("camera --confg c.yaml shoot").what,
            "unknown option '--confg' (did you mean '--config'?)");
  EXPECT_EQ(Camera().refused("camera shoot --fraems 3").remedy, "--frames");
  EXPECT_EQ(Camera().refused("camera stpo").what, "unknown command 'stpo' (did you mean 'stop'?)");
  EXPECT_EQ(Camera().refused("camera help shot").remedy, "camera help shoot");
  EXPECT_EQ(Camera().refused("camera").what, "no command was given");
  EXPECT_EQ(Camera().refused("camera stop").what, "'stop' needs --run: which run");
  EXPECT_EQ(Camera().refused("camera shoot now").what, "'now' is too much after 'shoot'");
  EXPECT_EQ(Camera().refused("camera shoot --rate -1").what, "--rate: Value -1 not in range 0 to 1000000000");
  EXPECT_EQ(Camera().refused("camera c.yaml").remedy, "camera --config c.yaml");
}

TEST(ReadCommandLine, an_option_of_a_command_is_never_called_unknown) {
  EXPECT_EQ(Camera().refused("camera --json").what, "no command was given: '--json' is an option of 'shoot', 'stop'");
  EXPECT_EQ(Camera().refused("camera shoot --run 3").what, "'--run' is an option of 'stop'");
}

TEST(ReadCommandLine, an_option_that_a_program_without_commands_needs_is_named) {
  CLI::App app{"", "daemon"};
  std::string file;
  app.add_option("--config", file, "the configuration")->required();
  const char* argv[] = {"daemon"};
  try {
    read_command_line(app, 1, argv);
    ADD_FAILURE();
  } catch (const Fatal& fatal) {
    EXPECT_EQ(fatal.error().what, "--config is required: the configuration");
    EXPECT_EQ(fatal.error().remedy, "daemon help");
  }
}

}  // namespace
}  // namespace peaknet
