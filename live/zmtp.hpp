// ZmtpPeer: one connection of a ZeroMQ REQ socket, as its server sees it: bytes in, requests out. ZMTP 3.0 without
// security (rfc.zeromq.org/spec/23, mechanism NULL).
//
// Why not libzmq: it takes a reply and says nothing of it afterwards. Here the end of a reply is the moment at which a
// hit counts as served, and a peer that waits for a reply which died with the process before must be seen although it
// says nothing (request_server.hpp). Neither can be had from a ROUTER socket.
//
// Threads: one at a time. Errors: zmtp.refused; the connection is of no use then.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace peaknet::live {

using Bytes = std::vector<std::uint8_t>;

class ZmtpPeer {
 public:
  struct Request {
    std::vector<Bytes> envelope;  // goes back before the reply
    std::string text;
  };

  ZmtpPeer();  // its first output is our greeting

  Status receive(std::span<const std::uint8_t> bytes);
  // Whole requests, in order.
  std::optional<Request> next_request();
  // What the protocol itself has to say, to be sent before anything else; empty: nothing.
  Bytes take_output() { return std::exchange(output_, {}); }

  bool ready() const { return stage_ == Stage::traffic; }  // both have greeted each other
  bool is_req() const { return socket_type_ == "REQ"; }

  // A message as it goes over the wire.
  static Bytes message(const std::vector<Bytes>& envelope, const Bytes& body);
  // The envelope of every request of a REQ socket that does not number them.
  static std::vector<Bytes> plain_envelope() { return {Bytes{}}; }

 private:
  enum class Stage { greeting, handshake, traffic };
  struct Frame {
    unsigned flags;
    std::span<const std::uint8_t> body;
    std::size_t bytes;  // with its head
  };
  Result<std::optional<Frame>> frame(std::span<const std::uint8_t> bytes) const;
  Status greeting(std::span<const std::uint8_t> bytes);
  Status command(std::span<const std::uint8_t> body);
  Status read_ready(std::span<const std::uint8_t> properties);
  Status part(const Frame& frame);

  Stage stage_ = Stage::greeting;
  std::string socket_type_;
  Bytes input_;
  Bytes output_;
  std::vector<Bytes> parts_;  // of the message that comes in
  std::deque<Request> requests_;
};

}  // namespace peaknet::live
