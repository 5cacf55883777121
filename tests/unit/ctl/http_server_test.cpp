#include "ctl/http_server.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <thread>

#include "base/must.hpp"
#include "tests/support/child.hpp"
#include "tests/unit/ctl/http_client.hpp"

namespace peaknet::ctl {
namespace {

using test::asked;
using test::connected;
using test::got;
using test::heard;
using test::say;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

// A server in a thread of this process. "/a" is a text, "/stream" a stream, "/large" two million bytes.
class HttpServerTest : public testing::Test {
 protected:
  explicit HttpServerTest(std::chrono::milliseconds head = std::chrono::seconds(2))
      : server_(must(HttpServer::listen("127.0.0.1:0", head))) {
    serving_ = std::jthread([this] { server_.serve(signals_, [this](const HttpRequest& r) { return answer(r); }); });
  }
  ~HttpServerTest() override {
    ::kill(::getpid(), SIGTERM);
    serving_.join();
  }
  std::uint16_t port() const { return server_.port(); }
  HttpServer& server() { return server_; }

 private:
  static HttpResponse answer(const HttpRequest& request) {
    if (request.path == "/a") return HttpResponse::of(200, "text/x", "query " + request.query);
    if (request.path == "/who") return HttpResponse::of(200, "text/x", request.authorization);
    if (request.path == "/large") return HttpResponse::of(200, "text/x", std::string(2'000'000, 'x'));
    if (request.path != "/stream") return HttpResponse::of(404, "text/x", "no");
    HttpResponse response = HttpResponse::of(200, "text/event-stream", "data: 0\n\n");
    response.stream = true;
    return response;
  }

