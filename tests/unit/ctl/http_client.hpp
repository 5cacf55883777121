// The other side of HttpServer, byte by byte. A server that does not answer is waited for as long as the test lasts.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <string>

namespace peaknet::test {

// A connection to that port of this machine; -1 where nobody listens.
inline int connected(std::uint16_t port, int receive_buffer = 0) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (receive_buffer > 0) ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
  ::close(fd);
  return -1;
}

inline bool say(int fd, const std::string& text) {
  return ::send(fd, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
}

// What comes until `enough` is in it, or the other side has ended.
inline std::string heard(int fd, const std::string& enough = {}) {
  std::string text;
  std::array<char, 4096> bytes{};
  for (ssize_t size = ::recv(fd, bytes.data(), bytes.size(), 0); size > 0;
       size = ::recv(fd, bytes.data(), bytes.size(), 0)) {
    text.append(bytes.data(), static_cast<std::size_t>(size));
    if (!enough.empty() && text.find(enough) != std::string::npos) break;
  }
  return text;
}

// The whole answer to one request.
inline std::string asked(std::uint16_t port, const std::string& request) {
  const int fd = connected(port);
  if (fd < 0) return {};
  say(fd, request);
  ::shutdown(fd, SHUT_WR);
  std::string answer = heard(fd);
  ::close(fd);
  return answer;
}

inline std::string got(std::uint16_t port, const std::string& target, const std::string& fields = {}) {
  return asked(port, "GET " + target + " HTTP/1.1\r\nHost: 127.0.0.1\r\n" + fields + "\r\n");
}

}  // namespace peaknet::test
