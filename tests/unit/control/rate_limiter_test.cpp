#include "control/rate_limiter.hpp"

#include <gtest/gtest.h>

#include "control/server.hpp"
#include "tests/support/instance.hpp"
#include "tests/unit/control/raw_client.hpp"
#include "tests/unit/control/temp_folder.hpp"

namespace peaknet::control {
namespace {

using namespace std::chrono_literals;

TEST(RateLimiter, a_peer_may_send_so_many_at_once_and_then_so_many_per_second) {
  RateLimiter pace(10, 3);
  const RateLimiter::Clock::time_point begin{};
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(pace.take("a", begin));
  EXPECT_FALSE(pace.take("a", begin));
  EXPECT_TRUE(pace.take("b", begin));  // others are not concerned
  EXPECT_FALSE(pace.take("a", begin + 50ms));
  EXPECT_TRUE(pace.take("a", begin + 150ms));
  EXPECT_FALSE(pace.take("a", begin + 150ms));
  int taken = 0;
  for (int i = 0; i < 10; ++i) taken += pace.take("a", begin + 1h) ? 1 : 0;
  EXPECT_EQ(taken, 3);  // a long rest gives no more than the first time
}

TEST(RateLimiter, what_it_remembers_of_peers_is_bounded) {
  RateLimiter pace(1000, 2);
  RateLimiter::Clock::time_point now{};
  for (int i = 0; i < 100'000; ++i) {
    now += 1ms;
    EXPECT_TRUE(pace.take(std::to_string(i), now));
  }
  EXPECT_LE(pace.peers(), 4096U);
}

TEST(PaceOfTheServer, a_flood_gets_one_short_reply_each_and_another_peer_its_answer) {
  test::TempFolder folder;
  const std::string endpoint = "ipc://" + folder / "ctl";
  std::atomic<int> carried_out{0};
  const auto server = test::must(Server::listen({endpoint, "", 0660, ""}, [&](const Request&, Answer answer) {
    ++carried_out;
    answer.send(nlohmann::json::object());
  }));
  test::RawClient flood(endpoint);
  constexpr int kSent = 8000;
  int refused = 0;
  int replies = 0;
  for (int i = 0; i < kSent; i += 100) {  // fewer than may wait unread
    for (int k = 0; k < 100; ++k) flood.send(R"({"jsonrpc":"2.0","id":1,"method":"status"})");
    for (int k = 0; k < 100; ++k) {
      const auto reply = flood.reply();
      ASSERT_TRUE(reply);
      ++replies;
      if (reply->contains("error") && (*reply)["error"]["data"]["id"] == "control.too-fast") ++refused;
    }
  }
  EXPECT_EQ(replies, kSent);
  EXPECT_EQ(carried_out + refused, kSent);
  test::RawClient other(endpoint);
  other.send(R"({"jsonrpc":"2.0","id":2,"method":"status"})");
  EXPECT_TRUE((*other.reply()).contains("result"));
}

}  // namespace
}  // namespace peaknet::control
