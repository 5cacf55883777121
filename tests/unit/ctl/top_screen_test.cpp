#include "ctl/top_screen.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "base/columns.hpp"

namespace peaknet::ctl {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

json document(int devices, int producers) {
  json now = {{"instance", "mfx"}, {"state", "running"}, {"run", "0217"}, {"time", "2026-03-01T14:21:03.250Z"}};
  now["frames"] = {{"committed", 1'000'000'000'000}, {"settled", true}, {"imbalance", 0}};
  now["devices"] = now["producers"] = json::array();
  for (int i = 0; i < devices; ++i)
    now["devices"].push_back({{"name", "cuda:" + std::to_string(i)}, {"state", "ready"}});
  for (int i = 0; i < producers; ++i) now["producers"].push_back({{"label", "rank " + std::to_string(i)}});
  now["writers"] = {{{"label", "peaknet-writer"}, {"written", 3}, {"note", "mfx_chunk0002.cxi"}}};
  now["latency_us"]["total"] = {{"p50", 950}, {"count", 3}};
  now["status"] = {{"health", {{"state", "failing"}, {"reasons", {{{"what", "no writer"}, {"remedy", "start one"}}}}}}};
  now["errors"] = {{"errors", {{{"id", "pool.full"}, {"count", 3}, {"text", "no slot"}, {"from", "rank 1"}}}}};
  return now;
}

Terminal screen(unsigned columns, unsigned rows) {
  Terminal terminal;
  terminal.there = terminal.moves = true;
  terminal.columns = columns;
  terminal.rows = rows;
  return terminal;
}

// The lines without their control sequences.
std::vector<std::string> drawn(const json& now, const Terminal& terminal, TopView view = {}) {
  std::istringstream text(top_screen(now, now, 1, terminal, view));
  std::vector<std::string> lines;
  for (std::string line; std::getline(text, line);) {
    if (line.ends_with('\r')) line.pop_back();
    EXPECT_TRUE(line.ends_with("\x1b[K")) << line;
    lines.push_back(line.substr(0, line.size() - 3));
  }
  return lines;
}
std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

TEST(TopScreen, no_picture_is_larger_than_the_screen) {
  for (const auto& now : {document(0, 0), document(8, 3), document(16, 255), json(), json{{"devices", 5}}}) {
    for (const unsigned columns : {1U, 20U, 40U, 80U, 129U, 130U, 160U, 300U}) {
      for (const unsigned rows : {1U, 2U, 3U, 5U, 10U, 24U, 40U, 100U}) {
        for (const auto page : {TopPage::overview, TopPage::devices, TopPage::producers, TopPage::writers,
                                TopPage::errors, TopPage::help}) {
          const auto lines = drawn(now, screen(columns, rows), {page, 3});
          EXPECT_LE(lines.size(), rows);
          for (const std::string& line : lines) EXPECT_LE(columns_of(line), columns) << line;
        }
      }
    }
  }
}

TEST(TopScreen, twenty_four_lines_show_health_rates_queues_devices_writers_and_producers) {
  const auto lines = drawn(document(2, 2), screen(80, 24));
  ASSERT_EQ(lines.size(), 24U);
  EXPECT_THAT(lines.front(), AllOf(HasSubstr("mfx"), HasSubstr("RUNNING"), HasSubstr("run 0217")));
  EXPECT_THAT(joined(lines), AllOf(HasSubstr("FAILING: no writer"), HasSubstr("HIT%"), HasSubstr("q1"),
                                   HasSubstr("cuda:1"), HasSubstr("mfx_chunk0002.cxi"), HasSubstr("rank 1")));
  EXPECT_THAT(lines.back(), AllOf(HasSubstr("q quit"), HasSubstr("e errors (1)")));
}

TEST(TopScreen, a_tall_screen_has_the_latencies_and_a_wide_one_beside_the_queues) {
  EXPECT_THAT(joined(drawn(document(1, 1), screen(80, 24))), HasSubstr("latency  q1_wait"));
  EXPECT_THAT(joined(drawn(document(8, 20), screen(80, 24))), AllOf(Not(HasSubstr("LATENCY")), HasSubstr("more")));
  EXPECT_THAT(joined(drawn(document(8, 20), screen(80, 60))), AllOf(HasSubstr("LATENCY"), HasSubstr("rank 19")));
  bool beside = false;
  for (const auto& line : drawn(document(1, 1), screen(160, 24)))
    beside = beside || (line.starts_with("WHERE") && line.find("LATENCY") != std::string::npos);
  EXPECT_TRUE(beside);
}

TEST(TopScreen, each_key_has_its_page) {
  const auto page = [](const std::string& key) {
    return joined(drawn(document(2, 40), screen(80, 24), *pressed(key, {}, 24)));
  };
  EXPECT_THAT(page("e"), HasSubstr("pool.full  3 times"));
  EXPECT_THAT(page("d"), HasSubstr("BATCHES"));
  EXPECT_THAT(page("p"), AllOf(HasSubstr("rank 18"), HasSubstr("REFUSED")));
  EXPECT_THAT(page("w"), HasSubstr("FILTERED"));
  EXPECT_THAT(page("?"), HasSubstr("quit"));
  EXPECT_EQ(page("?"), page("h"));
  EXPECT_EQ(page("o"), page("x")) << "an unknown key changes nothing";
  EXPECT_FALSE(pressed("q", {}, 24));
  EXPECT_FALSE(pressed("\x03", {}, 24));
}

TEST(TopScreen, a_long_page_scrolls_to_its_end_and_no_further) {
  TopView view = *pressed("p", {}, 24);
  EXPECT_THAT(joined(drawn(document(1, 40), screen(80, 24), view)), Not(HasSubstr("rank 39")));
  view = *pressed("\x1b[6~", *pressed("\x1b[6~", view, 24), 24);
  const json now = document(1, 40);
  EXPECT_THAT(top_screen(now, now, 1, screen(80, 24), view), HasSubstr("rank 39"));
  EXPECT_LT(view.scroll, 40U) << "the way back begins at the end";
  view = *pressed("\x1b[5~", *pressed("\x1b[A", view, 24), 24);
  EXPECT_EQ(view.scroll, 0U);
  EXPECT_EQ(pressed("\x1b[A", view, 24)->scroll, 0U);
}

TEST(TopScreen, a_terminal_without_utf8_gets_question_marks) {
  json now = document(1, 1);
  now["producers"][0]["label"] = "d\xc3\xa9tecteur";
  Terminal terminal = screen(80, 24);
  EXPECT_THAT(joined(drawn(now, terminal)), HasSubstr("d\xc3\xa9tecteur"));
  terminal.utf8 = false;
  EXPECT_THAT(joined(drawn(now, terminal)), HasSubstr("d?tecteur"));
}

}  // namespace
}  // namespace peaknet::ctl
