#include "control/protocol.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "control/methods.hpp"

namespace peaknet::control {
namespace {

using nlohmann::json;
using testing::HasSubstr;

struct Read {
  json id;
  Result<Call> call;
};
Read read(const std::string& text) {
  json id = "untouched";
  auto call = read_request(text, id);
  return {std::move(id), std::move(call)};
}

TEST(ReadRequest, a_proper_request_is_taken_apart) {
  const Read r = read(R"({"jsonrpc":"2.0","id":7,"method":"start","params":{"run":"0217"}})");
  ASSERT_TRUE(r.call) << r.call.error().text();
  EXPECT_EQ(r.id, 7);
  EXPECT_EQ(r.call->method, "start");
  EXPECT_EQ(r.call->params, (json{{"run", "0217"}}));
}

TEST(ReadRequest, params_may_be_left_out_and_the_id_may_be_a_text) {
  const Read r = read(R"({"jsonrpc":"2.0","id":"a","method":"status"})");
  ASSERT_TRUE(r.call);
  EXPECT_EQ(r.id, "a");
  EXPECT_EQ(r.call->params, json::object());
}

struct Nonsense {
  std::string text, id;
  json reply_id;
};
TEST(ReadRequest, nonsense_is_named_and_answered_with_the_id_if_there_is_one) {
  const std::vector<Nonsense> all = {
      {"", "control.parse-error", nullptr},
      {"{", "control.parse-error", nullptr},
      {"\xff\xfe", "control.parse-error", nullptr},
      {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xc3\x28\"}", "control.parse-error", nullptr},
      {std::string(3, '\0'), "control.parse-error", nullptr},
      {"{} {}", "control.parse-error", nullptr},
      {"17", "control.invalid-request", nullptr},
      {"null", "control.invalid-request", nullptr},
      {"\"status\"", "control.invalid-request", nullptr},
      {"{}", "control.invalid-request", nullptr},
      {R"([{"jsonrpc":"2.0","id":1,"method":"status"}])", "control.invalid-request", nullptr},
      {R"({"id":1,"method":"status"})", "control.invalid-request", 1},
      {R"({"jsonrpc":"1.0","id":1,"method":"status"})", "control.invalid-request", 1},
      {R"({"jsonrpc":2.0,"id":1,"method":"status"})", "control.invalid-request", 1},
      {R"({"jsonrpc":"2.0","method":"stop"})", "control.invalid-request", nullptr},
      {R"({"jsonrpc":"2.0","id":null,"method":"stop"})", "control.invalid-request", nullptr},
      {R"({"jsonrpc":"2.0","id":[1],"method":"stop"})", "control.invalid-request", nullptr},
      {R"({"jsonrpc":"2.0","id":{},"method":"stop"})", "control.invalid-request", nullptr},
      {R"({"jsonrpc":"2.0","id":1})", "control.invalid-request", 1},
      {R"({"jsonrpc":"2.0","id":1,"method":12})", "control.invalid-request", 1},
      {R"({"jsonrpc":"2.0","id":1,"method":"explode"})", "control.unknown-method", 1},
      {R"({"jsonrpc":"2.0","id":1,"method":""})", "control.unknown-method", 1},
      {R"({"jsonrpc":"2.0","id":1,"method":"start","params":[]})", "control.bad-params", 1},
      {R"({"jsonrpc":"2.0","id":1,"method":"start","params":null})", "control.bad-params", 1},
      {R"({"jsonrpc":"2.0","id":1,"method":"start","params":{"run":""}})", "control.bad-params", 1},
      {R"({"jsonrpc":"2.0","id":1,"method":"start","params":{"run":217}})", "control.bad-params", 1},
      {R"({"jsonrpc":"2.0","id":1,"method":"start","params":{"rn":"a"}})", "control.bad-params", 1},
      {R"({"jsonrpc":"2.0","id":1,"method":"rebuffer","params":{"shape":[1,2]}})", "control.bad-params", 1},
      {R"({"jsonrpc":"2.0","id":1,"method":"rebuffer","params":{"shape":[1,2,0]}})", "control.bad-params", 1},
      {R"({"jsonrpc":"2.0","id":1,"method":"rebuffer","params":{"shape":[1,2,"3"]}})", "control.bad-params", 1},
      {R"({"jsonrpc":"2.0","id":1,"method":"rebuffer","params":{"shape":[1,2,1e18]}})", "control.bad-params", 1},
      {R"({"jsonrpc":"2.0","id":1,"method":"rebuffer","params":{"slots":1}})", "control.bad-params", 1},
      {R"({"jsonrpc":"2.0","id":1,"method":"rebuffer","params":{"depth":9}})", "control.bad-params", 1},
      {R"({"jsonrpc":"2.0","id":1,"method":"rebuffer","params":{"depth":2.5}})", "control.bad-params", 1},
      {R"({"jsonrpc":"2.0","id":1,"method":"rebuffer","params":{"depth":true}})", "control.bad-params", 1},
      {R"({"jsonrpc":"2.0","id":1,"method":"stop","params":{"timeout_s":-1}})", "control.bad-params", 1},
      {R"({"jsonrpc":"2.0","id":1,"method":"stop","params":{"timeout_s":1e300}})", "control.bad-params", 1},
      {R"({"jsonrpc":"2.0","id":1,"method":"status","params":{"x":1}})", "control.bad-params", 1},
      {std::string(60000, '['), "control.invalid-request", nullptr},
      {R"({"jsonrpc":"2.0","id":)" + std::string(40, '[') + std::string(40, ']') + "}", "control.invalid-request",
       nullptr},
  };
  for (const Nonsense& nonsense : all) {
    const Read r = read(nonsense.text);
    ASSERT_FALSE(r.call) << nonsense.text;
    EXPECT_EQ(r.call.error().id, nonsense.id) << nonsense.text;
    EXPECT_EQ(r.id, nonsense.reply_id) << nonsense.text;
    EXPECT_EQ(r.call.error().untouched, "nothing was done");
    EXPECT_FALSE(r.call.error().remedy.empty()) << nonsense.text;
  }
}

TEST(ReadRequest, brackets_in_texts_do_not_count_as_nesting) {
  const Read r = read(R"({"jsonrpc":"2.0","id":")" + std::string(100, '[') + R"(\"[[","method":"status"})");
  EXPECT_TRUE(r.call) << r.call.error().text();
}

TEST(ReadRequest, misspelt_names_get_the_nearest) {
  EXPECT_THAT(read(R"({"jsonrpc":"2.0","id":1,"method":"strat"})").call.error().what,
              HasSubstr("(did you mean 'start'?)"));
  EXPECT_THAT(read(R"({"jsonrpc":"2.0","id":1,"method":"rebuffer","params":{"dept":3}})").call.error().what,
              HasSubstr("(did you mean 'depth'?)"));
  const std::string huge(50000, 'x');
  EXPECT_LT(read(R"({"jsonrpc":"2.0","id":1,"method":")" + huge + "\"}").call.error().what.size(), 200U);
}

