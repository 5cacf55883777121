// What `rpc.discover` says of each answer is what peaknetd really answers.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <set>

#include "control/client.hpp"
#include "tests/integration/system.hpp"
#include "tests/support/instance.hpp"

namespace peaknet::test {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

// The part of JSON Schema that rpc.discover uses, strictly. Returns what does not fit, by its place.
class Validator {
 public:
  explicit Validator(json types) : types_(std::move(types)) {}
  std::vector<std::string> faults(const json& value, const json& schema, const std::string& at = "") const {
    if (const auto ref = schema.find("$ref"); ref != schema.end()) {
      const auto name = ref->get<std::string>().substr(std::string("#/components/schemas/").size());
      if (!types_.contains(name)) return {at + ": there is no type " + name};
      return faults(value, types_.at(name), at);
    }
    if (const auto any = schema.find("anyOf"); any != schema.end()) {
      std::vector<std::string> all;
      for (const json& one : *any) {
        const auto these = faults(value, one, at);
        if (these.empty()) return {};
        all.insert(all.end(), these.begin(), these.end());
      }
      return all;
    }
    const std::string type = schema.at("type");
    const bool fits = (type == "object" && value.is_object()) || (type == "array" && value.is_array()) ||
                      (type == "string" && value.is_string()) || (type == "integer" && value.is_number_integer()) ||
                      (type == "number" && value.is_number()) || (type == "boolean" && value.is_boolean()) ||
                      (type == "null" && value.is_null());
    if (!fits) return {at + " is no " + type + ": " + value.dump().substr(0, 60)};
    std::vector<std::string> all;
    const auto add = [&](std::vector<std::string> more) { all.insert(all.end(), more.begin(), more.end()); };
    if (type == "array") {
      for (const json& item : value) add(faults(item, schema.at("items"), at + "[]"));
    }
    if (type == "object" && schema.contains("properties")) {
      for (const json& name : schema.at("required")) {
        if (!value.contains(name)) all.push_back(at + "." + name.get<std::string>() + " is missing");
      }
      for (const auto& [name, member] : value.items()) {
        if (!schema.at("properties").contains(name)) {
          all.push_back(at + "." + name + " is not said to be there");
        } else {
          add(faults(member, schema.at("properties").at(name), at + "." + name));
        }
      }
    }
    return all;
  }

 private:
  json types_;
};

TEST(Discover, EveryAnswerFitsWhatIsSaidOfIt) {
  System system({.model = "builtin:threshold=150"});
  system.start_daemon();
  const auto client = must(control::Client::connect("ipc://" + (system.folder() / "ctl").string()));
  const auto ask = [&](const std::string& method, const json& params = json::object()) {
    auto reply = client->call(method, params, 60s);
    if (!reply) throw std::runtime_error(method + ": " + reply.error().text());
    return *reply;
  };
  const json discovered = ask("rpc.discover");
  const Validator validator(discovered.at("components").at("schemas"));
  std::map<std::string, json> results;
  for (const json& method : discovered.at("methods")) results[method.at("name")] = method.at("result").at("schema");

  std::set<std::string> tried;
  const auto expect_fit = [&](const std::string& method, const json& params = json::object()) {
    tried.insert(method);
    const json answer = ask(method, params);
    EXPECT_EQ(validator.faults(answer, results.at(method)), std::vector<std::string>{}) << method << ": " << answer;
  };
  expect_fit("stats");  // nobody is attached, nothing has happened
  expect_fit("status");
  system.start_writer();
  auto producer = system.launch("peaknet-feed", {"simulate", "--frames", "2000", "--rate", "500"});
  ASSERT_TRUE(eventually([&] {
    const json now = ask("stats");
    return !now.at("producers").empty() && !now.at("devices").at(0).at("batch_sizes").empty();
  }));
  for (const char* method : {"rpc.discover", "version", "stats", "status", "history", "errors", "config"})
    expect_fit(method);
  expect_fit("history", {{"seconds", 8}});
  expect_fit("rebuffer", {{"depth", 5}});
  expect_fit("rebuffer", {{"depth", 4}, {"dry_run", true}});
  expect_fit("rebuffer", {{"slots", 30}});
  expect_fit("rebuffer", {{"slots", 31}, {"dry_run", true}});
  expect_fit("reload");
  std::ofstream(system.config(), std::ios::app) << "log: {level: debug}\nautostart: false\n";
  const json reloaded = ask("reload");
  EXPECT_FALSE(reloaded.at("changed").empty());
  EXPECT_FALSE(reloaded.at("restart").empty());
  EXPECT_EQ(validator.faults(reloaded, results.at("reload")), std::vector<std::string>{});
  expect_fit("model.load", {{"path", "builtin:threshold=200"}});
  expect_fit("stop");
  expect_fit("status");  // with a run that has ended
  expect_fit("start");
  for (const auto& [method, result] : results) EXPECT_TRUE(tried.contains(method)) << method << " was not tried";
}

}  // namespace
}  // namespace peaknet::test
