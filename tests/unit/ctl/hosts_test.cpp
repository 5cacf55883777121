#include "ctl/hosts.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "ctl/options.hpp"

namespace peaknet::ctl {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> expanded(const std::string& list) { return *expand_hosts(list); }

TEST(Hosts, AListOfSlurmIsEachOfItsMachines) {
  EXPECT_THAT(expanded("node1"), ElementsAre("node1"));
  EXPECT_THAT(expanded("login,node[02-04,07].ib,node02.ib"),
              ElementsAre("login", "node02.ib", "node03.ib", "node04.ib", "node07.ib"));
  EXPECT_THAT(expanded("n[8-11]"), ElementsAre("n8", "n9", "n10", "n11"));
  EXPECT_THAT(expanded("n[098-101]"), ElementsAre("n098", "n099", "n100", "n101"));
  EXPECT_THAT(expanded("10.0.0.[1-2]"), ElementsAre("10.0.0.1", "10.0.0.2"));
}

TEST(Hosts, WhatIsNoListIsRefusedBeforeAnybodyIsAsked) {
  for (const char* bad : {"", ",", "a,,b", "n[", "n]", "n[]", "n[a-b]", "n[4-2]", "n[1-2", "n[1-99999]", "n[1-2][3-4]",
                          "a/b", "a b", "n[-1]", "n[1-]", "n[9999999999]", "-x[1,]"}) {
    const auto hosts = expand_hosts(bad);
    ASSERT_FALSE(hosts.ok()) << bad;
    EXPECT_EQ(hosts.error().id, "cli.usage") << bad;
  }
  EXPECT_EQ(expanded("n[1-4096]").size(), kMostHosts);
  EXPECT_FALSE(expand_hosts("n[1-4096],m").ok());
}

TEST(Hosts, EachListensAtAPlaceOfItsOwn) {
  EXPECT_EQ(endpoint_of(*endpoint_pattern("ipc:///run/{host}/ctl.{host}", ""), "n1"), "ipc:///run/n1/ctl.n1");
  EXPECT_EQ(endpoint_of(*endpoint_pattern("", "tcp://0.0.0.0:5555"), "n1"), "tcp://n1:5555");
  EXPECT_EQ(endpoint_pattern("", "ipc:///run/ctl").error().id, "cli.usage");
  EXPECT_EQ(endpoint_pattern("tcp://n1:5555", "tcp://0.0.0.0:5555").error().id, "cli.usage");
}

json reply(int committed, int oldest, double rate, bool settled) {
  return {{"state", "running"},
          {"frames",
           {{"committed", committed},
            {"written", committed - oldest},
            {"dropped", {{"oldest", oldest}}},
            {"settled", settled}}},
          {"rates", {{"committed_per_s", rate}}}};
}

TEST(Hosts, TotalsAreTheSumsOfThoseThatAnswer) {
  std::atomic<int> asked{0};
  const auto answers = ask_hosts({"a", "b", "c"}, [&](const std::string& host) -> Result<json> {
    ++asked;
    if (host == "b") return Error{"control.no-answer", "b is silent", "", ""};
    return host == "a" ? reply(100, 3, 1.5, true) : reply(20, 4, 2.0, false);
  });
  EXPECT_EQ(asked, 3);
  const json document = add_up(answers);
  EXPECT_EQ(document.at("asked"), 3);
  EXPECT_EQ(document.at("answered"), 2);
  EXPECT_EQ(document.at("total").at("frames").at("committed"), 120);
  EXPECT_EQ(document.at("total").at("frames").at("dropped").at("oldest"), 7);
  EXPECT_EQ(document.at("total").at("frames").at("settled"), false);
  EXPECT_DOUBLE_EQ(document.at("total").at("rates").at("committed_per_s").get<double>(), 3.5);
  EXPECT_EQ(document.at("hosts")[1].at("error").at("id"), "control.no-answer");
  EXPECT_EQ(document.at("hosts")[2].at("reply").at("frames").at("committed"), 20);
  const std::string text = render_hosts(document, 80);
  EXPECT_THAT(text, HasSubstr("2/3"));
  EXPECT_THAT(text, HasSubstr("b: b is silent [control.no-answer]"));
}

TEST(Hosts, AHundredAreAskedAtOnceAndKeepTheirOrder) {
  const auto answers = ask_hosts(expanded("n[001-100]"), [](const std::string& host) -> Result<json> {
    return json{{"name", host}};
  });
  ASSERT_EQ(answers.size(), 100U);
  EXPECT_EQ(answers[41].reply->at("name"), "n042");
}

TEST(Hosts, GoWithTheVerbsThatOnlyLook) {
  const auto parsed = [](std::vector<const char*> words) {
    words.insert(words.begin(), "peaknetctl");
    return parse_options(static_cast<int>(words.size()), words.data());
  };
  const auto stats = parsed({"-H", "node[1-2]", "--endpoint", "tcp://{host}:1", "stats"});
  ASSERT_TRUE(stats.ok()) << stats.error().text();
  EXPECT_EQ(stats->hosts, "node[1-2]");
  EXPECT_EQ(stats->endpoint, "tcp://{host}:1");
  EXPECT_TRUE(parsed({"status", "-H", "a"}).ok());
  EXPECT_EQ(parsed({"-H", "a", "stop"}).error().id, "cli.usage");
  EXPECT_EQ(parsed({"-H", "a", "stats", "--prom"}).error().id, "cli.usage");
  EXPECT_EQ(parsed({"--endpoint", "tcp://{host}:1", "stats"}).error().id, "cli.usage");
}

}  // namespace
}  // namespace peaknet::ctl
