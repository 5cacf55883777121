// A request that is sent again is carried out once.
#include "control/idempotency_cache.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <future>

#include "control/client.hpp"
#include "tests/support/instance.hpp"
#include "tests/unit/control/raw_client.hpp"
#include "tests/unit/control/temp_folder.hpp"

namespace peaknet::control {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using test::must;

TEST(IdempotencyCache, a_finished_one_has_its_reply_and_an_open_one_its_ticket) {
  IdempotencyCache receipts;
  EXPECT_EQ(receipts.find("a"), nullptr);
  receipts.open("a", "start{}", 7);
  ASSERT_NE(receipts.find("a"), nullptr);
  EXPECT_EQ(receipts.find("a")->ticket, 7U);
  EXPECT_FALSE(receipts.find("a")->reply);
  receipts.close(7, json{{"run", "1"}});
  ASSERT_TRUE(receipts.find("a")->reply);
  EXPECT_EQ(**receipts.find("a")->reply, (json{{"run", "1"}}));
  receipts.close(8, json{});  // of a request without a key
  EXPECT_EQ(receipts.size(), 1U);
}

TEST(IdempotencyCache, only_the_latest_are_kept_and_never_an_open_one_is_forgotten) {
  IdempotencyCache receipts;
  receipts.open("long", "stop{}", 1);
  for (std::uint64_t i = 0; i < 3 * IdempotencyCache::kMost; ++i) {
    receipts.open("n" + std::to_string(i), "start{}", 100 + i);
    receipts.close(100 + i, json{});
  }
  EXPECT_EQ(receipts.size(), IdempotencyCache::kMost + 1);
  EXPECT_NE(receipts.find("long"), nullptr);
  EXPECT_EQ(receipts.find("n0"), nullptr);
}

class RetryTest : public testing::Test {
 protected:
  std::string endpoint() const { return "ipc://" + folder_ / "ctl"; }
  std::unique_ptr<Client> client() const { return must(Client::connect(endpoint())); }
  test::TempFolder folder_;
};

TEST_F(RetryTest, start_stop_and_rebuffer_that_come_again_with_their_key_happen_once) {
  std::atomic<int> done{0};
  const auto server = must(Server::listen({endpoint(), "", 0660, ""}, [&](const Request& request, Answer answer) {
    EXPECT_FALSE(request.params.contains("key"));
    answer.send(json{{"n", ++done}});
  }));
  int n = 0;
  for (const auto& [method, params] : {std::pair<std::string, json>{"start", {{"run", "0217"}}},
                                       {"stop", {{"timeout_s", 5}}},
                                       {"rebuffer", {{"depth", 2}}}}) {
    json keyed = params;
    keyed["key"] = "k-" + method;
    ++n;
    for (int attempt = 0; attempt < 5; ++attempt) EXPECT_EQ((*client()->call(method, keyed, 5s))["n"], n);
  }
  EXPECT_EQ(done, 3);
  EXPECT_EQ((*client()->call("start", json::object(), 5s))["n"], 4);  // without a key each one counts
  EXPECT_EQ((*client()->call("start", json::object(), 5s))["n"], 5);
}

TEST_F(RetryTest, one_that_comes_while_the_first_is_being_carried_out_gets_its_reply) {
  std::promise<Answer> kept;
  std::atomic<int> calls{0};
  const auto server = must(Server::listen({endpoint(), "", 0660, ""}, [&](const Request& request, Answer answer) {
    if (request.method == "status") return answer.send(json::object());
    ++calls;
    kept.set_value(std::move(answer));
  }));
  const auto ask = [&] { return client()->call("stop", {{"key", "once"}}, 30s); };
  auto first = std::async(std::launch::async, ask);
  Answer answer = kept.get_future().get();
  test::RawClient again(endpoint());
  again.send(R"({"jsonrpc":"2.0","id":9,"method":"stop","params":{"key":"once"}})");
  again.send(R"({"jsonrpc":"2.0","id":10,"method":"status"})");
  EXPECT_EQ((*again.reply())["id"], 10);  // it was read, and waits
  answer.send(json{{"state", "idle"}});
  EXPECT_EQ((*first.get())["state"], "idle");
  const auto second = again.reply();
  ASSERT_TRUE(second);
  EXPECT_EQ((*second)["id"], 9);
  EXPECT_EQ((*second)["result"]["state"], "idle");
  EXPECT_EQ(calls, 1);
}

TEST_F(RetryTest, a_key_with_another_request_is_refused) {
  const auto server = must(Server::listen({endpoint(), "", 0660, ""}, [](const Request&, Answer answer) {
    answer.send(json{{"ok", true}});
  }));
  EXPECT_TRUE(client()->call("start", {{"key", "k"}, {"run", "1"}}, 5s));
  const auto other = client()->call("start", {{"key", "k"}, {"run", "2"}}, 5s);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().id, "control.key-used");
}

TEST_F(RetryTest, a_refusal_is_remembered_too) {
  std::atomic<int> asked{0};
  const auto server = must(Server::listen({endpoint(), "", 0660, ""}, [&](const Request&, Answer answer) {
    ++asked;
    answer.send(Error{"start.running", "run 1 is going on", "it goes on", "stop"});
  }));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(client()->call("start", {{"key", "k"}}, 5s).error().id, "start.running");
  EXPECT_EQ(asked, 1);
}

}  // namespace
}  // namespace peaknet::control