TEST(ReadRequest, random_bytes_never_do_anything_but_get_an_error_or_a_call) {
  std::mt19937 random(7);
  const std::string good = R"({"jsonrpc":"2.0","id":1,"method":"rebuffer","params":{"depth":3}})";
  int taken = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string text = good;
    const unsigned changes = 1 + random() % 4;
    for (unsigned i = 0; i < changes; ++i) text[random() % text.size()] = static_cast<char>(random());
    if (random() % 4 == 0) text.resize(random() % text.size());
    taken += read(text).call.ok() ? 1 : 0;
  }
  EXPECT_GT(taken, 0);
}

TEST(Reply, an_error_goes_over_the_wire_as_it_is) {
  const Error sent{"pool.no-space", "needs 256 GiB, free are 63 GiB", "nothing was changed", "fewer slots"};
  json id;
  const auto got = read_reply(write_reply(12, sent), id);
  ASSERT_FALSE(got);
  EXPECT_EQ(id, 12);
  EXPECT_EQ(got.error().text(), sent.text());
  const json raw = json::parse(write_reply(12, sent));
  EXPECT_EQ(raw["error"]["code"], -32000);
  EXPECT_EQ(raw["error"]["message"], sent.what);
  EXPECT_EQ(raw["error"]["data"]["remedy"], sent.remedy);
}

TEST(Reply, the_askers_faults_have_the_numbers_of_json_rpc) {
  const std::vector<std::pair<std::string, int>> codes = {
      {"control.parse-error", -32700}, {"control.invalid-request", -32600}, {"control.unknown-method", -32601},
      {"control.bad-params", -32602},  {"control.failed", -32603},          {"control.read-only", -32000}};
  for (const auto& [error, code] : codes) {
    EXPECT_EQ(json::parse(write_reply(nullptr, Error{error, "", "", ""}))["error"]["code"], code) << error;
  }
}

TEST(Reply, bytes_that_are_no_text_are_replaced) {
  const auto text = write_reply(1, json{{"note", "\xff\xfe file"}});
  json id;
  EXPECT_TRUE(read_reply(text, id)) << text;
}

TEST(Reply, what_is_no_reply_is_an_error_and_not_a_crash) {
  for (const std::string text : {"", "[]", "{}", "{\"error\":1}", "{\"result\":", "null"}) {
    json id;
    const auto reply = read_reply(text, id);
    ASSERT_FALSE(reply) << text;
    EXPECT_EQ(reply.error().id, "control.bad-reply") << text;
  }
  json id;
  EXPECT_EQ(read_reply(R"({"id":1,"error":{"message":"foreign"}})", id).error().what, "foreign");
}

TEST(Methods, those_of_the_monitor_change_nothing) {
  std::vector<std::string_view> read_only;
  for (const Method& method : methods()) {
    if (method.read_only) read_only.push_back(method.name);
  }
  EXPECT_THAT(read_only,
              testing::ElementsAre("stats", "status", "history", "errors", "config", "version", "rpc.discover"));
  EXPECT_FALSE(is_read_only("stop"));
  EXPECT_FALSE(is_read_only("no such method"));
}

}  // namespace
}  // namespace peaknet::control