  StopSignal signals_;  // before any thread
  HttpServer server_;
  std::jthread serving_;
};

TEST_F(HttpServerTest, get_and_head_are_answered_and_nothing_else) {
  EXPECT_THAT(got(port(), "/a?x=1"), StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(got(port(), "/a?x=1"), EndsWith("\r\n\r\nquery x=1"));
  EXPECT_THAT(got(port(), "/who", "Authorization: Bearer b\r\n"), EndsWith("Bearer b"));
  const std::string head = asked(port(), "HEAD /a?x=1 HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_THAT(head, HasSubstr("Content-Length: 9\r\n"));
  EXPECT_THAT(head, EndsWith("\r\n\r\n"));
  EXPECT_THAT(got(port(), "/etc/passwd"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(asked(port(), "POST /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc"),
              StartsWith("HTTP/1.1 405 "));
  EXPECT_THAT(asked(port(), "nonsense\r\n\r\n"), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(asked(port(), std::string(100'000, 'x')), StartsWith("HTTP/1.1 400 "));
  EXPECT_EQ(asked(port(), "GET "), "");
}

// DNS rebinding: a page of elsewhere whose name was made to mean this machine.
TEST_F(HttpServerTest, who_calls_this_machine_by_another_name_gets_nothing) {
  for (const char* host : {"evil.example", "evil.example:9290", "127.0.0.1.evil.example", "localhost.evil.example",
                           "127.0.0.1:80@evil.example", "localhost:evil.example"})
    EXPECT_THAT(asked(port(), std::string("GET /a HTTP/1.1\r\nHost: ") + host + "\r\n\r\n"),
                StartsWith("HTTP/1.1 421 "));
  EXPECT_THAT(asked(port(), "GET /a HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n"),
              StartsWith("HTTP/1.1 400 "));
  for (const char* host : {"127.0.0.1:9290", "localhost:1", "[::1]:80", "localhost", "LocalHost:1"})
    EXPECT_THAT(asked(port(), std::string("GET /a HTTP/1.1\r\nHost: ") + host + "\r\n\r\n"),
                StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(asked(port(), "GET /a HTTP/1.0\r\n\r\n"), StartsWith("HTTP/1.1 200 "));
}

TEST_F(HttpServerTest, a_stream_gets_what_is_pushed) {
  const int fd = connected(port());
  ASSERT_TRUE(say(fd, "GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n"));
  EXPECT_THAT(heard(fd, "data: 0\n\n"), HasSubstr("text/event-stream"));
  std::atomic<bool> enough{false};
  std::jthread pushing([&] {
    while (!enough) {
      server().push(std::make_shared<const std::string>("data: 1\n\n"));
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  EXPECT_THAT(heard(fd, "data: 1\n\n"), HasSubstr("data: 1\n\n"));
  enough = true;
  ::close(fd);
}

// Each sends a byte now and then, for ever: a deadline for each read, or a thread for each, would be kept by them.
TEST_F(HttpServerTest, peers_that_send_a_byte_at_a_time_cost_the_others_nothing) {
  std::vector<int> slow;
  for (int i = 0; i < 200; ++i) slow.push_back(connected(port()));
  for (const char byte : std::string("GET /a"))
    for (const int fd : slow) ASSERT_TRUE(say(fd, std::string(1, byte)));
  EXPECT_THAT(got(port(), "/a"), StartsWith("HTTP/1.1 200 "));
  // They go on, and are ended all the same.
  EXPECT_TRUE(test::eventually([&] {
    say(slow.front(), "x");
    char byte = 0;
    return ::recv(slow.front(), &byte, 1, MSG_DONTWAIT) == 0 || errno == ECONNRESET;
  }));
  for (const int fd : slow) ::close(fd);
}

// They have all the time of the world.
class PatientHttpServerTest : public HttpServerTest {
 protected:
  PatientHttpServerTest() : HttpServerTest(std::chrono::hours(1)) {}
};

TEST_F(PatientHttpServerTest, more_peers_than_there_is_room_for_keep_nobody_out) {
  std::vector<int> silent;
  for (std::size_t i = 0; i < 3 * HttpServer::kMostConnections; ++i) {
    silent.push_back(connected(port()));
    ASSERT_TRUE(i % 2 == 0 || say(silent.back(), "GET /"));
  }
  for (int i = 0; i < 3; ++i) EXPECT_THAT(got(port(), "/a"), StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(heard(silent.front()), "") << "the oldest had to go";
  ASSERT_TRUE(say(silent.back(), " HTTP/1.1\r\nHost: localhost\r\n\r\n"));
  EXPECT_THAT(heard(silent.back()), StartsWith("HTTP/1.1 ")) << "the youngest has its turn";
  for (const int fd : silent) ::close(fd);
}

TEST_F(HttpServerTest, a_stream_that_reads_nothing_costs_the_others_nothing) {
  const int idle = connected(port(), 4096);
  ASSERT_TRUE(say(idle, "GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n"));
  const int lively = connected(port());
  ASSERT_TRUE(say(lively, "GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n"));
  heard(lively, "data: 0\n\n");
  const auto event = std::make_shared<const std::string>("data: " + std::string(300'000, 'y') + "\n\n");
  for (int i = 0; i < 20; ++i) {
    std::atomic<bool> enough{false};
    std::jthread pushing([&] {
      while (!enough) {
        server().push(event);
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    });
    EXPECT_THAT(heard(lively, "y\n\n"), HasSubstr("yyyy"));
    enough = true;
  }
  EXPECT_THAT(got(port(), "/a"), StartsWith("HTTP/1.1 200 "));
  ::close(idle);
  ::close(lively);
}

// A shift with many screens: each gets every event that it has room for, whatever one does that reads a byte at a time.
TEST_F(HttpServerTest, fifty_streams_get_their_events_beside_one_that_reads_a_byte_at_a_time) {
  const int slow = connected(port(), 4096);
  ASSERT_TRUE(say(slow, "GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n"));
  std::vector<int> streams;
  for (int i = 0; i < 50; ++i) {
    streams.push_back(connected(port()));
    ASSERT_TRUE(say(streams.back(), "GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    ASSERT_THAT(heard(streams.back(), "data: 0\n\n"), StartsWith("HTTP/1.1 200 "));
  }
  for (int event = 1; event <= 30; ++event) {
    const std::string end = "end " + std::to_string(event) + "\n\n";
    const auto pushed = std::make_shared<const std::string>("data: " + std::string(16'000, 'y') + end);
    std::jthread pushing([&](const std::stop_token& enough) {
      while (!enough.stop_requested()) {
        server().push(pushed);
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    });
    char byte = 0;
    ASSERT_EQ(::recv(slow, &byte, 1, 0), 1);
    for (const int fd : streams) ASSERT_THAT(heard(fd, end), HasSubstr("yyyy")) << event;
    ASSERT_THAT(got(port(), "/a"), StartsWith("HTTP/1.1 200 "));
  }
  for (const int fd : streams) ::close(fd);
  ::close(slow);
}

TEST_F(HttpServerTest, streams_beyond_the_limit_are_told_so) {
  std::vector<int> streams;
  for (std::size_t i = 0; i < HttpServer::kMostStreams; ++i) {
    streams.push_back(connected(port()));
    ASSERT_TRUE(say(streams.back(), "GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    ASSERT_THAT(heard(streams.back(), "data: 0\n\n"), StartsWith("HTTP/1.1 200 "));
  }
  EXPECT_THAT(got(port(), "/stream"), StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(got(port(), "/a"), StartsWith("HTTP/1.1 200 "));
  for (const int fd : streams) ::close(fd);
  EXPECT_TRUE(test::eventually([&] {
    const int fd = connected(port());
    say(fd, "GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n");
    const bool served = heard(fd, "\r\n\r\n").starts_with("HTTP/1.1 200 ");
    ::close(fd);
    return served;
  })) << "a page that was closed makes room";
}

TEST(HttpServerAddress, other_machines_are_not_served) {
  for (const char* address : {"0.0.0.0:9290", "127.0.0.1", "127.0.0.1:99999", "localhost:1", "[::]:1", ":1", ""})
    EXPECT_EQ(HttpServer::listen(address).error().id, "http.not-loopback") << address;
}

}  // namespace
}  // namespace peaknet::ctl
