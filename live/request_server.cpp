#include "live/request_server.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/log_line.hpp"

namespace peaknet::live {
namespace {

constexpr RequestServer::Peer kListener = 0;
constexpr std::size_t kMostPeers = 4096;

bool would_block(int cause) { return cause == EAGAIN || cause == EWOULDBLOCK; }

void set(int fd, int level, int option, int value) { ::setsockopt(fd, level, option, &value, sizeof value); }

Error cannot_listen(const std::string& address, const std::string& cause) {
  return {"live.cannot-listen", "cannot listen on " + address + ": " + cause, "nothing was served",
          "is the port taken by another program (ss -ltnp), and is the address one of this machine?"};
}

struct HostAndPort {
  std::string host, port;
};
std::optional<HostAndPort> parse(std::string_view address) {
  constexpr std::string_view kScheme = "tcp://";
  if (!address.starts_with(kScheme)) return std::nullopt;
  address.remove_prefix(kScheme.size());
  const std::size_t colon = address.rfind(':');
  if (colon == std::string_view::npos || colon == 0 || colon + 1 == address.size()) return std::nullopt;
  std::string_view host = address.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  std::string port(address.substr(colon + 1));
  if (port == "*") port = "0";
  return HostAndPort{host == "*" ? "0.0.0.0" : std::string(host), port};
}

std::string name_of(int listener) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  auto* const name = reinterpret_cast<sockaddr*>(&storage);
  std::array<char, NI_MAXHOST> host{};
  std::array<char, NI_MAXSERV> port{};
  if (::getsockname(listener, name, &size) != 0 || ::getnameinfo(name, size, host.data(), host.size(), port.data(),
                                                                 port.size(), NI_NUMERICHOST | NI_NUMERICSERV) != 0)
    return "tcp://?";
  const bool six = storage.ss_family == AF_INET6;
  return std::string("tcp://") + (six ? "[" : "") + host.data() + (six ? "]:" : ":") + port.data();
}

}  // namespace

Result<std::unique_ptr<RequestServer>> RequestServer::open(const Options& options, Handover handover) {
  std::unique_ptr<RequestServer> server(new RequestServer(options, std::move(handover)));
  if (auto listening = server->listen(); !listening) return listening.error();
  return server;
}

