#include "control/server.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <mutex>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "control/client.hpp"
#include "control/openrpc.hpp"
#include "control/protocol.hpp"
#include "tests/support/child.hpp"
#include "tests/support/instance.hpp"
#include "tests/unit/control/raw_client.hpp"
#include "tests/unit/control/temp_folder.hpp"

namespace peaknet::control {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using test::must;
using test::RawClient;
using testing::HasSubstr;

void echo(Request request, Answer answer) {
  answer.send(json{{"method", request.method},
                   {"params", request.params},
                   {"peer", request.peer},
                   {"read_only", request.read_only}});
}

class ServerTest : public testing::Test {
 protected:
  ServerOptions options() const { return {"ipc://" + folder_ / "run/ctl", "ipc://" + folder_ / "run/mon", 0660, ""}; }
  std::unique_ptr<Server> serve(Handler handler = echo) const {
    return must(Server::listen(options(), std::move(handler)));
  }
  std::unique_ptr<Client> client() const { return must(Client::connect(options().endpoint)); }
  std::unique_ptr<Client> monitor() const { return must(Client::connect(options().monitor)); }
  static unsigned mode_of(const std::string& path) {
    struct stat there {};
    return ::stat(path.c_str(), &there) == 0 ? there.st_mode & 07777U : 0;
  }

  test::TempFolder folder_;
};

TEST_F(ServerTest, a_request_reaches_the_handler_checked_and_with_the_name_of_the_asker) {
  const auto server = serve();
  const auto reply = client()->call("start", {{"run", "0217"}}, 5s);
  ASSERT_TRUE(reply) << reply.error().text();
  EXPECT_EQ((*reply)["method"], "start");
  EXPECT_EQ((*reply)["params"]["run"], "0217");
  EXPECT_EQ((*reply)["read_only"], false);
  EXPECT_EQ((*reply)["peer"], "uid " + std::to_string(::getuid()) + " pid " + std::to_string(::getpid()));
}

TEST_F(ServerTest, an_error_of_the_handler_arrives_as_it_was) {
  const Error refusal{"run.no-model", "there is no model", "nothing was started", "set model.path"};
  const auto server = serve([&](const Request&, Answer answer) { answer.send(refusal); });
  const auto reply = client()->call("start", json::object(), 5s);
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().text(), refusal.text());
}

TEST_F(ServerTest, the_monitor_answers_what_changes_nothing_and_refuses_the_rest) {
  const auto server = serve();
  EXPECT_TRUE(monitor()->call("stats", json::object(), 5s));
  EXPECT_EQ((*monitor()->call("status", json::object(), 5s))["read_only"], true);
  EXPECT_TRUE(monitor()->call("version", json::object(), 5s));
  EXPECT_TRUE(monitor()->call("rpc.discover", json::object(), 5s));
  for (const char* method : {"start", "stop"}) {
    const auto reply = monitor()->call(method, json::object(), 5s);
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().id, "control.read-only");
  }
  EXPECT_EQ(monitor()->call("rebuffer", {{"depth", 2}}, 5s).error().id, "control.read-only");
}

TEST_F(ServerTest, discover_lists_the_methods) {
  const auto server = serve([](const Request&, const Answer&) { FAIL() << "the server answers this itself"; });
  EXPECT_EQ(*client()->call("rpc.discover", json::object(), 5s), openrpc_document());
}

