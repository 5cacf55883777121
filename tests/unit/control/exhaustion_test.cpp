// Connections by the ten thousand, and no file descriptor left: the server lives, its memory stays flat, and the next
// request is answered.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <limits>
#include <vector>

#include "control/client.hpp"
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
using test::Child;
using test::connect_to;

class ExhaustionTest : public testing::Test {
 protected:
  std::string path() const { return folder_ / "ctl"; }
  std::string endpoint() const { return "ipc://" + path(); }

  // A server in a process that may have `descriptors` open. It takes them all when a byte comes by `orders`, and lets
  // them go at the next one; each time it answers with a byte by `done`.
  Child serve(rlim_t descriptors, int orders = -1, int done = -1) const {
    return Child::run([=, this] {
      const rlimit limit{descriptors, descriptors};
      if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return 2;
      int turned_away = 0;
      ServerOptions options{endpoint(), "", 0660, ""};
      options.notice = [&](const Error& error) {
        if (error.id == "control.too-many-connections") turned_away += std::stoi(error.what);
      };
      const auto server = test::must(Server::listen(options, [&](const Request&, Answer answer) {
        answer.send(json{{"turned_away", turned_away}});
      }));
      std::vector<int> taken;
      for (char order = 0; orders >= 0 && ::read(orders, &order, 1) == 1;) {
        if (taken.empty()) {
          for (int fd = ::dup(0); fd >= 0; fd = ::dup(0)) taken.push_back(fd);
        } else {
          for (const int fd : taken) ::close(fd);
          taken.clear();
        }
        if (::write(done, &order, 1) != 1) return 3;
      }
      ::pause();
      return 0;
    });
  }
  int turned_away() const {
    const auto client = Client::connect(endpoint());
    const auto reply = client ? (*client)->call("status", json::object(), 2s) : client.error();
    return reply ? (*reply)["turned_away"].get<int>() : 0;
  }
  bool answers() const {
    const auto client = Client::connect(endpoint());
    return client && (*client)->call("status", json::object(), 2s);
  }

  test::TempFolder folder_;
};

TEST_F(ExhaustionTest, ten_thousand_connections_of_garbage_leave_it_answering_with_flat_memory) {
  Child server = serve(4096);
  ASSERT_TRUE(test::eventually([&] { return answers(); }));
  const std::vector<std::string> bytes = {"",
                                          "GET / HTTP/1.1\r\n\r\n",
                                          std::string(10, '\xff'),
                                          std::string("\xff\0\0\0\0\0\0\0\1\x7f", 10),
                                          std::string(2000, 'A'),
                                          std::string("\xff\0\0\0\0\0\0\0\0\x7f\3\0NULL", 16) + std::string(48, '\0')};
  const auto storm = [&] {
    for (std::size_t i = 0; i < 10'000; ++i) test::scribble(path(), bytes[i % bytes.size()]);
  };
  storm();
  ASSERT_TRUE(test::eventually([&] { return answers(); }));
#ifdef __SANITIZE_THREAD__  // which takes 40 MiB for itself once, in whichever storm; what leaks grows in each
  constexpr int kStorms = 5;
#else
  constexpr int kStorms = 1;
#endif
  std::size_t before = test::resident_kib(server.pid());
  std::size_t least_grown = std::numeric_limits<std::size_t>::max();
  for (int i = 0; i < kStorms; ++i) {
    storm();
    EXPECT_TRUE(server.running());
    ASSERT_TRUE(test::eventually([&] { return answers(); }));
    const std::size_t after = test::resident_kib(server.pid());
    least_grown = std::min(least_grown, after - std::min(before, after));
    before = after;
  }
#ifndef __SANITIZE_ADDRESS__  // which keeps what was freed
  EXPECT_LT(least_grown, 8192U);
#else
  EXPECT_GT(before, 0U);
#endif
}

TEST_F(ExhaustionTest, ten_thousand_connections_held_open_are_limited_and_the_next_one_after_them_is_served) {
  rlimit mine{};
  ::getrlimit(RLIMIT_NOFILE, &mine);
  if (mine.rlim_cur < 11'000) GTEST_SKIP() << "this test needs 11 000 descriptors, ulimit -n is " << mine.rlim_cur;
  Child server = serve(256);
  ASSERT_TRUE(test::eventually([&] { return answers(); }));
  std::vector<UniqueFd> held;
  for (int i = 0; i < 10'000; ++i) {
    if (auto fd = connect_to(path())) held.push_back(std::move(fd));
  }
  EXPECT_TRUE(server.running());
  EXPECT_GT(held.size(), 200U);
  const std::size_t taken = held.size();
  held.clear();
  ASSERT_TRUE(test::eventually([&] { return answers(); })) << "after " << taken << " connections";
  EXPECT_TRUE(test::eventually([&] { return turned_away() > 1000; }));
}

TEST_F(ExhaustionTest, without_a_single_descriptor_left_it_refuses_connections_and_goes_on_when_there_are_some) {
  std::array<int, 2> orders{};
  std::array<int, 2> done{};
  ASSERT_EQ(::pipe2(orders.data(), O_CLOEXEC), 0);
  ASSERT_EQ(::pipe2(done.data(), O_CLOEXEC), 0);
  Child server = serve(512, orders[0], done[1]);
  ASSERT_TRUE(test::eventually([&] { return answers(); }));
  const auto early = test::must(Client::connect(endpoint()));
  ASSERT_TRUE(early->call("status", json::object(), 5s));
  const auto order = [&] {
    char byte = 'x';
    return ::write(orders[1], &byte, 1) == 1 && ::read(done[0], &byte, 1) == 1;
  };
  ASSERT_TRUE(order());  // it has none left
  for (int i = 0; i < 500; ++i) {
    connect_to(path()).reset();
  }
  EXPECT_TRUE(early->call("status", json::object(), 5s)) << "who was connected before is served";
  EXPECT_FALSE(answers());
  EXPECT_TRUE(server.running());
  ASSERT_TRUE(order());
  EXPECT_TRUE(test::eventually([&] { return answers(); }));
}

}  // namespace
}  // namespace peaknet::control