Status RequestServer::listen() {
  const auto place = parse(options_.address);
  if (!place) return cannot_listen(options_.address, "it is not tcp://HOST:PORT");
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_STREAM;
  wanted.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  if (const int cause = ::getaddrinfo(place->host.c_str(), place->port.c_str(), &wanted, &found); cause != 0)
    return cannot_listen(options_.address, ::gai_strerror(cause));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owned(found, ::freeaddrinfo);
  listener_ = Descriptor(::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  set(listener_.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  poll_ = Descriptor(::epoll_create1(EPOLL_CLOEXEC));
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kListener;
  if (listener_.get() < 0 || poll_.get() < 0 || ::bind(listener_.get(), found->ai_addr, found->ai_addrlen) != 0 ||
      ::listen(listener_.get(), SOMAXCONN) != 0 ||
      ::epoll_ctl(poll_.get(), EPOLL_CTL_ADD, listener_.get(), &event) != 0)
    return cannot_listen(options_.address, std::strerror(errno));
  address_ = name_of(listener_.get());
  return {};
}

void RequestServer::serve() {
  std::array<epoll_event, 64> events{};
  for (;;) {
    const int count = ::epoll_wait(poll_.get(), events.data(), static_cast<int>(events.size()), 0);
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = events[static_cast<std::size_t>(i)];
      if (event.data.u64 == kListener) {
        accept_all();
        continue;
      }
      const auto found = connections_.find(event.data.u64);
      if (found == connections_.end()) continue;
      const bool readable = (event.events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0;
      if ((readable && !receive(found->first, found->second)) || !send(found->first, found->second))
        drop(event.data.u64);
    }
    if (count < static_cast<int>(events.size())) return;
  }
}

void RequestServer::accept_all() {
  for (;;) {
    Descriptor socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (socket.get() < 0) return;
    if (connections_.size() >= kMostPeers) continue;  // closed at once; it comes again
    set(socket.get(), IPPROTO_TCP, TCP_NODELAY, 1);   // the last byte goes by itself
    set(socket.get(), SOL_SOCKET, SO_KEEPALIVE, 1);
    const Peer id = next_++;
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = id;
    if (::epoll_ctl(poll_.get(), EPOLL_CTL_ADD, socket.get(), &event) != 0) continue;
    Connection& connection = connections_[id];
    connection.socket = std::move(socket);
    connection.since = Clock::now();
    if (!send(id, connection)) drop(id);
  }
}

bool RequestServer::receive(Peer id, Connection& connection) {
  std::array<std::uint8_t, 4096> bytes{};
  for (;;) {
    const ssize_t got = ::recv(connection.socket.get(), bytes.data(), bytes.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && would_block(errno)) break;
    if (got <= 0) return false;
    if (connection.ending) continue;
    const auto taken = connection.peer.receive({bytes.data(), static_cast<std::size_t>(got)});
    if (!taken) {
      log::warn("{}", taken.error().text());
      return false;
    }
  }
  take_requests(id, connection);
  return true;
}

// One at a time: a REQ socket has no other.
void RequestServer::take_requests(Peer id, Connection& connection) {
  if (connection.ending || connection.request) return;
  connection.request = connection.peer.next_request();
  if (!connection.request) return;
  connection.ever_asked = true;
  asked_.push_back(id);
}

std::vector<RequestServer::Request> RequestServer::requests() const {
  std::vector<Request> all;
  for (const Peer peer : asked_) all.push_back({peer, connections_.at(peer).request->text});
  return all;
}

void RequestServer::begin_reply(Peer peer, const Bytes& body, bool handed_over) {
  std::erase(asked_, peer);
  Connection& connection = connections_.at(peer);
  connection.reply = ZmtpPeer::message(connection.request->envelope, body);
  connection.reply_sent = 0;
  connection.handed_over = handed_over;
  if (!send(peer, connection)) drop(peer);
}

// False: the connection is gone. A socket that takes no more is polled until it does.
bool RequestServer::send_part(Connection& connection, const Bytes& bytes, std::size_t& sent, std::size_t end) {
  while (sent < end) {
    const ssize_t gone = ::send(connection.socket.get(), bytes.data() + sent, end - sent, MSG_NOSIGNAL);
    if (gone < 0 && errno == EINTR) continue;
    if (gone < 0) return would_block(errno);
    sent += static_cast<std::size_t>(gone);
  }
  return true;
}

bool RequestServer::send(Peer id, Connection& connection) {
  // What the protocol has to say goes between two replies.
  if (connection.reply_sent == 0 && connection.output.empty()) {
    connection.output = connection.peer.take_output();
    connection.output_sent = 0;
  }
  if (!send_part(connection, connection.output, connection.output_sent, connection.output.size())) return false;
  bool waits = connection.output_sent < connection.output.size();
  if (!waits) {
    connection.output.clear();
    const std::size_t whole = connection.reply.size();
    const std::size_t end = connection.handed_over && whole > 0 ? whole - 1 : whole;
    if (!send_part(connection, connection.reply, connection.reply_sent, end)) return false;
    waits = connection.reply_sent < end;
    if (!waits && whole > 0) {
      if (connection.handed_over && !send_last_byte(id, connection)) return false;
      waits = connection.reply_sent < whole && !connection.refused;
      if (connection.reply_sent == whole) {
        connection.reply = Bytes();
        connection.reply_sent = 0;
        connection.request.reset();
        if (connection.ending) ::shutdown(connection.socket.get(), SHUT_WR);
        take_requests(id, connection);
      }
    }
  }
  poll_output(id, connection, waits);
  return true;
}

bool RequestServer::send_last_byte(Peer id, Connection& connection) {
  connection.refused = !handover_.begins(id);
  if (connection.refused) return true;  // look_after() tries again
  const std::size_t before = connection.reply_sent;
  const bool alive = send_part(connection, connection.reply, connection.reply_sent, connection.reply.size());
  const bool sent = connection.reply_sent > before;
  handover_.ended(id, sent);
  if (sent) connection.handed_over = false;
  return alive;
}

void RequestServer::poll_output(Peer id, Connection& connection, bool wanted) {
  if (connection.polls_output == wanted) return;
  epoll_event event{};
  event.events = wanted ? EPOLLIN | EPOLLOUT : EPOLLIN;
  event.data.u64 = id;
  if (::epoll_ctl(poll_.get(), EPOLL_CTL_MOD, connection.socket.get(), &event) == 0) connection.polls_output = wanted;
}

void RequestServer::look_after(Clock::time_point now) {
  std::vector<Peer> ids;
  for (const auto& [id, connection] : connections_) ids.push_back(id);
  for (const Peer id : ids) {
    Connection& connection = connections_.at(id);
    const bool silent = now - connection.since >= options_.silence;
    const bool lingers = silent && (connection.ending || !connection.peer.ready());
    if (silent && !connection.ending && connection.peer.ready() && connection.peer.is_req() && !connection.ever_asked &&
        now - started_ < options_.wake_within)
      wake(id, connection);
    if (lingers || !send(id, connection)) drop(id);
  }
}

void RequestServer::wake(Peer id, Connection& connection) {
  log::info("peer {} is silent since it connected: it is woken, in case that its last reply was lost", id);
  connection.reply = ZmtpPeer::message(ZmtpPeer::plain_envelope(), Bytes{0});
  connection.handed_over = false;
  connection.ending = true;
  connection.since = Clock::now();
}

void RequestServer::drop(Peer id) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  const bool owed = found->second.handed_over && !found->second.reply.empty();
  connections_.erase(found);
  std::erase(asked_, id);
  if (owed) handover_.lost(id);
}

}  // namespace peaknet::live
