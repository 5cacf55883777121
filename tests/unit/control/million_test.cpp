// A million messages over the socket, sound and mutilated: one reply each, flat memory, and the next request answered.
#include <gtest/gtest.h>
#include <unistd.h>

#include <random>

#include "control/client.hpp"
#include "control/server.hpp"
#include "tests/support/instance.hpp"
#include "tests/unit/control/memory_of.hpp"
#include "tests/unit/control/raw_client.hpp"
#include "tests/unit/control/temp_folder.hpp"

namespace peaknet::control {
namespace {

using nlohmann::json;

constexpr int kMessages = 1'000'000;
constexpr int kAtOnce = 100;          // fewer than may wait unread
constexpr int kPerConnection = 4000;  // fewer than one peer may send after a rest, so that each is really read

std::vector<std::string> mutilated(std::mt19937& random) {
  static const std::vector<std::string> kSound = {
      R"({"jsonrpc":"2.0","id":1,"method":"start","params":{"run":"0217","key":"a"}})",
      R"({"jsonrpc":"2.0","id":"x","method":"rebuffer","params":{"depth":3,"batch":8}})",
      R"({"jsonrpc":"2.0","id":2.5,"method":"stop","params":{"timeout_s":1e3,"now":false}})",
      R"({"jsonrpc":"2.0","id":1,"method":"rpc.discover"})"};
  std::string text = kSound[random() % kSound.size()];
  for (auto edits = random() % 6; edits > 0; --edits) {
    const std::size_t at = random() % (text.size() + 1);
    switch (random() % 4) {
      case 0:
        text.insert(at, 1, static_cast<char>(random()));
        break;
      case 1:
        text.erase(at, random() % 8);
        break;
      case 2:
        if (at < text.size()) text[at] = static_cast<char>(random());
        break;
      default:
        text += text.substr(at);
    }
  }
  std::vector<std::string> parts{text};
  if (random() % 16 == 0) parts.resize(2 + random() % 4, "part");
  return parts;
}

TEST(Million, messages_over_the_socket_get_one_reply_each_and_leave_the_server_as_it_was) {
  test::TempFolder folder;
  const std::string endpoint = "ipc://" + folder / "ctl";
  std::uint64_t carried_out = 0;
  const auto server = test::must(Server::listen({endpoint, "", 0660, ""}, [&](const Request& request, Answer answer) {
    ++carried_out;
    answer.send(json{{"method", request.method}});
  }));
  const unsigned seed = std::random_device{}();
  std::mt19937 random(seed);
  int replies = 0;
  std::size_t settled = 0;
  for (int sent = 0; sent < kMessages;) {
    test::RawClient peer(endpoint);
    for (int here = 0; here < kPerConnection && sent < kMessages; here += kAtOnce, sent += kAtOnce) {
      for (int i = 0; i < kAtOnce; ++i) peer.send_parts(mutilated(random));
      for (int i = 0; i < kAtOnce; ++i) {
        ASSERT_TRUE(peer.reply()) << "after " << replies << " replies, seed " << seed;
        ++replies;
      }
    }
    if (settled == 0 && sent >= kMessages / 10) settled = test::resident_kib(::getpid());
  }
  EXPECT_EQ(replies, kMessages);
  EXPECT_GT(carried_out, 0U);
  EXPECT_LT(test::resident_kib(::getpid()), settled + 16'384) << "seed " << seed;
  const auto client = test::must(Client::connect(endpoint));
  EXPECT_TRUE(client->call("status", json::object(), std::chrono::seconds(5)));
  std::printf(
      "%d messages, %d replies, %llu carried out, resident %zu KiB after a tenth and %zu KiB at the end, seed %u\n",
      kMessages, replies, static_cast<unsigned long long>(carried_out), settled, test::resident_kib(::getpid()), seed);
}

}  // namespace
}  // namespace peaknet::control
