#include "live/zmtp.hpp"

#include <gtest/gtest.h>

#include <random>

#include "base/must.hpp"

namespace peaknet::live {
namespace {

Bytes bytes(const std::string& text) { return {text.begin(), text.end()}; }

Bytes operator+(Bytes left, const Bytes& right) {
  for (const std::uint8_t byte : right) left.push_back(byte);  // gcc 12 warns of insert() in short ones
  return left;
}

Bytes greeting(const std::string& mechanism = "NULL", std::uint8_t major = 3) {
  Bytes out{0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, major, 1};
  for (const char c : mechanism) out.push_back(static_cast<std::uint8_t>(c));
  out.resize(64, 0);
  return out;
}

Bytes ready(const std::string& type = "REQ") {
  Bytes body =
      bytes(std::string("\x05READY\x0bSocket-Type") + std::string(3, '\0') + static_cast<char>(type.size()) + type);
  Bytes out{4, static_cast<std::uint8_t>(body.size())};
  return out + body;
}

const Bytes kAsk = Bytes{1, 0, 0, 4} + bytes("next");

TEST(ZmtpPeer, TakesRequestsHoweverTheirBytesAreCut) {
  const Bytes all = greeting() + ready() + kAsk + kAsk;
  for (std::size_t piece = 1; piece <= all.size(); ++piece) {
    ZmtpPeer peer;
    for (std::size_t at = 0; at < all.size(); at += piece)
      must(peer.receive(std::span(all).subspan(at, std::min(piece, all.size() - at))));
    ASSERT_TRUE(peer.ready() && peer.is_req()) << piece;
    for (int i = 0; i < 2; ++i) {
      const auto request = peer.next_request();
      ASSERT_TRUE(request) << piece;
      EXPECT_EQ(request->text, "next");
      EXPECT_EQ(request->envelope, ZmtpPeer::plain_envelope());
    }
    EXPECT_FALSE(peer.next_request());
  }
}

TEST(ZmtpPeer, GivesBackTheEnvelopeOfARequestThatHasANumber) {
  ZmtpPeer peer;
  must(peer.receive(greeting() + ready() + Bytes{1, 4, 9, 8, 7, 6} + kAsk));
  const auto request = peer.next_request();
  ASSERT_TRUE(request);
  EXPECT_EQ(ZmtpPeer::message(request->envelope, bytes("hit")), (Bytes{1, 4, 9, 8, 7, 6, 1, 0, 0, 3} + bytes("hit")));
}

TEST(ZmtpPeer, AnswersAHeartbeat) {
  ZmtpPeer peer;
  must(peer.receive(greeting() + ready()));
  peer.take_output();
  must(peer.receive(Bytes{4, 9} + bytes("\x04PING") + Bytes{0, 9} + bytes("ab")));
  EXPECT_EQ(peer.take_output(), (Bytes{4, 7} + bytes("\x04PONG") + bytes("ab")));
}

TEST(ZmtpPeer, RefusesWhatItCannotServe) {
  for (const Bytes& input : {greeting("CURVE"), greeting("NULL", 2), greeting() + ready("SUB"), greeting() + kAsk,
                             greeting() + ready() + Bytes{2, 0, 0, 0, 0, 0, 1, 0, 0}, bytes(std::string(64, 'G')),
                             greeting() + ready() + Bytes{0x88, 0}}) {
    ZmtpPeer peer;
    const auto taken = peer.receive(input);
    ASSERT_FALSE(taken.ok());
    EXPECT_EQ(taken.error().id, "zmtp.refused");
  }
}

TEST(ZmtpPeer, ReadsNothingBesideWhatStrangersSend) {
  std::mt19937_64 random(20261130);
  const Bytes good = greeting() + ready() + kAsk + Bytes{4, 9} + bytes("\x04PING") + Bytes{0, 9} + bytes("ab") + kAsk;
  for (int round = 0; round < 20'000; ++round) {
    Bytes input = good;
    for (int change = 0; change < 3; ++change) input[random() % input.size()] = static_cast<std::uint8_t>(random());
    input.resize(random() % (input.size() + 1));
    ZmtpPeer peer;
    (void)peer.receive(input);
    while (peer.next_request()) {
    }
  }
}

}  // namespace
}  // namespace peaknet::live
