#include "control/ipc_server.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "base/process_limits.hpp"
#include "base/zmtp.hpp"

namespace peaknet::control {
namespace {

constexpr std::uint64_t kListener = 0;
constexpr int kEventsPerTurn = 64;

UniqueFd open_spare() { return UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC)); }

UniqueFd take_connection(int listener) {
  return UniqueFd(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
}

std::string name_of(int fd) {
  ucred who{};
  socklen_t size = sizeof who;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0) return "unknown peer";
  return "uid " + std::to_string(who.uid) + " pid " + std::to_string(who.pid);
}

}  // namespace

Result<IpcServer> IpcServer::open(UnixListener listener) {
  IpcServer server;
  server.epoll_ = UniqueFd(::epoll_create1(EPOLL_CLOEXEC));
  server.spare_ = open_spare();
  if (!server.epoll_ || !server.spare_) {
    return Error{"control.cannot-bind", std::string("cannot serve a control socket: ") + std::strerror(errno),
                 "nothing was changed", "raise the limit of open files (ulimit -n)"};
  }
  if (auto bound = server.bind(std::move(listener)); !bound) return bound.error();
  return server;
}

Status IpcServer::bind(UnixListener listener) {
  epoll_event event{.events = EPOLLIN, .data = {.u64 = kListener}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, listener.fd(), &event) != 0) {
    return Error{"control.cannot-bind", std::string("cannot watch a control socket: ") + std::strerror(errno),
                 "nothing was changed", "raise the limit of watched files (sysctl fs.epoll.max_user_watches)"};
  }
  listener_ = std::move(listener);
  return {};
}

void IpcServer::unbind() { listener_.reset(); }

std::optional<IpcServer::Clock::time_point> IpcServer::deadline() const {
  if (handshakes_.empty()) return std::nullopt;
  return handshakes_.front().first;
}

bool IpcServer::turn(const Take& take) {
  std::array<epoll_event, kEventsPerTurn> events{};
  const int count = ::epoll_wait(epoll_.get(), events.data(), kEventsPerTurn, 0);
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    if (event.data.u64 == kListener) {
      take_connections();
      continue;
    }
    const auto found = peers_.find(event.data.u64);
    if (found == peers_.end()) continue;
    if (serve(found->first, found->second, event.events, take)) {
      watch(found->first, found->second);
    } else {
      peers_.erase(found);
    }
  }
  end_late();
  return count > 0;
}

bool IpcServer::has_room_for(int fd) const {
  if (peers_.size() >= kMostConnections) return false;
  // The kernel gives the lowest free number, so a high one means that many are open.
  const auto limit = limit_of(RLIMIT_NOFILE);
  return !limit || static_cast<std::uint64_t>(fd) < *limit - *limit / 4;
}

void IpcServer::take_connections() {
  for (int i = 0; i < kEventsPerTurn && listener_; ++i) {
    UniqueFd fd = take_connection(listener_->fd());
    if (fd && has_room_for(fd.get())) {
      take_in(std::move(fd));
      continue;
    }
    if (!fd && errno != EMFILE && errno != ENFILE) return;  // none waits, or it has gone again
    if (!fd) {                                              // left waiting it would wake us again and again
      spare_.reset();
      const bool taken = static_cast<bool>(take_connection(listener_->fd()));
      spare_ = open_spare();
      if (!taken) return;
    }
    ++tally_.turned_away;
  }
}

void IpcServer::take_in(UniqueFd fd) {
  const std::uint64_t id = ++last_id_;
  epoll_event event{.events = EPOLLIN, .data = {.u64 = id}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd.get(), &event) != 0) {
    ++tally_.turned_away;
    return;
  }
  std::string from = name_of(fd.get());
  Peer& peer = peers_.emplace(id, Peer{std::move(fd), std::move(from)}).first->second;
  peer.watched = EPOLLIN;
  handshakes_.emplace_back(Clock::now() + kHandshake, id);
  write(peer, zmtp::greeting());
}