TEST_F(ServerTest, every_kind_of_nonsense_gets_exactly_one_reply) {
  const auto server = serve();
  const std::vector<std::vector<std::string>> nonsense = {
      {""},
      {"{"},
      {"[]"},
      {"null"},
      {std::string("\0\0\0", 3)},
      {"\xff\xfe\xfd"},
      {std::string(60000, '[')},
      {std::string(60000, 'x')},
      {R"({"jsonrpc":"2.0","method":"stop"})"},
      {R"([{"jsonrpc":"2.0","id":1,"method":"status"}])"},
      {R"({"jsonrpc":"2.0","id":1,"method":"explode"})"},
      {R"({"jsonrpc":"2.0","id":1,"method":"rebuffer"})"},
      {"two", "parts"},
      {"", R"({"jsonrpc":"2.0","id":1,"method":"status"})"},
      {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"},
      std::vector<std::string>(500, "part"),
      {"", ""},
  };
  RawClient peer(options().endpoint);
  for (const auto& parts : nonsense) {
    peer.send_parts(parts);
    EXPECT_EQ(peer.replies_until_now(), 1U) << parts.front().substr(0, 40) << " of " << parts.size() << " parts";
  }
}

TEST_F(ServerTest, the_reply_to_nonsense_says_what_was_wrong_and_carries_no_id) {
  const auto server = serve();
  RawClient peer(options().endpoint);
  peer.send(R"({"jsonrpc":"2.0","method":"stop"})");
  const auto no_id = peer.reply();
  ASSERT_TRUE(no_id);
  EXPECT_TRUE((*no_id)["id"].is_null());
  EXPECT_EQ((*no_id)["error"]["code"], -32600);
  EXPECT_EQ((*no_id)["error"]["data"]["id"], "control.invalid-request");
  peer.send_parts({"two", "parts"});
  const auto parts = peer.reply();
  ASSERT_TRUE(parts);
  EXPECT_EQ((*parts)["error"]["data"]["what"], "the message has 2 parts");
}

TEST_F(ServerTest, random_messages_get_one_reply_each) {
  const auto server = serve();
  RawClient peer(options().endpoint);
  std::mt19937 random(11);
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 50; ++i) {
      std::string text(random() % 300, ' ');
      for (char& c : text) c = static_cast<char>(random());
      peer.send(text);
    }
    EXPECT_EQ(peer.replies_until_now(), 50U);
  }
}

TEST_F(ServerTest, an_answer_may_come_later_from_another_thread_while_others_are_served) {
  std::promise<Answer> kept;
  const auto server = serve([&](Request request, Answer answer) {
    if (request.method == "stop") return kept.set_value(std::move(answer));
    echo(std::move(request), std::move(answer));
  });
  auto stopping = std::async(std::launch::async, [&] { return client()->call("stop", json::object(), 30s); });
  Answer answer = kept.get_future().get();
  EXPECT_TRUE(client()->call("status", json::object(), 5s));
  EXPECT_EQ(stopping.wait_for(0s), std::future_status::timeout);
  std::jthread later([&] { answer.send(json{{"state", "idle"}}); });
  const auto reply = stopping.get();
  ASSERT_TRUE(reply) << reply.error().text();
  EXPECT_EQ((*reply)["state"], "idle");
}

TEST_F(ServerTest, many_deferred_answers_each_find_their_asker) {
  std::mutex mutex;
  std::vector<std::jthread> threads;
  const auto server = serve([&](Request request, Answer answer) {
    const std::lock_guard lock(mutex);
    threads.emplace_back([run = request.params["run"], answer = std::move(answer)]() mutable {
      answer.send(json{{"run", run}});
    });
  });
  std::vector<std::jthread> askers;
  std::atomic<int> right{0};
  for (int asker = 0; asker < 8; ++asker) {
    askers.emplace_back([&, asker] {
      const auto mine = client();
      for (int i = 0; i < 25; ++i) {
        const std::string run = std::to_string(asker) + "-" + std::to_string(i);
        const auto reply = mine->call("start", {{"run", run}}, 30s);
        if (reply && (*reply)["run"] == run) ++right;
      }
    });
  }
  askers.clear();
  EXPECT_EQ(right, 200);
}

TEST_F(ServerTest, an_answer_that_is_dropped_tells_the_asker) {
  const auto server = serve([](const Request&, const Answer&) {});
  const auto reply = client()->call("status", json::object(), 5s);
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().id, "control.no-answer");
}

TEST_F(ServerTest, an_answer_given_twice_is_sent_once) {
  const auto server = serve([](const Request&, Answer answer) {
    answer.send(json{{"n", 1}});
    answer.send(json{{"n", 2}});
  });
  RawClient peer(options().endpoint);
  peer.send(R"({"jsonrpc":"2.0","id":1,"method":"status"})");
  EXPECT_EQ(peer.replies_until_now(), 1U);
}

