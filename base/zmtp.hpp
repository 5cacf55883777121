// The bytes of ZMTP 3 with the mechanism NULL (rfc.zeromq.org/spec/23), as a server needs them: what both servers of
// ours share, control/ipc_server.hpp and live/request_server.hpp. What each believes of a peer is its own matter.
//
// Threads: any. Errors: none; what is not whole yet, or no ZMTP, is nullopt.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace peaknet::zmtp {

inline constexpr std::size_t kGreetingBytes = 64;
inline constexpr std::size_t kVersionAt = 10, kMechanismAt = 12, kMechanismBytes = 20;  // in a greeting
inline constexpr unsigned kMore = 1, kLong = 2, kCommand = 4;                           // flags of a frame

unsigned byte_at(std::string_view bytes, std::size_t at);

std::string mechanism();  // as it stands in a greeting
std::string greeting();   // a server's, which may be sent at once
std::string ready();      // the command that answers a greeting, of a ROUTER
std::string pong(std::string_view context);

// What stands before the body of a frame.
std::string head(unsigned flags, std::size_t body_bytes);
struct Head {
  unsigned flags;
  std::size_t bytes;  // of the head itself
  std::uint64_t body_bytes;
};
std::optional<Head> read_head(std::string_view bytes);  // nullopt: more bytes are needed; the flags may be any

// Of the properties of READY: the type of the peer's socket, empty where none is named. nullopt: they are cut.
std::optional<std::string_view> socket_type(std::string_view properties);

}  // namespace peaknet::zmtp
