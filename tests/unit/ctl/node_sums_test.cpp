#include "ctl/files/node_sums.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <thread>

#include "ctl/files/nodes_sampler.hpp"
#include "tests/support/child.hpp"

namespace peaknet::ctl {
namespace {

using nlohmann::json;
using testing::HasSubstr;

constexpr std::int64_t kNow = 1'800'000'000;

PastRow past(std::int64_t at, std::int64_t run, std::int64_t committed) {
  PastRow row{at, 1000, run};
  row[3] = committed;
  return row;
}

NodeAnswer answer(const std::string& host, int frames, const std::string& health = "healthy") {
  auto said = std::make_shared<NodeSaid>();
  json reasons = json::array();
  if (health != "healthy") reasons.push_back({{"id", "health.x"}, {"state", health}, {"what", "w"}, {"remedy", "r"}});
  const json counts = {{"committed", frames},        {"written", frames / 4},    {"filtered", frames - frames / 4},
                       {"dropped", {{"oldest", 2}}}, {"failed", {{"model", 1}}}, {"refused", {{"pool_full", 4}}}};
  const json rates = {{"committed_per_s", 0.5 * frames}, {"file_bytes_per_s", 1e6}};
  said->status = {{"health", {{"state", health}, {"reasons", reasons}}},
                  {"state", "running"},
                  {"rates", rates},
                  {"frames", counts},
                  {"hit_rate", 0.25},
                  {"run", {{"id", "7"}, {"ordinal", 3}, {"started", "2026-12-01T00:00:00.000Z"}, {"ended", nullptr}}},
                  {"writers", json::array({{{"output_free_bytes", 5e9}}})}};
  said->stats = {{"frames", counts},
                 {"lifetime", counts},
                 {"rates", rates},
                 {"state", "running"},
                 {"queues", {{"q1", 3}, {"q2", 1}}},
                 {"pool", {{"slots", 16}, {"shape", {1, 8, 8}}}},
                 {"writers", json::array({{{"number", 5}}})},
                 {"latency_us", {{"total", {{"p50", frames}, {"p99", frames}, {"count", 9}}}}}};
  said->errors = {{"errors", json::array({{{"id", host + ".e"}, {"last", "2026-12-01T00:00:0" + host + "Z"}}})}};
  said->seconds = {{kNow - 1, past(kNow - 1, 3, frames)}, {kNow - 2, past(kNow - 2, 2, 1)}};
  said->peaks_per_frame = {{"from", {0, 1}}, {"frames", {frames, 1}}};
  return {host, said, std::nullopt};
}
NodeAnswer silent(const std::string& host) {
  return {host, answer(host, 1000).last, Error{"control.no-answer", "nobody answered in 2 s", "nothing", "ping it"}};
}

TEST(NodeSums, are_of_those_that_answer_and_name_the_others) {
  const std::vector<NodeAnswer> nodes = {answer("1", 100), silent("2"), answer("3", 40), {"4"}};
  const json stats = stats_of_nodes(nodes);
  EXPECT_EQ(stats["frames"]["committed"], 140);
  EXPECT_EQ(stats["frames"]["dropped"]["oldest"], 4);
  EXPECT_EQ(stats["rates"]["committed_per_s"], 70.0);
  EXPECT_EQ(stats["hit_rate"], 35 / 140.0);
  EXPECT_EQ(stats["pool"]["slots"], 32);
  EXPECT_EQ(stats["latency_us"]["total"]["p99"], 100) << "that of the slowest";
  EXPECT_EQ(stats["writers"][1]["host"], "3");
  const json health = health_of_nodes(nodes);
  EXPECT_EQ(health["state"], "failing");
  EXPECT_EQ(health["reasons"].size(), 1U) << "who was not asked yet is not yet silent";
  EXPECT_EQ(health["reasons"][0]["what"], "2: does not answer: nobody answered in 2 s");
  EXPECT_EQ(errors_of_nodes(nodes)["errors"][0]["id"], "3.e");
  EXPECT_EQ(run_of_nodes(nodes)["id"], "7");
  EXPECT_TRUE(stats_of_nodes({silent("2")}).is_null());
  EXPECT_TRUE(run_of_nodes({silent("2")}).is_null());
  EXPECT_TRUE(disk_of_nodes({silent("2")})["left_s"].is_null());
}

TEST(NodeSums, have_the_worst_first_and_no_zero_for_what_is_not_known) {
  const json rows = node_rows({answer("1", 100), answer("2", 10, "degraded"), silent("3"), {"4"}});
  std::string order;
  for (const json& row : rows) order += row["host"].get<std::string>();
  EXPECT_EQ(order, "3214");
  for (const char* key : {"state", "rates", "hit_rate", "share", "lost", "free_bytes"}) {
    EXPECT_TRUE(rows[0][key].is_null()) << key;
    EXPECT_TRUE(rows[3][key].is_null()) << key;
  }
  EXPECT_EQ(rows[1]["reason"], "w");
  EXPECT_EQ(rows[2]["lost"], 7);
  EXPECT_EQ(rows[2]["share"], 0.25);
}

TEST(NodeSums, a_file_system_that_nodes_share_is_filled_by_all_of_them) {
  std::vector<NodeAnswer> nodes = {answer("1", 1), answer("2", 1)};
  EXPECT_EQ(disk_of_nodes(nodes)["left_s"], 2500.0);
  auto other = std::make_shared<NodeSaid>(*nodes[1].last);
  other->status["writers"][0]["output_free_bytes"] = 1e9;
  nodes[1].last = other;
  EXPECT_EQ(disk_of_nodes(nodes)["left_s"], 1000.0) << "of its own disk";
  other = std::make_shared<NodeSaid>(*other);
  other->status["rates"]["file_bytes_per_s"] = nullptr;
  nodes[1].last = other;
  EXPECT_EQ(disk_of_nodes(nodes)["left_s"], 5000.0);
}

TEST(NodeSums, the_past_of_a_node_that_died_stays) {
  const json history = history_of_nodes({answer("1", 100), silent("2")}, kNow);
  ASSERT_EQ(history["seconds"].size(), 2U);
  EXPECT_EQ(history["seconds"][1][3], 1100);
  EXPECT_EQ(history["seconds"][0][2], 0) << "of another run";
  EXPECT_EQ(history["seconds"][1][2], 1);
  EXPECT_EQ(history["peaks_per_frame"]["frames"][0], 1100);
  EXPECT_EQ(history_of_nodes({answer("1", 100)}, kNow, kNow - 1)["seconds"].size(), 1U);
}

TEST(NodeSums, whatever_a_node_says_is_no_reason_to_fall) {
  auto odd = std::make_shared<NodeSaid>();
  for (const json& value : {json(), json("text"), json(3), json::array({1, "x", nullptr}), json{{"rates", "x"}}}) {
    odd->status = odd->stats = odd->errors = odd->peaks_per_frame = value;
    const std::vector<NodeAnswer> nodes = {answer("1", 100), {"2", odd, std::nullopt}};
    NodesSampler sampler(10);
    EXPECT_THAT(*sampler.look(nodes).event, HasSubstr("2 of 2 nodes"));
  }
}

TEST(NodeSums, of_nobody_are_said_to_be) {
  NodesSampler sampler(std::nullopt);
  for (const std::vector<NodeAnswer>& nodes : {std::vector<NodeAnswer>{{"1"}}, {silent("1")}}) {
    const PageSample sample = sampler.look(nodes);
    const json event = json::parse(sample.event->substr(6));
    EXPECT_EQ(event["instance"], "0 of 1 nodes");
    EXPECT_FALSE(event.contains("rates"));
    EXPECT_EQ(json::parse(*sample.documents.at("stats"))["answered"], 0);
  }
}

TEST(NodeWatch, a_node_that_hangs_costs_the_others_nothing) {
  std::atomic<bool> free = false;
  std::atomic<int> asked = 0;
  NodeWatch watch({"good", "hangs", "dead"},
                  [&](const std::string& host, const std::string& method, const json& params) -> Result<json> {
                    if (host == "dead") return Error{"control.not-running", "nobody", "", ""};
                    while (host == "hangs" && !free) std::this_thread::yield();
                    if (host == "good" && method == "history") ++asked;
                    if (method != "history") return json{{"what", method}};
                    json document = {{"now", kNow}, {"seconds", json::array({past(kNow - 1, 1, 5), "odd"})}};
                    if (!params.contains("seconds")) document["minutes"] = json::array({past(kNow - 60, 1, 7)});
                    return document;
                  });
  std::jthread following([&](const std::stop_token& stop) { watch.follow(stop); });
  EXPECT_TRUE(test::eventually([&] { return asked >= 2; }));
  const auto answers = watch.answers();
  free = true;
  ASSERT_EQ(answers.size(), 3U);
  ASSERT_NE(answers[0].said(), nullptr);
  EXPECT_EQ(answers[0].said()->status["what"], "status");
  EXPECT_EQ(answers[0].said()->seconds.size(), 1U);
  EXPECT_EQ(answers[0].said()->minutes.at(kNow - 60)[3], 7) << "kept, though the second look did not ask for them";
  EXPECT_EQ(answers[1].said(), nullptr);
  EXPECT_FALSE(answers[1].silent);
  ASSERT_TRUE(answers[2].silent);
  EXPECT_EQ(answers[2].silent->id, "control.not-running");
}

}  // namespace
}  // namespace peaknet::ctl
