#include "ctl/document_output.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "ctl/health.hpp"

namespace peaknet::ctl {
namespace {

using nlohmann::json;

TEST(Plain, every_value_has_a_line_with_its_path) {
  const json document = {{"state", "idle"},
                         {"frames", {{"committed", 12}, {"settled", true}}},
                         {"writers", json::array({{{"file", "a\tb\nc"}}, {{"file", nullptr}}})},
                         {"p50", 1.5}};
  EXPECT_EQ(
      plain_lines(document),
      "frames.committed\t12\nframes.settled\ttrue\np50\t1.5\nstate\tidle\nwriters.0.file\ta?b?c\nwriters.1.file\t\n");
}

std::string as_text(const json& document, std::size_t) {
  return "state " + document.at("state").get<std::string>() + "\n";
}

TEST(Show, one_document_has_four_forms) {
  const json document = {{"state", "FAILED"}};
  const auto shown = [&](const Options& options) {
    std::ostringstream out;
    show(options, document, as_text, out);
    return out.str();
  };
  Options options;
  EXPECT_EQ(shown(options), "state FAILED\n");
  options.terminal.colour = true;
  EXPECT_EQ(shown(options), "state \x1b[31mFAILED\x1b[0m\n");
  options.plain = true;
  EXPECT_EQ(shown(options), "state\tFAILED\n");
  options.json = true;
  EXPECT_EQ(shown(options), "{\n  \"state\": \"FAILED\"\n}\n");
}

TEST(Painted, a_word_and_not_a_piece_of_one) {
  EXPECT_EQ(painted("it is ready"), "it is \x1b[32mready\x1b[0m");
  EXPECT_EQ(painted("already made, ready-made, BADGE"), "already made, ready-made, BADGE");
}

json status_of(const std::string& health, json reasons = json::array()) {
  return {{"state", "running"}, {"instance", "mfx"}, {"health", {{"state", health}, {"reasons", std::move(reasons)}}}};
}

TEST(Health, the_exit_code_is_7_only_where_a_status_came) {
  std::ostringstream out;
  Options options;
  EXPECT_EQ(show_health(options, status_of("healthy"), ExitCode::ok, out), ExitCode::ok);
  EXPECT_EQ(out.str(), "healthy: mfx is running\n");
  const json reasons = json::array({{{"id", "health.disk"}, {"state", "degraded"}, {"what", "w"}, {"remedy", "r"}}});
  EXPECT_EQ(show_health(options, status_of("degraded", reasons), ExitCode::ok, out), ExitCode::degraded);
  EXPECT_EQ(show_health(options, status_of("failing", reasons), ExitCode::ok, out), ExitCode::degraded);
  EXPECT_EQ(show_health(options, status_of("failing", reasons), ExitCode::not_running, out), ExitCode::not_running);
}

TEST(Health, no_answer_and_a_status_of_another_version_are_not_called_healthy) {
  std::ostringstream out;
  Options options;
  EXPECT_EQ(show_health(options, status_of("healthy"), ExitCode::unknown, out), ExitCode::unknown);
  EXPECT_NE(out.str().find("failing"), std::string::npos);
  EXPECT_NE(out.str().find("[health.no-answer]"), std::string::npos);
  for (const json& other : {json(), json{{"state", 5}}, json{{"health", 5}}})
    EXPECT_EQ(show_health(options, other, ExitCode::ok, out), ExitCode::degraded) << other;
}

}  // namespace
}  // namespace peaknet::ctl
