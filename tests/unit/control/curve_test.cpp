// tcp:// endpoints: who has no key that the daemon knows gets nothing, and learns why.
#include "control/curve.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <vector>

#include "control/client.hpp"
#include "control/server.hpp"
#include "tests/support/instance.hpp"
#include "tests/unit/control/raw_client.hpp"
#include "tests/unit/control/temp_folder.hpp"

namespace peaknet::control {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using test::must;
using testing::HasSubstr;

// A port that nobody has at this moment.
std::string free_address() {
  zmq::context_t context{1};
  zmq::socket_t socket(context, zmq::socket_type::rep);
  socket.bind("tcp://127.0.0.1:*");
  return socket.get(zmq::sockopt::last_endpoint);
}

class CurveTest : public testing::Test {
 protected:
  CurveTest() {
    server_key_ = must(make_key(folder_ / "server"));
    operator_key_ = must(make_key(folder_ / "operator"));
    shifter_key_ = must(make_key(folder_ / "shifter"));
    must(make_key(folder_ / "stranger"));
    write("clients", "# who may ask\n" + operator_key_ + " anna\n" + shifter_key_ + " shift read\n");
    options_.endpoint = free_address();
    options_.monitor = free_address();
    options_.curve_key = folder_ / "server";
    options_.curve_clients = folder_ / "clients";
  }
  void write(const std::string& name, const std::string& text, mode_t mode = 0600) const {
    std::ofstream(folder_ / name) << text;
    ::chmod((folder_ / name).c_str(), mode);
  }
  std::unique_ptr<Server> serve() const {
    return must(Server::listen(options_, [](const Request& request, Answer answer) {
      answer.send(json{{"peer", request.peer}});
    }));
  }
  std::string refusal() const {
    const auto server = Server::listen(options_, [](const Request&, const Answer&) {});
    return server ? "none" : server.error().id;
  }
  Result<json> ask(const std::string& endpoint, const std::string& key, const std::string& method = "status") const {
    auto client = Client::connect(endpoint, {server_key_, folder_ / key});
    if (!client) return client.error();
    return (*client)->call(method, json::object(), 3s);
  }
  static std::string id_of(const Result<json>& reply) { return reply ? "none" : reply.error().id; }

