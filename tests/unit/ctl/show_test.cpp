#include "ctl/show.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "ctl/health.hpp"
#include "ctl/top.hpp"

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

std::string as_text(const json& document) { return "state " + document.at("state").get<std::string>() + "\n"; }

TEST(Show, one_document_has_four_forms) {
  const json document = {{"state", "FAILED"}};
  const auto shown = [&](const Options& options) {
    std::ostringstream out;
    show(options, document, as_text, out);
    return out.str();
  };
  Options options;
  EXPECT_EQ(shown(options), "state FAILED\n");
  options.colour = true;
  EXPECT_EQ(shown(options), "state \x1b[31mFAILED\x1b[0m\n");
  options.plain = true;
  EXPECT_EQ(shown(options), "state\tFAILED\n");
  options.json = true;
  EXPECT_EQ(shown(options), "{\n  \"state\": \"FAILED\"\n}\n");
}

json healthy() {
  return {{"state", "running"},
          {"instance", "mfx"},
          {"failure", nullptr},
          {"daemon", {{"heartbeat_age_s", 0.1}}},
          {"devices", json::array({{{"name", "cpu"}, {"state", "ready"}}})},
          {"writers", json::array({{{"label", "w"}}})},
          {"balance", "ok"}};
}

TEST(Health, a_system_at_work_is_well) { EXPECT_TRUE(problems_in(healthy()).empty()); }

TEST(Health, each_thing_that_is_wrong_is_named_with_a_remedy) {
  const auto found = [](const char* key, json value) {
    json status = healthy();
    status[key] = std::move(value);
    const auto problems = problems_in(status);
    if (problems.size() != 1 || problems[0].remedy.empty()) return std::to_string(problems.size()) + " problems";
    return problems[0].id;
  };
  EXPECT_EQ(found("state", "failed"), "health.failed");
  EXPECT_EQ(found("failure", "the drain took too long"), "health.last-failure");
  EXPECT_EQ(found("daemon", {{"heartbeat_age_s", 30}}), "health.heartbeat");
  EXPECT_EQ(found("devices", json::array({{{"name", "cuda:0"}, {"state", "lost"}, {"error", "gone"}}})),
            "health.device-lost");
  EXPECT_EQ(found("balance", "broken"), "health.imbalance");
  EXPECT_EQ(found("writers", json::array()), "health.no-writer");
  EXPECT_EQ(found("refusals", json::array({{{"id", "npz.damaged"}, {"count", 3U}}})), "health.feed");
  EXPECT_EQ(problems_in(json()).size(), 1U);
  EXPECT_EQ(problems_in({{"state", 5}, {"devices", 3}}).size(),
            0U);  // of another version: nothing is known to be wrong
}

TEST(Health, the_exit_code_is_7_only_where_a_status_came) {
  std::ostringstream out;
  Options options;
  EXPECT_EQ(show_health(options, healthy(), ExitCode::ok, out), ExitCode::ok);
  json sick = healthy();
  sick["balance"] = "broken";
  EXPECT_EQ(show_health(options, sick, ExitCode::ok, out), ExitCode::degraded);
  EXPECT_EQ(show_health(options, sick, ExitCode::not_running, out), ExitCode::not_running);
  EXPECT_EQ(out.str().substr(0, 21), "all is well: running\n");
}

TEST(Top, the_picture_fits_the_screen) {
  json now = {{"instance", std::string(300, 'i')}, {"state", "running"}, {"devices", json::array()}};
  for (int i = 0; i < 50; ++i) now["devices"].push_back({{"name", "d" + std::to_string(i)}});
  for (const unsigned rows : {1U, 10U, 24U}) {
    std::istringstream lines(top_screen(now, now, 1, 40, rows, false));
    unsigned count = 0;
    for (std::string line; std::getline(lines, line); ++count) {
      if (line.ends_with('\r')) line.pop_back();
      EXPECT_LE(line.size(), 40 + std::string("\x1b[K").size());
    }
    EXPECT_EQ(count, rows);
  }
}

}  // namespace
}  // namespace peaknet::ctl
