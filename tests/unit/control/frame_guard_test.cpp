// How many parts a message may have is bounded before they are all in memory.
#include "control/frame_guard.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <string>

#include "control/client.hpp"
#include "control/server.hpp"
#include "tests/support/child.hpp"
#include "tests/support/instance.hpp"
#include "tests/unit/control/memory_of.hpp"
#include "tests/unit/control/raw_client.hpp"
#include "tests/unit/control/temp_folder.hpp"

namespace peaknet::control {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

std::string bytes(std::initializer_list<int> values) {
  std::string text;
  for (const int value : values) text += static_cast<char>(value);
  return text;
}

const std::string kSignature = bytes({0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f});
// ZMTP 3.0, mechanism NULL, as a client.
const std::string kGreeting3 = kSignature + bytes({3, 0}) + "NULL" + std::string(16 + 1 + 31, '\0');

std::string frame3(const std::string& body, int flags) { return bytes({flags, static_cast<int>(body.size())}) + body; }
const std::string kReady =
    frame3(bytes({5}) + "READY" + bytes({11}) + "Socket-Type" + bytes({0, 0, 0, 6}) + "DEALER", 4);

std::string times(int count, const std::string& text) {
  std::string all;
  for (int i = 0; i < count; ++i) all += text;
  return all;
}

// Fed in pieces of this size.
bool takes(const std::string& text, std::size_t piece) {
  FrameCounter counter;
  for (std::size_t at = 0; at < text.size(); at += piece) {
    if (!counter.take(std::as_bytes(std::span(text).subspan(at, std::min(piece, text.size() - at))))) return false;
  }
  return true;
}

TEST(FrameCounter, messages_of_few_parts_are_fine_in_every_version_of_the_protocol) {
  const std::string message3 = times(kMostParts - 1, frame3("part", 1)) + frame3("last", 0);
  const std::string long3 = bytes({2, 0, 0, 0, 0, 0, 1, 0, 0}) + std::string(65536, '\x01');
  const std::string part1 = bytes({5, 1}) + "part";
  const std::string last1 = bytes({5, 0}) + "last";
  const std::string message1 = times(kMostParts - 1, part1) + last1;
  const std::string long1 = bytes({0xff, 0, 0, 0, 0, 0, 0, 1, 1, 0}) + std::string(256, '\x01');
  for (const std::size_t piece : {1UL, 3UL, 64UL, 1UL << 20}) {
    EXPECT_TRUE(takes(kGreeting3 + kReady + times(50, message3 + long3), piece)) << piece;
    EXPECT_TRUE(takes(kSignature + bytes({1, 5}) + times(50, message3), piece)) << "ZMTP 2";
    EXPECT_TRUE(takes(kSignature + bytes({0, 5}) + times(50, message1 + long1), piece)) << "ZMTP 1, with a signature";
    EXPECT_TRUE(takes(bytes({1, 0}) + times(50, message1 + long1), piece)) << "ZMTP 1";
    EXPECT_TRUE(takes(long1 + times(50, message1), piece)) << "ZMTP 1, its first length a long one";
  }
}

TEST(FrameCounter, one_part_more_is_too_much_in_every_version_of_the_protocol) {
  const std::string parts3 = times(kMostParts, frame3("part", 1));
  const std::string parts1 = times(kMostParts, bytes({5, 1}) + "part");
  const std::string message3 = frame3("a", 1) + frame3("b", 0);
  for (const std::size_t piece : {1UL, 3UL, 64UL, 1UL << 20}) {
    EXPECT_FALSE(takes(kGreeting3 + kReady + message3 + parts3, piece)) << piece;
    EXPECT_FALSE(takes(kGreeting3 + kReady + times(kMostParts, frame3("x", 1) + frame3("PING", 4)), piece))
        << "a command between the parts";
    EXPECT_FALSE(takes(kSignature + bytes({1, 5}) + message3 + parts3, piece)) << "ZMTP 2";
    EXPECT_FALSE(takes(kSignature + bytes({0, 5}) + parts1, piece)) << "ZMTP 1, with a signature";
    EXPECT_FALSE(takes(bytes({1, 0}) + parts1, piece)) << "ZMTP 1";
    EXPECT_FALSE(takes(bytes({0xff, 0, 0, 0, 0, 0, 0, 0, 5, 0}) + "name" + parts1, piece)) << "ZMTP 1, long first";
  }
}

TEST(FrameCounter, few_large_parts_are_too_much_as_well) {
  const std::string large = bytes({3, 0, 0, 0, 0, 0, 1, 0, 0}) + std::string(65536, '\x01');
  EXPECT_TRUE(takes(kGreeting3 + kReady + times(15, large) + frame3("last", 0) + times(15, large), 4096));
  EXPECT_FALSE(takes(kGreeting3 + kReady + times(16, large), 4096));
}

// KiB by which memory may grow that stays flat. ASan keeps up to 256 MiB of what was freed, TSan has its shadows.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::size_t kFlat = 400'000;
#else
constexpr std::size_t kFlat = 16'384;
#endif

class ManyPartsTest : public testing::Test {
 protected:
  std::string path() const { return folder_ / "ctl"; }
  std::string endpoint() const { return "ipc://" + path(); }
  test::Child serve() const {
    auto server = test::Child::run([this] {
      const auto listening = test::must(Server::listen({endpoint(), "", 0660, ""}, [](const Request&, Answer answer) {
        answer.send(json{{"closed", overlong_messages()}});
      }));
      for (;;) ::pause();
      return 0;
    });
    EXPECT_TRUE(test::eventually([&] { return closed().has_value(); }));
    return server;
  }
  // How many connections the server has closed; nothing if it does not answer.
  std::optional<int> closed() const {
    const auto client = Client::connect(endpoint());
    if (!client) return std::nullopt;
    const auto reply = (*client)->call("status", json::object(), 5s);
    return reply ? std::optional((*reply)["closed"].get<int>()) : std::nullopt;
  }
  test::TempFolder folder_;
};

TEST_F(ManyPartsTest, as_many_as_allowed_get_their_one_reply) {
  const auto server = serve();
  test::RawClient client(endpoint());
  client.send_parts(std::vector<std::string>(kMostParts, "x"));
  const auto reply = client.reply();
  ASSERT_TRUE(reply);
  EXPECT_EQ((*reply)["error"]["data"]["id"], "control.invalid-request");
  EXPECT_EQ(client.replies_until_now(), 0U);
  EXPECT_EQ(closed(), 0);
}

TEST_F(ManyPartsTest, a_message_of_a_hundred_thousand_parts_costs_its_connection_and_nothing_else) {
  const auto server = serve();
  const std::size_t before = test::resident_kib(server.pid());
  const auto begun = std::chrono::steady_clock::now();
  {
    test::RawClient client(endpoint());
    client.send_parts(std::vector<std::string>(100'000, std::string(100, 'x')));
    EXPECT_FALSE(client.reply(500ms)) << "the connection was closed; libzmq's client sends the rest over a new one";
  }
  EXPECT_GE(closed().value_or(-1), 1);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 10s);
  EXPECT_LT(test::resident_kib(server.pid()), before + kFlat);
}

// Without libzmq at the other end: one message that never ends, as fast as the socket takes it.
TEST_F(ManyPartsTest, an_endless_message_ends_with_its_connection_and_the_memory_stays_flat) {
  const auto server = serve();
  const std::size_t before = test::resident_kib(server.pid());
  for (int i = 0; i < 100; ++i) {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path().copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    const std::string hello = kGreeting3 + kReady;
    ASSERT_EQ(::send(fd, hello.data(), hello.size(), MSG_NOSIGNAL), static_cast<ssize_t>(hello.size()));
    std::string welcome;  // messages before the server's own READY would be an error of another kind
    for (std::array<char, 256> some{}; welcome.find("ROUTER") == std::string::npos;) {
      const ssize_t got = ::recv(fd, some.data(), some.size(), 0);
      ASSERT_GT(got, 0);
      welcome.append(some.data(), static_cast<std::size_t>(got));
    }
    const std::string part = bytes({3, 0, 0, 0, 0, 0, 0, 0x10, 0}) + std::string(4096, 'x');
    std::size_t sent = 0;
    while (sent < 1'000'000'000) {
      const ssize_t some = ::send(fd, part.data(), part.size(), MSG_NOSIGNAL);
      if (some != static_cast<ssize_t>(part.size())) break;  // EPIPE: it was closed
      sent += part.size();
    }
    EXPECT_LT(sent, std::size_t{4} << 20) << "so much goes into a socket's buffers and " << kMostParts << " parts";
    ::close(fd);
  }
  EXPECT_EQ(closed(), 100);
  EXPECT_LT(test::resident_kib(server.pid()), before + kFlat);
}

}  // namespace
}  // namespace peaknet::control