  test::TempFolder folder_;
  std::string server_key_, operator_key_, shifter_key_;
  ServerOptions options_;
};

TEST_F(CurveTest, a_key_that_is_listed_is_served_and_known_by_its_name) {
  const auto server = serve();
  const auto reply = ask(options_.endpoint, "operator", "stop");
  ASSERT_TRUE(reply) << reply.error().text();
  EXPECT_EQ((*reply)["peer"], "key anna");
  EXPECT_EQ((*ask(options_.monitor, "operator"))["peer"], "key anna");
}

TEST_F(CurveTest, a_key_for_reading_opens_the_monitor_alone) {
  const auto server = serve();
  EXPECT_EQ((*ask(options_.monitor, "shifter"))["peer"], "key shift");
  EXPECT_EQ(id_of(ask(options_.monitor, "shifter", "stop")), "control.read-only");
  EXPECT_EQ(id_of(ask(options_.endpoint, "shifter")), "control.denied");
}

TEST_F(CurveTest, a_key_that_is_not_listed_is_refused_and_told) {
  const auto server = serve();
  EXPECT_EQ(id_of(ask(options_.endpoint, "stranger")), "control.denied");
  EXPECT_EQ(id_of(ask(options_.monitor, "stranger")), "control.denied");
  EXPECT_TRUE(ask(options_.endpoint, "operator"));
}

TEST_F(CurveTest, a_refusal_that_came_before_the_request_is_told_too) {
  const auto server = serve();
  std::vector<std::unique_ptr<Client>> early;
  for (int i = 0; i < 10; ++i)
    early.push_back(must(Client::connect(options_.endpoint, {server_key_, folder_ / "stranger"})));
  for (int i = 0; i < 20; ++i) EXPECT_EQ(id_of(ask(options_.endpoint, "stranger")), "control.denied");
  for (auto& client : early)  // refused by now
    EXPECT_EQ(id_of(client->call("status", json::object(), 3s)), "control.denied");
}

TEST_F(CurveTest, a_daemon_with_another_key_is_not_believed) {
  const auto server = serve();
  const auto other = must(make_key(folder_ / "other"));
  auto client = must(Client::connect(options_.endpoint, {other, folder_ / "operator"}));
  EXPECT_EQ(id_of(client->call("status", json::object(), 5s)), "control.denied");
}

TEST_F(CurveTest, without_any_key_nothing_is_read) {
  const auto server = serve();
  test::RawClient naked(options_.endpoint);
  naked.send(R"({"jsonrpc":"2.0","id":1,"method":"status"})");
  EXPECT_FALSE(naked.reply(500ms));
  EXPECT_EQ(Client::connect(options_.endpoint).error().id, "control.tcp-needs-curve");
  EXPECT_TRUE(ask(options_.endpoint, "operator"));
}

TEST_F(CurveTest, nobody_there_is_told_at_once) {
  EXPECT_EQ(id_of(ask(options_.endpoint, "operator")), "control.not-running");
}

TEST_F(CurveTest, an_endpoint_that_is_taken_is_refused) {
  const auto server = serve();
  EXPECT_EQ(refusal(), "control.endpoint-taken");
}

TEST_F(CurveTest, a_server_without_keys_or_with_bad_ones_is_refused_with_the_reason) {
  const auto with = [&](auto change) {
    const ServerOptions before = options_;
    change();
    const std::string id = refusal();
    options_ = before;
    return id;
  };
  EXPECT_EQ(with([&] { options_.curve_key = ""; }), "control.tcp-needs-curve");
  EXPECT_EQ(with([&] { options_.curve_clients = ""; }), "control.tcp-needs-curve");
  EXPECT_EQ(with([&] { options_.curve_key = folder_ / "no_such_file"; }), "curve.unreadable");
  EXPECT_EQ(with([&] { options_.curve_key = "credential:none"; }), "curve.unreadable");
  write("broken", "not a key\n");
  EXPECT_EQ(with([&] { options_.curve_key = folder_ / "broken"; }), "curve.bad-key");
  EXPECT_EQ(with([&] { options_.curve_clients = folder_ / "broken"; }), "curve.bad-key");
  write("empty", "# nobody\n");
  EXPECT_EQ(with([&] { options_.curve_clients = folder_ / "empty"; }), "curve.no-clients");
  ::chmod((folder_ / "server").c_str(), 0440);
  EXPECT_EQ(refusal(), "curve.open-to-others");
  ::chmod((folder_ / "server").c_str(), 0400);
  ::chmod((folder_ / "clients").c_str(), 0664);
  EXPECT_EQ(refusal(), "curve.open-to-others");
}

TEST_F(CurveTest, a_key_may_come_as_a_credential_of_systemd) {
  ::setenv("CREDENTIALS_DIRECTORY", std::filesystem::path(folder_ / "server").parent_path().c_str(), 1);
  options_.curve_key = "credential:server";
  const auto server = serve();
  ::unsetenv("CREDENTIALS_DIRECTORY");
  EXPECT_TRUE(ask(options_.endpoint, "operator"));
}

TEST_F(CurveTest, a_key_is_made_for_its_owner_alone_and_never_overwritten) {
  struct stat there {};
  ASSERT_EQ(::stat((folder_ / "server").c_str(), &there), 0);
  EXPECT_EQ(there.st_mode & 07777U, 0400U);
  EXPECT_EQ(make_key(folder_ / "server").error().id, "curve.exists");
  EXPECT_EQ(make_key(folder_ / "no/folder").error().id, "curve.cannot-write");
  EXPECT_EQ(must(read_secret_key(folder_ / "server")).public_key, server_key_);
}

}  // namespace
}  // namespace peaknet::control
