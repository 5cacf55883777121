// What is taken from the bytes of one connection, in pieces of any size, and what ends it.
#include "control/zmtp.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <string>
#include <vector>

#include "base/zmtp.hpp"

#include "control/protocol.hpp"
#include "tests/unit/control/zmtp_peer.hpp"

namespace peaknet::control {
namespace {

using test::bytes;
using test::times;
using test::zmtp_frame;
using test::zmtp_hello;
using test::zmtp_i_am_ready;
using Kind = ZmtpEvent::Kind;

const std::string kLongFrame = bytes({2, 0, 0, 0, 0, 0, 1, 0, 0}) + std::string(65536, '\x01');

// All that comes of a text that is fed in pieces of this size.
std::vector<ZmtpEvent> events_of(const std::string& text, std::size_t piece) {
  std::vector<ZmtpEvent> events;
  ZmtpReader reader;
  for (std::size_t at = 0; at < text.size(); at += piece) {
    reader.feed(std::string_view(text).substr(at, piece));
    for (auto event = reader.next(); event.kind != Kind::none; event = reader.next()) events.push_back(event);
  }
  return events;
}
std::string why_broken(const std::string& text, std::size_t piece = 7) {
  const auto events = events_of(text, piece);
  return events.empty() || events.back().kind != Kind::broken ? "not broken" : events.back().text;
}
std::string spoken(const std::string& text) { return zmtp_hello() + zmtp_i_am_ready() + text; }

TEST(Zmtp, a_conversation_gives_its_messages_however_it_is_cut) {
  for (const std::size_t piece : {1UL, 3UL, 64UL, 1UL << 20}) {
    const auto events = events_of(spoken(zmtp_frame("one", 0) + kLongFrame + zmtp_frame("", 0)), piece);
    ASSERT_EQ(events.size(), 5U) << piece;
    EXPECT_EQ(events[0].kind, Kind::greeted);
    EXPECT_EQ(events[1].kind, Kind::ready);
    EXPECT_EQ(events[2].text, "one");
    EXPECT_EQ(events[3].text, std::string(65536, '\x01'));
    EXPECT_EQ(events[4].kind, Kind::message);
    EXPECT_EQ(events[4].parts, 1);
  }
}

TEST(Zmtp, of_several_parts_the_number_alone_is_kept) {
  for (const std::size_t piece : {1UL, 3UL, 64UL, 1UL << 20}) {
    const std::string message = times(kMostParts - 1, zmtp_frame("part", 1)) + zmtp_frame("last", 0);
    const auto events = events_of(spoken(times(3, message) + zmtp_frame("one", 0)), piece);
    ASSERT_EQ(events.size(), 6U);
    for (const std::size_t i : {2U, 3U, 4U}) {
      EXPECT_EQ(events[i].parts, kMostParts);
      EXPECT_EQ(events[i].text, "");
    }
    EXPECT_EQ(events[5].text, "one");
    EXPECT_EQ(events[5].parts, 1);
  }
}

TEST(Zmtp, a_message_that_goes_on_for_too_long_breaks_the_connection) {
  for (const std::size_t piece : {1UL, 3UL, 64UL, 1UL << 20}) {
    const std::string first = zmtp_frame("a", 1) + zmtp_frame("b", 0);
    EXPECT_EQ(why_broken(spoken(first + times(kMostParts, zmtp_frame("part", 1))), piece),
              "a message that did not end after 512 parts with 2048 bytes came in");
    EXPECT_NE(why_broken(spoken(times(kMostParts, zmtp_frame("x", 1) + zmtp_frame("\4PING", 4))), piece), "not broken")
        << "a command between the parts";
  }
  const std::string large = bytes({3, 0, 0, 0, 0, 0, 1, 0, 0}) + std::string(65536, '\x01');
  EXPECT_EQ(why_broken(spoken(times(15, large) + zmtp_frame("last", 0) + times(15, large)), 4096), "not broken");
  EXPECT_EQ(why_broken(spoken(times(16, large)), 4096),
            "a message that did not end after 16 parts with 1048576 bytes came in");
}

TEST(Zmtp, a_frame_over_the_limit_breaks_it_before_it_has_come) {
  EXPECT_EQ(why_broken(spoken(bytes({2, 0, 0, 0, 0, 0, 1, 0, 1}))), "a frame of 65537 bytes came in");
  EXPECT_EQ(why_broken(spoken(bytes({2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}))),
            "a frame of 18446744073709551615 bytes came in");
}

TEST(Zmtp, strangers_are_known_by_their_first_bytes) {
  EXPECT_EQ(why_broken("GET / HTTP/1.1\r\n"), "no ZeroMQ came in");
  EXPECT_EQ(why_broken(std::string(10, '\xff')), "no ZeroMQ came in");
  EXPECT_EQ(why_broken(bytes({0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 1})), "ZMTP 1 came in, which is older than 3");
  EXPECT_EQ(why_broken(bytes({0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0}) + "CURVE"),
            "another security mechanism than NULL is asked for");
  EXPECT_EQ(why_broken(zmtp_hello() + zmtp_frame("too early", 0)), "a message came in before READY");
  EXPECT_EQ(why_broken(zmtp_hello() + zmtp_frame("\4PING", 4)), "no READY of a DEALER, REQ or ROUTER came in");
  EXPECT_EQ(why_broken(zmtp_hello() + zmtp_i_am_ready("SUB")), "no READY of a DEALER, REQ or ROUTER came in");
  EXPECT_EQ(why_broken(zmtp_hello() + zmtp_frame("\5READY\xff", 4)), "no READY of a DEALER, REQ or ROUTER came in");
  EXPECT_EQ(
      why_broken(zmtp_hello() + zmtp_frame(bytes({5}) + "READY" + bytes({1}) + "a" + bytes({0xff, 0xff, 0, 9}), 4)),
      "no READY of a DEALER, REQ or ROUTER came in");
  EXPECT_EQ(why_broken(zmtp_hello() + zmtp_frame("", 4)), "a command without a name came in");
  EXPECT_EQ(why_broken(spoken(bytes({8, 0}))), "a frame with unknown flags came in");
  EXPECT_EQ(why_broken(spoken(bytes({5, 0}))), "a frame with unknown flags came in");
  EXPECT_EQ(why_broken(spoken(zmtp_frame("\5ERROR", 4))), "the peer says that it cannot go on");
  for (const char* asker : {"DEALER", "REQ", "ROUTER"})
    EXPECT_EQ(why_broken(zmtp_hello() + zmtp_i_am_ready(asker)), "not broken") << asker;
}

TEST(Zmtp, a_heartbeat_is_answered_with_what_it_carries) {
  const auto events = events_of(spoken(zmtp_frame(bytes({4}) + "PING" + bytes({0, 10}) + "context", 4)), 1);
  ASSERT_EQ(events.size(), 3U);
  EXPECT_EQ(events[2].kind, Kind::ping);
  EXPECT_EQ(events[2].text, "context");
  EXPECT_EQ(zmtp::pong("context"), zmtp_frame("\4PONGcontext", 4));
}

TEST(Zmtp, what_we_say_is_what_another_reader_understands) {
  ZmtpReader reader;
  reader.feed(zmtp::greeting());
  EXPECT_EQ(reader.next().kind, Kind::greeted);
  reader.feed(zmtp::ready());
  EXPECT_EQ(reader.next().kind, Kind::ready);
  for (const std::size_t size : {0UL, 1UL, 255UL, 256UL, 65536UL}) {
    reader.feed(zmtp_message(std::string(size, 'x')));
    const auto event = reader.next();
    EXPECT_EQ(event.kind, Kind::message);
    EXPECT_EQ(event.text, std::string(size, 'x'));
  }
}

TEST(Zmtp, of_mutilated_conversations_nothing_comes_that_is_out_of_bounds_and_nothing_after_the_break) {
  std::mt19937 random(17);
  const std::string sound = spoken(zmtp_frame("a", 1) + zmtp_frame("b", 0) + kLongFrame.substr(0, 3000) +
                                   zmtp_frame(bytes({4}) + "PING" + bytes({0, 10}) + "context", 4));
  for (int round = 0; round < 20'000; ++round) {
    std::string text = sound;
    for (auto edits = 1 + random() % 4; edits > 0; --edits)
      text[random() % std::min<std::size_t>(text.size(), 200)] = static_cast<char>(random());
    bool broken = false;
    for (const ZmtpEvent& event : events_of(text, 1 + random() % 400)) {
      EXPECT_FALSE(broken) << "round " << round;
      broken = event.kind == Kind::broken;
      EXPECT_TRUE(event.kind != Kind::message || (event.parts >= 1 && event.parts <= kMostParts)) << "round " << round;
      EXPECT_LE(event.text.size(), event.kind == Kind::ping ? kMostPingBytes : kMaxRequestBytes) << "round " << round;
    }
  }
}

}  // namespace
}  // namespace peaknet::control