// False: the connection has ended.
bool IpcServer::serve(std::uint64_t id, Peer& peer, std::uint32_t events, const Take& take) {
  if ((events & EPOLLOUT) != 0) flush(peer);
  if ((events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0 && !read(peer)) return false;
  return hear(id, peer, take);
}

bool IpcServer::read(Peer& peer) {
  const ssize_t got = ::recv(peer.fd.get(), read_space_.data(), read_space_.size(), 0);
  if (got < 0) return errno == EAGAIN || errno == EINTR;
  peer.reader.feed({read_space_.data(), static_cast<std::size_t>(got)});
  return got > 0;
}

bool IpcServer::hear(std::uint64_t id, Peer& peer, const Take& take) {
  while (peer.out.size() < kMostWaitingBytes) {
    ZmtpEvent event = peer.reader.next();
    switch (event.kind) {
      case ZmtpEvent::Kind::none:
        return true;
      case ZmtpEvent::Kind::greeted:
        write(peer, zmtp::ready());
        break;
      case ZmtpEvent::Kind::ready:
        peer.ready = true;
        break;
      case ZmtpEvent::Kind::ping:
        write(peer, zmtp::pong(event.text));
        break;
      case ZmtpEvent::Kind::message:
        take({id, peer.from, std::move(event.text), event.parts});
        break;
      case ZmtpEvent::Kind::broken:
        end(peer, event.text);
        return false;
    }
  }
  return true;
}

void IpcServer::write(Peer& peer, const std::string& bytes) {
  const bool first = peer.out.empty();
  peer.out += bytes;
  if (first) flush(peer);  // else the socket is full, and epoll says when it is not
}

void IpcServer::flush(Peer& peer) {
  std::size_t sent = 0;
  while (sent < peer.out.size()) {
    const ssize_t some = ::send(peer.fd.get(), peer.out.data() + sent, peer.out.size() - sent, MSG_NOSIGNAL);
    if (some >= 0) {
      sent += static_cast<std::size_t>(some);
    } else if (errno == EAGAIN) {
      break;
    } else if (errno != EINTR) {
      sent = peer.out.size();  // it has gone: epoll says so too
    }
  }
  peer.out.erase(0, sent);
}

void IpcServer::watch(std::uint64_t id, Peer& peer) {
  std::uint32_t wanted = peer.out.size() < kMostWaitingBytes ? EPOLLIN : 0U;
  if (!peer.out.empty()) wanted |= EPOLLOUT;
  if (wanted == peer.watched) return;
  epoll_event event{.events = wanted, .data = {.u64 = id}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, peer.fd.get(), &event) == 0) peer.watched = wanted;
}

void IpcServer::send(std::uint64_t id, const std::string& text) {
  const auto found = peers_.find(id);
  if (found == peers_.end()) return;
  write(found->second, zmtp_message(text));
  watch(id, found->second);
}

void IpcServer::end_late() {
  const auto now = Clock::now();
  for (; !handshakes_.empty(); handshakes_.pop_front()) {
    const auto found = peers_.find(handshakes_.front().second);
    if (found == peers_.end() || found->second.ready) continue;
    if (handshakes_.front().first > now) return;
    end(found->second, "no handshake came within 2 s");
    peers_.erase(found);
  }
}

void IpcServer::end(const Peer& peer, const std::string& why) {
  ++tally_.ended;
  tally_.last = why + " from " + peer.from;
}

void IpcServer::finish(Clock::time_point until) {
  for (;;) {
    std::vector<pollfd> waiting;
    for (auto& [id, peer] : peers_) {
      flush(peer);
      if (!peer.out.empty()) waiting.push_back({peer.fd.get(), POLLOUT, 0});
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
    if (waiting.empty() || left.count() <= 0) return;
    ::poll(waiting.data(), waiting.size(), static_cast<int>(left.count()));
  }
}

}  // namespace peaknet::control