TEST_F(ServerTest, a_handler_that_throws_is_one_failed_request) {
  const auto server = serve([](const Request& request, Answer answer) {
    if (request.method == "stop") throw std::runtime_error("no such thing");
    answer.send(json{{"ok", true}});
  });
  RawClient peer(options().endpoint);
  peer.send(R"({"jsonrpc":"2.0","id":5,"method":"stop"})");
  const auto reply = peer.reply();
  ASSERT_TRUE(reply);
  EXPECT_EQ((*reply)["error"]["code"], -32603);
  EXPECT_EQ((*reply)["id"], 5);
  EXPECT_EQ(peer.replies_until_now(), 0U);
}

TEST_F(ServerTest, whoever_still_waits_at_the_end_is_told) {
  std::promise<Answer> kept;
  auto server = serve([&](const Request&, Answer answer) { kept.set_value(std::move(answer)); });
  auto stopping = std::async(std::launch::async, [&] { return client()->call("stop", json::object(), 30s); });
  Answer answer = kept.get_future().get();
  server.reset();
  const auto reply = stopping.get();
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().id, "control.shutting-down");
  answer.send(json{});  // to nobody, and harmless
}

TEST_F(ServerTest, an_answer_given_just_before_the_end_still_arrives) {
  for (int round = 0; round < 20; ++round) {
    std::promise<Answer> kept;
    auto server = serve([&](const Request&, Answer answer) { kept.set_value(std::move(answer)); });
    auto stopping = std::async(std::launch::async, [&] { return client()->call("stop", json::object(), 30s); });
    kept.get_future().get().send(json{{"round", round}});
    server.reset();
    const auto reply = stopping.get();
    ASSERT_TRUE(reply) << reply.error().text();
    EXPECT_EQ((*reply)["round"], round);
  }
}

TEST_F(ServerTest, a_second_server_is_refused_and_the_first_goes_on) {
  const auto server = serve();
  const auto second = Server::listen(options(), echo);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().id, "control.endpoint-taken");
  EXPECT_THAT(second.error().what, HasSubstr("pid " + std::to_string(::getpid())));
  EXPECT_TRUE(client()->call("status", json::object(), 5s));
  auto other = options();
  other.endpoint = "ipc://" + folder_ / "run/ctl2";
  const auto monitor_taken = Server::listen(other, echo);
  ASSERT_FALSE(monitor_taken);
  EXPECT_EQ(monitor_taken.error().id, "control.endpoint-taken");
  EXPECT_FALSE(std::filesystem::exists(folder_ / "run/ctl2"));
  EXPECT_TRUE(monitor()->call("status", json::object(), 5s));
}

TEST_F(ServerTest, another_process_is_refused_too) {
  auto child = test::Child::run([this] {
    ::raise(SIGSTOP);
    const auto second = Server::listen(options(), echo);
    return !second && second.error().id == "control.endpoint-taken" ? 0 : 1;
  });
  ASSERT_TRUE(child.wait_stopped());
  const auto server = serve();
  child.go_on();
  EXPECT_EQ(child.wait(), test::Exit::code(0));
}

TEST_F(ServerTest, the_socket_of_a_killed_server_is_replaced) {
  auto child = test::Child::run([this] {
    const auto server = serve();
    ::pause();
    return 0;
  });
  ASSERT_TRUE(test::eventually([&] { return Client::connect(options().endpoint).ok(); }));
  child.kill();
  EXPECT_TRUE(std::filesystem::exists(folder_ / "run/ctl"));
  EXPECT_EQ(Client::connect(options().endpoint).error().id, "control.not-running");
  const auto server = serve();
  EXPECT_TRUE(client()->call("status", json::object(), 5s));
}

TEST_F(ServerTest, a_server_that_ends_takes_its_sockets_away) {
  auto server = serve();
  EXPECT_TRUE(std::filesystem::exists(folder_ / "run/ctl"));
  server.reset();
  EXPECT_FALSE(std::filesystem::exists(folder_ / "run/ctl"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "run/mon"));
  EXPECT_TRUE(serve());
}

