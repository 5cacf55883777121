// The guard of frames: libzmq 4.3.4 bounds the size of a frame (ZMQ_MAXMSGSIZE), but not how many frames one message
// has: it keeps them all until the last has come, so one stranger with an endless message takes all the memory there
// is. So whoever links the server has a recv of ours, which libzmq calls in place of the C library's: it follows the
// frames of each connection as they come in, and where a message has more of them, or more in them, than a reply is
// worth, libzmq is told ECONNRESET, and closes the connection.
//
// Followed are the connections that accept4 took (control/accept_guard.hpp); all others are as they were. It knows ZMTP
// 3 and what libzmq does with the older forms, and looks at nothing but lengths. Within CURVE the parts of a message
// are hidden; there only those have a say whose key is in the list. libzmq's I/O thread alone calls it, one per
// process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace peaknet::control {

inline constexpr int kMostParts = 512;                 // of one message; the server itself takes one
inline constexpr std::uint64_t kMostBytes = 1U << 20;  // of a message of several parts

// What has come in on one connection, as far as it matters. A value; the bytes may come in pieces of any size.
class FrameCounter {
 public:
  // False: the message that is coming in is too long, in parts or in bytes. It stays so.
  bool take(std::span<const std::byte> bytes);

 private:
  enum class Stage : std::uint8_t { first, signature, version, flags, length, over };
  void after_length();

  Stage stage_ = Stage::first;
  bool old_ = false;         // ZMTP 1: the length comes before the flags
  bool more_ = false;        // the frame is not the last of its message
  bool command_ = false;     // the frame is no part of any message
  std::uint8_t digits_ = 0;  // of the length that are still to come
  int parts_ = 0;            // of the message that is coming in
  std::uint64_t bytes_ = 0;  // in them
  std::uint64_t length_ = 0;
  std::uint64_t skip_ = 0;  // bytes to pass over
};

// accept4 took a connection, or it was closed and its number is another's now: begin anew.
void follow_frames(int fd);

// Connections that were closed because of it, since the process began.
unsigned long overlong_messages();

}  // namespace peaknet::control
