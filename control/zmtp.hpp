// ZMTP: what a ZeroMQ client says over one connection, and what it is answered: ZMTP 3 with the mechanism NULL
// (rfc.zeromq.org/spec/23), the server's side, as far as requests of one frame need it. libzmq has spoken it since 4.0.
//
// The answers are base/zmtp.hpp's: greeting, ready to `greeted`, pong to `ping`.
//
// Without sockets: bytes go in, in pieces of any size, events come out. A reader keeps no more than one frame and what
// was fed at once, however long a message grows. Threads: one at a time.
// Errors: an event `broken` with the reason, after which there is none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace peaknet::control {

inline constexpr int kMostParts = 512;                   // of one message; a request has one
inline constexpr std::size_t kMostPartBytes = 1U << 20;  // of a message of several parts
inline constexpr std::size_t kMostPingBytes = 16;        // that come back with the answer

struct ZmtpEvent {
  enum class Kind : std::uint8_t { none, greeted, ready, ping, message, broken };
  Kind kind = Kind::none;  // none: more bytes are needed
  std::string text = {};   // message: its frame; ping: what the answer carries; broken: the reason
  int parts = 0;           // of a message; of several none is kept
};

class ZmtpReader {
 public:
  void feed(std::string_view bytes);
  ZmtpEvent next();

 private:
  enum class Stage : std::uint8_t { greeting, handshake, messages, broken };
  ZmtpEvent take_greeting();
  ZmtpEvent take_command(std::string_view body);
  ZmtpEvent take_part(std::string_view body, bool more);
  ZmtpEvent give_up(std::string why);
  std::string_view rest() const { return std::string_view(bytes_).substr(at_); }

  Stage stage_ = Stage::greeting;
  std::string bytes_;
  std::size_t at_ = 0;  // taken of them
  int parts_ = 0;       // of the message that is coming in
  std::size_t part_bytes_ = 0;
};

std::string zmtp_message(std::string_view text);  // one frame

}  // namespace peaknet::control
