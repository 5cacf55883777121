#include "ctl/files/live_page.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <regex>

#include "ctl/files/openapi.hpp"
#include "ctl/files/pipeline.hpp"
#include "tests/support/instance.hpp"

namespace peaknet::ctl {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

std::string header(const HttpResponse& response, const std::string& name) {
  for (const auto& [key, value] : response.headers) {
    if (key == name) return value;
  }
  return "";
}
std::string body(const HttpResponse& response) { return response.body ? *response.body : ""; }

// The answers about an instance, as of one look.
struct Served {
  explicit Served(const std::string& instance, const std::string& token = "")
      : reel(instance, {}), sums(instance, {}), sampler(instance, 10), answers(reel, sums, token) {
    look();
  }
  void look() { answers.set(sampler.look(reel.hits(), sums.about())); }
  HttpResponse get(const std::string& path, const std::string& query = "",
                   const std::string& authorization = "") const {
    return answers.answer({path, query, authorization});
  }
  HitReel reel;
  SumPictures sums;
  PageSampler sampler;
  PageAnswers answers;
};

TEST(LivePage, is_one_document_whose_own_script_alone_may_run) {
  const test::TestInstance instance;
  const Served served(instance.name());
  const HttpResponse page = served.get("/");
  EXPECT_EQ(page.type, "text/html; charset=utf-8");
  const std::string policy = header(page, "Content-Security-Policy");
  std::smatch nonce;
  ASSERT_TRUE(std::regex_search(policy, nonce, std::regex("script-src 'nonce-([0-9a-f]{32})'"))) << policy;
  EXPECT_THAT(policy, HasSubstr("default-src 'none'"));
  EXPECT_THAT(body(page), HasSubstr("<script nonce=\"" + nonce[1].str() + "\">"));
  EXPECT_THAT(body(page), Not(HasSubstr("PAGE_NONCE")));
  EXPECT_THAT(body(page), Not(HasSubstr("http://")));
  EXPECT_THAT(body(page), Not(HasSubstr("https://")));
  EXPECT_NE(header(served.get("/"), "Content-Security-Policy"), policy) << "the next page has another one";
}

TEST(LivePage, serves_its_own_paths_alone) {
  const test::TestInstance instance;
  const Served served(instance.name());
  for (const char* path :
       {"/etc/passwd", "/../x", "//", "/api/v1/", "/api/v1/start", "/api/v1/hits/1.png", "/api/v1/hits/.png",
        "/api/v1/hits/-1.png", "/api/v1/hits/1x.png", "/api/v1/hits/latest.png", "/api/v1/sums/powder/latest.png",
        "/api/v1/sums/powder/0.png", "/api/v1/sums/.png", "/api/v1/sums/x/latest.png", "/Events", ""}) {
    const HttpResponse response = served.get(path);
    EXPECT_EQ(response.status, 404) << path;
    EXPECT_EQ(json::parse(body(response))["schema"], "peaknet.error/1") << path;
  }
  EXPECT_EQ(served.get("/api/v1/peakogram").status, 503) << "nothing has been put down yet";
  EXPECT_TRUE(served.get("/events").stream);
  EXPECT_THAT(body(served.get("/events")), testing::StartsWith("data: {"));
  EXPECT_THAT(body(served.get("/metrics")), HasSubstr("peaknet_frames_total{"));
}

TEST(LivePage, every_path_of_its_openapi_document_is_answered) {
  const test::TestInstance instance;
  const Served served(instance.name());
  const json described = json::parse(body(served.get("/api/v1/openapi.json")));
  EXPECT_EQ(described, openapi_document());
  EXPECT_EQ(described["paths"].size(), kApiDocuments.size() + 8);
  for (const ApiDocument& document : kApiDocuments) {
    const std::string path = std::string("/api/v1/") + document.name;
    ASSERT_TRUE(described["paths"].contains(path)) << path;
    const HttpResponse response = served.get(path);
    EXPECT_EQ(response.status, 200) << path;
    EXPECT_EQ(json::parse(body(response))["schema"], std::string("peaknet.") + document.name + "/1");
    EXPECT_EQ(header(response, "Access-Control-Allow-Origin"), "");
    EXPECT_EQ(header(response, "Cache-Control"), "no-store");
  }
}

TEST(LivePage, a_secret_is_asked_for_wherever_there_is_one) {
  const test::TestInstance instance;
  const Served served(instance.name(), "0123456789abcdef");
  for (const char* path : {"/", "/events", "/metrics", "/api/v1/status", "/nowhere"}) {
    EXPECT_EQ(served.get(path).status, 401) << path;
    EXPECT_EQ(served.get(path, "token=0123456789abcdeg").status, 401) << path;
    EXPECT_EQ(served.get(path, "token=0123456789abcde").status, 401) << path;
    EXPECT_EQ(served.get(path, "token=0123456789abcdef0").status, 401) << path;
    EXPECT_EQ(served.get(path, "x=1", "Basic 0123456789abcdef").status, 401) << path;
    EXPECT_FALSE(served.get(path).stream);
  }
  EXPECT_EQ(served.get("/", "token=0123456789abcdef").status, 200);
  EXPECT_EQ(served.get("/api/v1/status", "", "Bearer 0123456789abcdef").status, 200);
}

TEST(LivePage, an_instance_that_is_not_there_is_said_and_seen_when_it_comes) {
  const std::string name = test::TestInstance::unique_name();
  Served served(name);
  EXPECT_EQ(served.get("/api/v1/status").status, 503);
  EXPECT_EQ(json::parse(body(served.get("/api/v1/status")))["error"]["id"], "shm.absent");
  EXPECT_THAT(body(served.get("/events")), HasSubstr("shm.absent"));
  EXPECT_THAT(body(served.get("/metrics")), HasSubstr("state=\"absent\"} 1"));
  EXPECT_EQ(served.get("/").status, 200);
}

TEST(LivePage, a_dead_daemon_is_failing_with_what_to_do) {
  test::TestInstance instance;
  instance.layout().daemon.state.store(shm::DaemonState::running);
  instance.drop_owner();
  const Served served(instance.name());
  const std::string event = body(served.get("/events"));
  const json said = json::parse(event.substr(6));
  EXPECT_EQ(said["health"]["state"], "failing");
  EXPECT_EQ(said["health"]["reasons"][0]["id"], "health.absent");
  EXPECT_THAT(said["health"]["reasons"][0]["remedy"].get<std::string>(), HasSubstr("journalctl"));
}

json stats(double q1, double q2, const char* state = "running") {
  return {{"state", state},
          {"pool", {{"slots", 100}}},
          {"queues", {{"q1", q1}, {"devices", 4}, {"q2", q2}, {"writers", 2}}},
          {"lifetime", {{"committed", 10 * q1}, {"inferred", 0}, {"written", 0}, {"filtered", 0}}},
          {"devices", json::array({{{"name", "cpu"}, {"busy_ns", 1'000'000'000}}})},
          {"producers", json::array({1, 2})},
          {"writers", json::array({1})},
          {"latency_us", {{"q1_wait", {{"count", 5}, {"p50", 100}, {"p99", 900}}}}}};
}
std::string slowest(const json& now) {
  std::string names;
  for (const json& stage : pipeline_of(json(), now, 0)) {
    if (stage["slowest"] == true) names += stage["stage"].get<std::string>();
  }
  return names;
}

TEST(Pipeline, the_slowest_stage_is_where_the_frames_wait) {
  EXPECT_EQ(slowest(stats(10, 10)), "source") << "the pool is half free";
  EXPECT_EQ(slowest(stats(70, 10)), "devices");
  EXPECT_EQ(slowest(stats(10, 70)), "writer");
  EXPECT_EQ(slowest(stats(90, 0, "idle")), "") << "no run";
  EXPECT_EQ(slowest(json::object()), "") << "of another version";
}

TEST(Pipeline, what_is_not_known_is_null_and_what_is_known_is_of_the_time_between) {
  json now = stats(20, 0);
  const json first = pipeline_of(json(), now, 0);
  EXPECT_TRUE(first[0]["per_s"].is_null());
  EXPECT_TRUE(first[2]["busy"].is_null());
  EXPECT_TRUE(first[2]["p50_us"].is_null());
  EXPECT_EQ(first[1]["p99_us"], 900);
  EXPECT_EQ(first[1]["share"], 0.2);
  const json before = now;
  now["lifetime"]["committed"] = 240;
  now["devices"][0]["busy_ns"] = 2'000'000'000;
  const json second = pipeline_of(before, now, 2);
  EXPECT_EQ(second[0]["per_s"], 20);
  EXPECT_EQ(second[2]["busy"], 0.5);
}

}  // namespace
}  // namespace peaknet::ctl
