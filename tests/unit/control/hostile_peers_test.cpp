// Peers that keep to ZMTP and to nothing else: messages without an end, replies that nobody reads, connections that say
// nothing. The server lives, its memory stays flat, others are served, and operators see that there was something.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "base/zmtp.hpp"
#include "control/client.hpp"
#include "control/ipc_server.hpp"
#include "control/server.hpp"
#include "tests/support/child.hpp"
#include "tests/support/instance.hpp"
#include "tests/unit/control/memory_of.hpp"
#include "tests/unit/control/raw_client.hpp"
#include "tests/unit/control/temp_folder.hpp"
#include "tests/unit/control/zmtp_peer.hpp"

namespace peaknet::control {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using test::bytes;
using test::zmtp_frame;

// KiB by which memory may grow that stays flat. ASan keeps up to 256 MiB of what was freed, TSan has its shadows.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::size_t kFlat = 400'000;
#else
constexpr std::size_t kFlat = 16'384;
#endif

class HostilePeersTest : public testing::Test {
 protected:
  std::string path() const { return folder_ / "ctl"; }
  std::string endpoint() const { return "ipc://" + path(); }
  // A server whose `status` says how often which notice came, by the numbers in them.
  test::Child serve() const {
    auto server = test::Child::run([this] {
      std::map<std::string, int> told;
      ServerOptions options{endpoint(), "", 0660, ""};
      options.notice = [&](const Error& error) { told[error.id] += std::stoi(error.what); };
      const auto listening = test::must(Server::listen(options, [&](const Request&, Answer answer) {
        answer.send(json{{"told", told}, {"much", std::string(1000, 'x')}});
      }));
      for (;;) ::pause();
      return 0;
    });
    EXPECT_TRUE(test::eventually([&] { return told("control.bad-peer") >= 0; }));
    return server;
  }
  // How many connections the server spoke of under this id; -1 if it does not answer.
  int told(const std::string& id) const {
    const auto client = Client::connect(endpoint());
    if (!client) return -1;
    const auto reply = (*client)->call("status", json::object(), 5s);
    return reply ? (*reply)["told"].value(id, 0) : -1;
  }
  test::TempFolder folder_;
};

TEST_F(HostilePeersTest, as_many_parts_as_allowed_get_their_one_reply_and_one_more_ends_the_connection) {
  const auto server = serve();
  test::RawClient client(endpoint());
  client.send_parts(std::vector<std::string>(kMostParts, "x"));
  const auto reply = client.reply();
  ASSERT_TRUE(reply);
  EXPECT_EQ((*reply)["error"]["data"]["id"], "control.invalid-request");
  EXPECT_EQ(client.replies_until_now(), 0U);
  {
    const auto fd = test::shake_hands(path());
    test::send_all(fd, test::times(kMostParts, zmtp_frame("x", 1)));
    EXPECT_EQ(test::read_to_the_end(fd), "");
  }
  ASSERT_TRUE(test::eventually([&] { return told("control.bad-peer") > 0; }));
  EXPECT_EQ(told("control.bad-peer"), 1);
}

TEST_F(HostilePeersTest, a_message_of_a_hundred_thousand_parts_costs_its_connection_and_nothing_else) {
  const auto server = serve();
  const std::size_t before = test::resident_kib(server.pid());
  {
    test::RawClient client(endpoint());
    client.send_parts(std::vector<std::string>(100'000, std::string(100, 'x')));
    EXPECT_FALSE(client.reply(500ms)) << "the connection was closed; libzmq's client sends the rest over a new one";
  }
  EXPECT_TRUE(test::eventually([&] { return told("control.bad-peer") >= 1; }));
  EXPECT_LT(test::resident_kib(server.pid()), before + kFlat);
}

// Without libzmq at the other end: one message that never ends, as fast as the socket takes it.
TEST_F(HostilePeersTest, an_endless_message_ends_with_its_connection_and_the_memory_stays_flat) {
  const auto server = serve();
  const std::size_t before = test::resident_kib(server.pid());
  const std::string part = bytes({3, 0, 0, 0, 0, 0, 0, 0x10, 0}) + std::string(4096, 'x');
  for (int i = 0; i < 100; ++i) {
    const auto fd = test::shake_hands(path());
    ASSERT_TRUE(fd);
    std::size_t sent = 0;
    while (sent < 1'000'000'000 && test::send_all(fd, part) == part.size()) sent += part.size();
    EXPECT_LT(sent, std::size_t{4} << 20) << "so much goes into a socket's buffers and " << kMostParts << " parts";
  }
  EXPECT_TRUE(test::eventually([&] { return told("control.bad-peer") == 100; }));
  EXPECT_LT(test::resident_kib(server.pid()), before + kFlat);
}

TEST_F(HostilePeersTest, a_peer_that_does_not_read_is_not_read_and_gets_each_of_its_replies_when_it_does) {
  const auto server = serve();
  const std::size_t before = test::resident_kib(server.pid());
  const auto fd = test::shake_hands(path());
  ASSERT_TRUE(fd);
  const std::string request = zmtp_frame(R"({"jsonrpc":"2.0","id":1,"method":"status"})", 0);
  std::string all;
  std::size_t sent = 0;
  bool full = false;
  while (!full && sent < std::size_t{256} << 20) {
    const ssize_t some = ::send(fd.get(), request.data() + sent % request.size(),
                                request.size() - sent % request.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (some > 0) sent += static_cast<std::size_t>(some);
    // The socket may be full because the server has not come to it: full is what it stays for others' requests.
    if (some < 0 && test::eventually([&] { return told("control.bad-peer") == 0; })) {
      full = ::send(fd.get(), request.data() + sent % request.size(), 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0;
      if (!full) ++sent;
    }
  }
  ASSERT_TRUE(full) << "the server reads without an end";
  EXPECT_LT(test::resident_kib(server.pid()), before + kFlat);
  std::size_t replies = 0;
  const std::size_t asked = sent / request.size();
  ZmtpReader reader;  // replies are messages like any other
  reader.feed(zmtp::greeting() + zmtp::ready());
  for (std::array<char, 65536> some{}; replies < asked;) {
    for (auto event = reader.next(); event.kind != ZmtpEvent::Kind::none; event = reader.next())
      replies += event.kind == ZmtpEvent::Kind::message ? 1 : 0;
    if (replies == asked) break;
    const ssize_t got = ::recv(fd.get(), some.data(), some.size(), 0);
    ASSERT_GT(got, 0) << replies << " of " << asked;
    reader.feed({some.data(), static_cast<std::size_t>(got)});
  }
  EXPECT_GT(asked, IpcServer::kMostWaitingBytes / 1024);
}

TEST_F(HostilePeersTest, silence_ends_the_handshake_and_is_told) {
  const auto server = serve();
  const auto silent = test::connect_to(path());
  const auto half = test::connect_to(path());
  test::send_all(half, test::zmtp_hello());
  EXPECT_EQ(test::read_to_the_end(silent), zmtp::greeting());
  EXPECT_EQ(test::read_to_the_end(half), zmtp::greeting() + zmtp::ready());
  EXPECT_TRUE(test::eventually([&] { return told("control.bad-peer") == 2; }));
}

TEST_F(HostilePeersTest, more_connections_than_may_be_are_turned_away_and_told_and_those_that_are_go_on) {
  constexpr int kMore = 50;
  constexpr int kAll = static_cast<int>(IpcServer::kMostConnections) + kMore;
  rlimit mine{};
  ::getrlimit(RLIMIT_NOFILE, &mine);
  if (mine.rlim_cur < 2 * kAll)
    GTEST_SKIP() << "this test needs " << 2 * kAll << " descriptors, ulimit -n is " << mine.rlim_cur;
  const auto server = serve();
  const auto early = test::must(Client::connect(endpoint()));
  ASSERT_TRUE(early->call("status", json::object(), 5s));
  std::vector<UniqueFd> held;
  int turned_away = 0;
  for (int i = 0; i < kAll; ++i) {
    if (auto fd = test::shake_hands(path())) {
      held.push_back(std::move(fd));
    } else {
      ++turned_away;
    }
  }
  EXPECT_GE(turned_away, kMore);
  EXPECT_EQ(held.size(), IpcServer::kMostConnections - 1) << "and the early one";
  EXPECT_TRUE(early->call("status", json::object(), 5s));
  held.clear();
  EXPECT_TRUE(test::eventually([&] { return told("control.too-many-connections") >= turned_away; }));
}

}  // namespace
}  // namespace peaknet::control
