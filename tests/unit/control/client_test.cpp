#include "control/client.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <thread>

#include "control/server.hpp"
#include "tests/support/child.hpp"
#include "tests/support/instance.hpp"
#include "tests/unit/control/temp_folder.hpp"

namespace peaknet::control {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using test::must;
using testing::HasSubstr;

class ClientTest : public testing::Test {
 protected:
  std::string endpoint() const { return "ipc://" + folder_ / "ctl"; }
  std::unique_ptr<Server> serve(Handler handler) const {
    return must(Server::listen({endpoint(), "", 0660, ""}, std::move(handler)));
  }
  test::TempFolder folder_;
};

TEST_F(ClientTest, without_a_socket_nobody_is_running) {
  const auto client = Client::connect(endpoint());
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error().id, "control.not-running");
  EXPECT_THAT(client.error().what, HasSubstr(folder_ / "ctl"));
}

TEST_F(ClientTest, endpoints_that_are_none_are_refused) {
  EXPECT_EQ(Client::connect("tcp://host:1").error().id, "control.tcp-needs-curve");
  EXPECT_EQ(Client::connect("nonsense").error().id, "control.bad-endpoint");
}

TEST_F(ClientTest, a_daemon_that_does_not_answer_costs_the_time_out_and_no_more) {
  std::vector<Answer> kept;
  const auto server = serve([&](const Request&, Answer answer) { kept.push_back(std::move(answer)); });
  const auto client = must(Client::connect(endpoint()));
  const auto begin = std::chrono::steady_clock::now();
  const auto reply = client->call("status", json::object(), 100ms);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 100ms);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 5s);
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().id, "control.no-answer");
  EXPECT_THAT(reply.error().what, HasSubstr(endpoint() + " in 0.1 s"));
}

TEST_F(ClientTest, a_late_reply_is_not_taken_for_that_of_the_next_request) {
  std::vector<Answer> kept;
  const auto server = serve([&](Request request, Answer answer) {
    if (request.method == "stop") return kept.push_back(std::move(answer));
    for (Answer& late : kept) late.send(json{{"method", "stop"}});
    kept.clear();
    answer.send(json{{"method", request.method}});
  });
  const auto client = must(Client::connect(endpoint()));
  EXPECT_EQ(client->call("stop", json::object(), 50ms).error().id, "control.no-answer");
  const auto reply = client->call("status", json::object(), 5s);
  ASSERT_TRUE(reply) << reply.error().text();
  EXPECT_EQ((*reply)["method"], "status");
}

TEST_F(ClientTest, a_daemon_that_is_killed_in_the_middle_is_noticed_at_once) {
  auto child = test::Child::run([this] {
    std::vector<Answer> kept;
    const auto server = serve([&](const Request&, Answer answer) { kept.push_back(std::move(answer)); });
    ::pause();
    return 0;
  });
  ASSERT_TRUE(test::eventually([&] { return Client::connect(endpoint()).ok(); }));
  const auto client = must(Client::connect(endpoint()));
  std::jthread killer([&] {
    std::this_thread::sleep_for(100ms);
    child.signal(SIGKILL);
  });
  const auto begin = std::chrono::steady_clock::now();
  const auto reply = client->call("stop", json::object(), 60s);
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().id, "control.daemon-gone");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 30s);
}

TEST_F(ClientTest, a_stopped_daemon_is_no_answer) {
  auto child = test::Child::run([this] {
    const auto server = serve([](const Request&, Answer answer) { answer.send(json::object()); });
    ::pause();
    return 0;
  });
  ASSERT_TRUE(test::eventually([&] { return Client::connect(endpoint()).ok(); }));
  child.stop();
  const auto client = must(Client::connect(endpoint()));
  EXPECT_EQ(client->call("status", json::object(), 100ms).error().id, "control.no-answer");
  child.go_on();
  EXPECT_TRUE(must(Client::connect(endpoint()))->call("status", json::object(), 10s));
}

TEST_F(ClientTest, who_may_not_is_told_who_may) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become somebody else";
  ::chmod(folder_.path().c_str(), 0755);
  auto child = test::Child::run([this] {
    ::raise(SIGSTOP);
    if (::setgid(65534) != 0 || ::setuid(65534) != 0) return 2;
    const auto client = Client::connect(endpoint());
    return !client && client.error().id == "control.denied" &&
                   client.error().what.find("(0660 root:root)") != std::string::npos
               ? 0
               : 1;
  });
  ASSERT_TRUE(child.wait_stopped());
  const auto server = serve([](const Request&, Answer answer) { answer.send(json::object()); });
  child.go_on();
  EXPECT_EQ(child.wait(), test::Exit::code(0));
}

TEST_F(ClientTest, a_request_that_is_too_large_is_not_sent) {
  const auto server = serve([](const Request&, Answer answer) { answer.send(json::object()); });
  const auto client = must(Client::connect(endpoint()));
  EXPECT_EQ(client->call("start", {{"run", std::string(100'000, 'x')}}, 5s).error().id, "control.bad-params");
  EXPECT_TRUE(client->call("status", json::object(), 5s));
}

TEST_F(ClientTest, a_large_reply_arrives_whole) {
  const auto server = serve([](const Request&, Answer answer) {
    answer.send(json{{"much", std::string(1'000'000, 'x')}});
  });
  const auto reply = must(Client::connect(endpoint()))->call("stats", json::object(), 10s);
  ASSERT_TRUE(reply);
  EXPECT_EQ((*reply)["much"].get<std::string>().size(), 1'000'000U);
}

}  // namespace
}  // namespace peaknet::control
