// What a ZeroMQ DEALER says, as bytes, and a connection that says it without libzmq: for what libzmq never does.
#pragma once

#include <initializer_list>
#include <string>

#include "base/unique_fd.hpp"

namespace peaknet::test {

std::string bytes(std::initializer_list<int> values);
std::string times(int count, const std::string& text);

std::string zmtp_hello();                                    // of ZMTP 3.0, mechanism NULL
std::string zmtp_frame(const std::string& body, int flags);  // of up to 255 bytes
std::string zmtp_i_am_ready(const std::string& socket_type = "DEALER");

// Connected to a Unix socket; none if nobody takes the connection.
UniqueFd connect_to(const std::string& path);
// The same, and what the server says up to its READY has come.
UniqueFd shake_hands(const std::string& path);
// As long as the socket takes it; what it took.
std::size_t send_all(const UniqueFd& fd, const std::string& text);
// Everything until the other end closes the connection.
std::string read_to_the_end(const UniqueFd& fd);

}  // namespace peaknet::test
