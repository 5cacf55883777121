#include "ctl/http_server.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <utility>
#include <vector>

namespace peaknet::ctl {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kPatience{2};  // for a connection from begin to end
constexpr std::size_t kLongestRequest = 8192;

Result<sockaddr_in> parse_address(const std::string& text) {
  const Error wrong{"exporter.not-loopback", "'" + text + "' is no address 127.0.0.1:PORT: metrics have no password",
                    "nothing was opened",
                    "127.0.0.1:9290; for another machine use node_exporter or a proxy with a password"};
  const std::string loopback = "127.0.0.1:";
  std::uint16_t port = 0;
  if (!text.starts_with(loopback)) return wrong;
  const auto [end, failed] = std::from_chars(text.data() + loopback.size(), text.data() + text.size(), port);
  if (failed != std::errc{} || end != text.data() + text.size()) return wrong;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

const char* reason_of(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    default:
      return "Service Unavailable";
  }
}

class Connection {
 public:
  explicit Connection(int peer) : peer_(peer), deadline_(Clock::now() + kPatience) {}
  Connection(Connection&& other) noexcept
      : peer_(std::exchange(other.peer_, -1)),
        deadline_(other.deadline_),
        request_(std::move(other.request_)),
        answer_(std::move(other.answer_)),
        sent_(other.sent_) {}
  Connection& operator=(Connection&& other) noexcept {
    std::swap(peer_, other.peer_);
    std::swap(deadline_, other.deadline_);
    std::swap(request_, other.request_);
    std::swap(answer_, other.answer_);
    std::swap(sent_, other.sent_);
    return *this;
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() {
    if (peer_ >= 0) ::close(peer_);
  }

  pollfd wish() const { return {peer_, static_cast<short>(answer_.empty() ? POLLIN : POLLOUT), 0}; }
  Clock::time_point deadline() const { return deadline_; }

  // False: it is over.
  bool go_on(const HttpHandler& handler) {
    if (answer_.empty() && !read(handler)) return false;
    while (sent_ < answer_.size()) {
      const ssize_t size = ::send(peer_, answer_.data() + sent_, answer_.size() - sent_, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (size < 0) return errno == EAGAIN || errno == EINTR;
      sent_ += static_cast<std::size_t>(size);
    }
    return answer_.empty();
  }

 private:
  bool read(const HttpHandler& handler) {
    std::array<char, 2048> bytes{};
    const ssize_t size = ::recv(peer_, bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (size < 0) return errno == EAGAIN || errno == EINTR;
    request_.append(bytes.data(), static_cast<std::size_t>(size));
    const bool whole = request_.find("\r\n\r\n") != std::string::npos;
    if (whole || size == 0 || request_.size() >= kLongestRequest) answer_ = http_answer(request_, handler);
    return true;
  }

  int peer_;
  Clock::time_point deadline_;
  std::string request_, answer_;
  std::size_t sent_ = 0;
};

// How long poll may sleep: to the next deadline.
int patience(const std::vector<Connection>& connections) {
  if (connections.empty()) return -1;
  const auto next = std::min_element(connections.begin(), connections.end(), [](const auto& a, const auto& b) {
                      return a.deadline() < b.deadline();
                    })->deadline();
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - Clock::now()).count();
  return static_cast<int>(std::max<std::int64_t>(0, left));
}

}  // namespace

Result<HttpServer> HttpServer::listen(const std::string& address) {
  const auto wanted = parse_address(address);
  if (!wanted) return wanted.error();
  HttpServer server(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), 0);
  const int again = 1;
  sockaddr_in bound = *wanted;
  socklen_t size = sizeof bound;
  if (server.listener_ < 0 || ::setsockopt(server.listener_, SOL_SOCKET, SO_REUSEADDR, &again, sizeof again) != 0 ||
      ::bind(server.listener_, reinterpret_cast<const sockaddr*>(&bound), sizeof bound) != 0 ||
      ::listen(server.listener_, 128) != 0 ||
      ::getsockname(server.listener_, reinterpret_cast<sockaddr*>(&bound), &size) != 0) {
    return Error{"exporter.cannot-listen", "cannot listen at " + address + ": " + std::strerror(errno),
                 "nothing was opened", "choose another port"};
  }
  server.port_ = ntohs(bound.sin_port);
  return server;
}

HttpServer::HttpServer(HttpServer&& other) noexcept
    : listener_(std::exchange(other.listener_, -1)), port_(other.port_) {}
HttpServer& HttpServer::operator=(HttpServer&& other) noexcept {
  std::swap(listener_, other.listener_);
  std::swap(port_, other.port_);
  return *this;
}
HttpServer::~HttpServer() {
  if (listener_ >= 0) ::close(listener_);
}

void HttpServer::serve(StopSignal& signals, const HttpHandler& handler) const {
  std::vector<Connection> connections;
  for (;;) {
    const bool room = connections.size() < kMostConnections;
    std::vector<pollfd> watched{{signals.fd(), POLLIN, 0}, {room ? listener_ : -1, POLLIN, 0}};
    for (const auto& connection : connections) watched.push_back(connection.wish());
    if (::poll(watched.data(), watched.size(), patience(connections)) < 0 && errno != EINTR) return;
    if (watched[0].revents != 0 && signals.poll()) return;
    const auto now = Clock::now();
    std::size_t index = 2;
    std::erase_if(connections, [&](Connection& connection) {
      const bool ready = watched.at(index++).revents != 0;
      return (ready && !connection.go_on(handler)) || now >= connection.deadline();
    });
    if (watched[1].revents == 0) continue;
    if (const int peer = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK); peer >= 0)
      connections.emplace_back(peer);
  }
}

std::string http_answer(const std::string& request, const HttpHandler& handler) {
  const bool head = request.starts_with("HEAD ");
  HttpResponse response{405, {}, "GET or HEAD\n"};
  if (head || request.starts_with("GET ")) {
    const std::size_t begin = request.find(' ') + 1;
    response = handler(request.substr(begin, request.find_first_of(" ?\r\n", begin) - begin));
  }
  const std::string type = response.type.empty() ? HttpResponse{}.type : response.type;
  return "HTTP/1.0 " + std::to_string(response.status) + " " + reason_of(response.status) + "\r\n" +
         (response.status == 405 ? "Allow: GET, HEAD\r\n" : "") + "Content-Type: " + type +
         "\r\nContent-Length: " + std::to_string(response.body.size()) + "\r\nConnection: close\r\n\r\n" +
         (head ? "" : response.body);
}

}  // namespace peaknet::ctl