TEST_F(ServerTest, a_socket_that_somebody_removes_is_bound_again_and_who_is_connected_stays_so) {
  for (const char* removed : {"run/ctl", "run"}) {
    std::promise<Error> told;
    auto asked = options();
    bool first = true;
    asked.notice = [&](const Error& error) {
      if (std::exchange(first, false)) told.set_value(error);
    };
    auto server = must(Server::listen(asked, echo));
    const auto before = client();
    ASSERT_TRUE(before->call("status", json::object(), 5s));
    std::filesystem::remove_all(folder_ / removed);
    auto notice = told.get_future();
    ASSERT_EQ(notice.wait_for(30s), std::future_status::ready);
    EXPECT_EQ(notice.get().id, "control.socket-removed");
    EXPECT_TRUE(client()->call("status", json::object(), 5s));
    EXPECT_TRUE(before->call("status", json::object(), 5s));
    EXPECT_EQ(mode_of(folder_ / "run/ctl"), 0660U);
    server.reset();
    EXPECT_FALSE(std::filesystem::exists(folder_ / "run/ctl"));
  }
}

TEST_F(ServerTest, a_server_that_ends_leaves_a_socket_that_is_not_its_own) {
  auto server = serve();
  std::filesystem::remove(folder_ / "run/ctl");
  std::ofstream(folder_ / "run/ctl") << "somebody else's";
  server.reset();
  EXPECT_TRUE(std::filesystem::exists(folder_ / "run/ctl"));
}

TEST_F(ServerTest, modes_are_as_asked_whatever_the_umask) {
  for (const mode_t mask : {0000U, 0077U}) {
    const mode_t before = ::umask(mask);
    auto asked = options();
    asked.mode = 0620;
    const auto server = Server::listen(asked, echo);
    ::umask(before);
    ASSERT_TRUE(server) << server.error().text();
    EXPECT_EQ(mode_of(folder_ / "run/ctl"), 0620U);
    EXPECT_EQ(mode_of(folder_ / "run/mon"), 0620U);
    EXPECT_EQ(mode_of(folder_ / "run/ctl.lock"), 0600U);
  }
  EXPECT_EQ(mode_of(folder_ / "run") & 0007U, 0U);
}

TEST_F(ServerTest, the_sockets_get_their_group_and_so_does_a_new_folder) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root may give files away";
  auto asked = options();
  asked.group = "daemon";
  const auto server = must(Server::listen(asked, echo));
  struct stat socket {};
  struct stat folder {};
  ASSERT_EQ(::stat((folder_ / "run/ctl").c_str(), &socket), 0);
  ASSERT_EQ(::stat((folder_ / "run").c_str(), &folder), 0);
  EXPECT_NE(socket.st_gid, ::getegid());
  EXPECT_EQ(socket.st_gid, folder.st_gid);
  EXPECT_EQ(folder.st_mode & 07777U, 0750U);
}

TEST_F(ServerTest, what_cannot_be_served_is_refused_with_the_reason) {
  const auto refusal = [&](const std::string& endpoint, const std::string& group = "") {
    const auto server = Server::listen({endpoint, "", 0660, group}, echo);
    return server ? std::string("taken") : server.error().id;
  };
  EXPECT_EQ(refusal("tcp://127.0.0.1:5555"), "control.tcp-needs-curve");
  EXPECT_EQ(refusal("inproc://x"), "control.bad-endpoint");
  EXPECT_EQ(refusal(""), "control.bad-endpoint");
  EXPECT_EQ(refusal("ipc://*"), "control.bad-endpoint");
  EXPECT_EQ(refusal("ipc://@abstract"), "control.bad-endpoint");
  EXPECT_EQ(refusal("ipc://relative/ctl"), "control.bad-endpoint");
  EXPECT_EQ(refusal("ipc:///tmp/" + std::string(120, 'x')), "control.bad-endpoint");
  EXPECT_EQ(refusal("ipc://" + folder_ / "no/such/folder/ctl"), "control.cannot-bind");
  EXPECT_EQ(refusal("ipc://" + folder_ / "g/ctl", "no_such_group"), "control.group");
  EXPECT_FALSE(std::filesystem::exists(folder_ / "g"));
  auto same = options();
  same.monitor = same.endpoint;
  EXPECT_EQ(Server::listen(same, echo).error().id, "control.bad-endpoint");
}

TEST_F(ServerTest, a_file_that_is_no_socket_is_not_removed) {
  std::ofstream(folder_ / "precious") << "data";
  const auto server = Server::listen({"ipc://" + folder_ / "precious", "", 0660, ""}, echo);
  ASSERT_FALSE(server);
  EXPECT_EQ(server.error().id, "control.cannot-bind");
  EXPECT_EQ(std::filesystem::file_size(folder_ / "precious"), 4U);
}

