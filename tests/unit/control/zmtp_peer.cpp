#include "tests/unit/control/zmtp_peer.hpp"

#include <sys/socket.h>
#include <sys/un.h>

#include <array>

namespace peaknet::test {

std::string bytes(std::initializer_list<int> values) {
  std::string text;
  for (const int value : values) text += static_cast<char>(value);
  return text;
}

std::string times(int count, const std::string& text) {
  std::string all;
  for (int i = 0; i < count; ++i) all += text;
  return all;
}

std::string zmtp_hello() {
  return bytes({0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0}) + "NULL" + std::string(16 + 1 + 31, '\0');
}

std::string zmtp_frame(const std::string& body, int flags) {
  return bytes({flags, static_cast<int>(body.size())}) + body;
}

std::string zmtp_i_am_ready(const std::string& socket_type) {
  return zmtp_frame(bytes({5}) + "READY" + bytes({11}) + "Socket-Type" +
                        bytes({0, 0, 0, static_cast<int>(socket_type.size())}) + socket_type,
                    4);
}

UniqueFd connect_to(const std::string& path) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fd.reset();
  return fd;
}

UniqueFd shake_hands(const std::string& path) {
  UniqueFd fd = connect_to(path);
  send_all(fd, zmtp_hello() + zmtp_i_am_ready());
  std::string welcome;
  for (std::array<char, 256> some{}; welcome.find("Identity") == std::string::npos;) {
    const ssize_t got = ::recv(fd.get(), some.data(), some.size(), 0);
    if (got <= 0) return UniqueFd();
    welcome.append(some.data(), static_cast<std::size_t>(got));
  }
  return fd;
}

std::size_t send_all(const UniqueFd& fd, const std::string& text) {
  std::size_t sent = 0;
  while (sent < text.size()) {
    const ssize_t some = ::send(fd.get(), text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
    if (some <= 0) break;
    sent += static_cast<std::size_t>(some);
  }
  return sent;
}

std::string read_to_the_end(const UniqueFd& fd) {
  std::string all;
  for (std::array<char, 4096> some{};;) {
    const ssize_t got = ::recv(fd.get(), some.data(), some.size(), 0);
    if (got <= 0) return all;
    all.append(some.data(), static_cast<std::size_t>(got));
  }
}

}  // namespace peaknet::test
