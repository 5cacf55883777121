#include "tests/unit/control/raw_client.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace peaknet::test {

RawClient::RawClient(const std::string& endpoint) {
  dealer_.set(zmq::sockopt::linger, 0);
  dealer_.set(zmq::sockopt::sndhwm, 0);  // it never waits to send: also not to a server that reads no more from it
  dealer_.connect(endpoint);
}

void RawClient::send_parts(const std::vector<std::string>& parts) {
  for (std::size_t i = 0; i < parts.size(); ++i) {
    dealer_.send(zmq::buffer(parts[i]), i + 1 < parts.size() ? zmq::send_flags::sndmore : zmq::send_flags::none);
  }
}

std::optional<nlohmann::json> RawClient::reply(std::chrono::milliseconds at_most) {
  dealer_.set(zmq::sockopt::rcvtimeo, static_cast<int>(at_most.count()));
  zmq::message_t message;
  if (!dealer_.recv(message) || message.more()) return std::nullopt;
  auto document = nlohmann::json::parse(message.to_string_view(), nullptr, false);
  if (document.is_discarded()) return std::nullopt;
  return document;
}

std::size_t RawClient::replies_until_now() {
  send(R"({"jsonrpc":"2.0","id":"the last one","method":"rpc.discover"})");
  for (std::size_t before = 0;; ++before) {
    const auto document = reply();
    if (!document || (*document)["id"] == "the last one") return before;
  }
}

void scribble(const std::string& path, const std::string& bytes) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
    [[maybe_unused]] const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }
  ::close(fd);
}

}  // namespace peaknet::test