TEST_F(ServerTest, a_folder_that_everybody_may_write_is_refused) {
  std::filesystem::create_directory(folder_ / "open");
  ::chmod((folder_ / "open").c_str(), 0777);
  const auto server = Server::listen({"ipc://" + folder_ / "open/ctl", "", 0660, ""}, echo);
  ASSERT_FALSE(server);
  EXPECT_THAT(server.error().what, HasSubstr("everybody may replace files"));
}

TEST_F(ServerTest, a_message_over_the_limit_ends_its_connection_and_nothing_else) {
  const auto server = serve();
  for (const std::size_t bytes : {kMaxRequestBytes + 1, std::size_t{4} << 20}) {
    RawClient peer(options().endpoint);
    peer.send(std::string(bytes, ' '));
    EXPECT_FALSE(peer.reply(200ms));
  }
  RawClient peer(options().endpoint);
  std::string largest = R"({"jsonrpc":"2.0","id":1,"method":"status"})";
  largest.resize(kMaxRequestBytes, ' ');
  peer.send(largest);
  const auto reply = peer.reply();
  ASSERT_TRUE(reply);
  EXPECT_TRUE(reply->contains("result"));
}

TEST_F(ServerTest, a_thousand_quick_connections_leave_it_answering) {
  const auto server = serve();
  const std::vector<std::string> bytes = {
      "", "GET / HTTP/1.1\r\n\r\n", std::string(10, '\xff'), std::string("\xff\0\0\0\0\0\0\0\1\x7f", 10),
      std::string(2000, 'A'),
      // a ZMTP 3.0 greeting with the NULL mechanism, and a READY that lies about its length
      std::string("\xff\0\0\0\0\0\0\0\0\x7f\3\0NULL", 16) + std::string(48, '\0') + std::string("\4\xff\5READY", 8)};
  for (int i = 0; i < 1000; ++i) test::scribble(folder_ / "run/ctl", bytes[static_cast<std::size_t>(i) % bytes.size()]);
  const auto reply = client()->call("status", json::object(), 10s);
  EXPECT_TRUE(reply) << reply.error().text();
}

TEST_F(ServerTest, a_hundred_clients_come_and_go) {
  const auto server = serve();
  for (int i = 0; i < 100; ++i) {
    const auto reply = client()->call("status", json::object(), 10s);
    ASSERT_TRUE(reply) << reply.error().text();
  }
}

TEST_F(ServerTest, a_peer_that_has_gone_does_not_hold_up_others) {
  std::promise<Answer> kept;
  const auto server = serve([&](Request request, Answer answer) {
    if (request.method == "stop") return kept.set_value(std::move(answer));
    echo(std::move(request), std::move(answer));
  });
  {
    RawClient gone(options().endpoint);
    gone.send(R"({"jsonrpc":"2.0","id":1,"method":"stop"})");
    kept.get_future().wait();
  }
  EXPECT_TRUE(client()->call("status", json::object(), 5s));
}

TEST_F(ServerTest, a_peer_that_never_reads_does_not_hold_up_others) {
  const auto server = serve([](const Request&, Answer answer) {
    answer.send(json{{"much", std::string(20'000, 'x')}});
  });
  RawClient deaf(options().endpoint);
  for (int i = 0; i < 3000; ++i) deaf.send(R"({"jsonrpc":"2.0","id":1,"method":"status"})");
  EXPECT_TRUE(client()->call("status", json::object(), 10s));
}

TEST_F(ServerTest, too_many_open_requests_are_refused_one_by_one) {
  std::mutex mutex;
  std::vector<Answer> kept;
  const auto server = serve([&](const Request&, Answer answer) {
    const std::lock_guard lock(mutex);
    kept.push_back(std::move(answer));
  });
  RawClient peer(options().endpoint);
  // Slower than the server reads, so that its queues do not overflow before the limit does.
  int busy = 0;
  for (int i = 0; i < 1200; ++i) {
    peer.send(R"({"jsonrpc":"2.0","id":)" + std::to_string(i) + R"(,"method":"stop"})");
    if (i >= 1024) {
      const auto reply = peer.reply();
      if (reply && (*reply)["error"]["data"]["id"] == "control.busy") ++busy;
    }
  }
  EXPECT_EQ(busy, 176);
}

}  // namespace
}  // namespace peaknet::control
