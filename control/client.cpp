#include "control/client.hpp"

#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <optional>
#include <utility>
#include <zmq.hpp>

#include "base/process_limits.hpp"
#include "control/curve.hpp"
#include "control/endpoint.hpp"
#include "control/methods.hpp"
#include "control/protocol.hpp"
#include "control/unix_listener.hpp"

namespace peaknet::control {
namespace {

std::string seconds(std::chrono::milliseconds span) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f s", static_cast<double>(span.count()) / 1000.0);
  return text.data();
}

Error key_refused(const std::string& endpoint) {
  return {"control.denied", "the daemon at " + endpoint + " did not accept the key, or is not who it should be",
          "nothing was asked",
          "control.curve_clients of the daemon must name your public key, and control.curve_server must be the "
          "daemon's"};
}

}  // namespace

struct Client::Socket {
  Socket() = default;
  ~Socket() { zmq_socket_monitor(dealer.handle(), nullptr, 0); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  zmq::context_t context{1};
  zmq::socket_t dealer{context, zmq::socket_type::dealer};
  zmq::socket_t events{context, zmq::socket_type::pair};  // tells when the daemon's end of the connection is gone
  bool tcp = false;
  bool let_in = false;  // the handshake was a success, of tcp:// alone

  enum class News { none, gone, refused, nobody };
  // What the monitor of the connection says next.
  News next_event();
};

Client::Socket::News Client::Socket::next_event() {
  zmq::message_t event;
  if (!events.recv(event, zmq::recv_flags::dontwait)) return News::none;
  std::uint16_t what = 0;
  if (event.size() >= sizeof what) std::memcpy(&what, event.data(), sizeof what);
  for (zmq::message_t rest; event.more() && events.recv(rest, zmq::recv_flags::dontwait) && rest.more();) {
  }
  if (!tcp) return News::gone;  // the only event that was asked for
  switch (what) {
    case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
      let_in = true;
      return News::none;
    case ZMQ_EVENT_DISCONNECTED:
      return let_in ? News::gone : News::refused;
    case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
    case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
      return News::refused;
    case ZMQ_EVENT_CLOSED:
      return News::nobody;
    default:
      return News::none;
  }
}

namespace {

// Why the name of an endpoint cannot be found; libzmq tries again and again, and says nothing. "": it can.
std::string unknown_name(const std::string& endpoint) {
  if (!is_tcp(endpoint)) return "";
  const auto begin = endpoint.find("//") + 2;
  const std::string host = endpoint.substr(begin, endpoint.rfind(':') - begin);
  addrinfo* found = nullptr;
  const int failed = ::getaddrinfo(host.c_str(), nullptr, nullptr, &found);
  if (found != nullptr) ::freeaddrinfo(found);
  return failed == 0 ? "" : "the name " + host + " cannot be found: " + ::gai_strerror(failed);
}

}  // namespace

Client::Client(std::unique_ptr<Socket> socket, std::string endpoint)
    : socket_(std::move(socket)), endpoint_(std::move(endpoint)) {}
Client::~Client() = default;

Result<std::unique_ptr<Client>> Client::connect(const std::string& endpoint, const ClientKeys& keys) {
  CurveKey own;
  const bool tcp = is_tcp(endpoint);
  if (tcp) {
    if (keys.server.empty() || keys.key.empty())
      return Error{"control.tcp-needs-curve", "asking " + endpoint + " over the network takes keys, and none are named",
                   "nothing was asked",
                   "--config FILE with control.curve_server (the daemon's public key) and control.curve_client_key "
                   "(peaknetctl keygen makes one)"};
    if (!is_key(keys.server)) {
      return Error{"curve.bad-key", "control.curve_server is no key of 40 characters (Z85)", "nothing was asked",
                   "it is in the .pub file that peaknetctl keygen made for the daemon"};
    }
    auto read = read_secret_key(keys.key);
    if (!read) return read.error();
    own = std::move(*read);
  } else {
    const auto path = socket_path(endpoint);
    if (!path) return path.error();
    if (auto there = probe_socket(*path); !there) return there.error();
  }
  if (auto room = room_for(kMessagingThreads, kMessagingDescriptors); !room) return room.error();
  try {
    auto socket = std::make_unique<Socket>();
    socket->tcp = tcp;
    if (tcp) {
      socket->dealer.set(zmq::sockopt::curve_serverkey, keys.server);
      socket->dealer.set(zmq::sockopt::curve_publickey, own.public_key);
      socket->dealer.set(zmq::sockopt::curve_secretkey, own.secret);
    }
    // Not ZMQ_IMMEDIATE: with it libzmq throws away a reply that came just before the end of the connection.
    socket->dealer.set(zmq::sockopt::linger, 0);
    socket->dealer.set(zmq::sockopt::maxmsgsize, static_cast<std::int64_t>(kMaxReplyBytes));
    socket->events.set(zmq::sockopt::linger, 0);
    const char* events = "inproc://connection";
    const int wanted = tcp ? ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CLOSED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED |
                                 ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                                 ZMQ_EVENT_HANDSHAKE_FAILED_AUTH
                           : ZMQ_EVENT_DISCONNECTED;
    if (zmq_socket_monitor(socket->dealer.handle(), events, wanted) != 0) throw zmq::error_t();
    socket->events.connect(events);
    socket->dealer.connect(endpoint);
    return std::unique_ptr<Client>(new Client(std::move(socket), endpoint));
  } catch (const zmq::error_t& error) {
    return Error{"control.bad-endpoint", "cannot connect to " + endpoint + ": " + error.what(), "nothing was asked",
                 "name the socket of a peaknetd: ipc:///run/peaknet/NAME/ctl"};
  }
}

Result<nlohmann::json> Client::call(const std::string& method, const nlohmann::json& params,
                                    std::chrono::milliseconds at_most) {
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + at_most;
  const auto left = [&] {
    const auto span = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    return std::max(span, std::chrono::milliseconds(0));
  };
  bool sent = false;
  // What may have happened: nothing, of a request that did not leave us or that changes nothing.
  const auto in_doubt = [&](const std::string& doubt) {
    return !sent ? "the request did not leave this program" : is_read_only(method) ? "nothing was changed" : doubt;
  };
  const auto no_answer = [&] {
    if (const std::string why = unknown_name(endpoint_); !why.empty()) {
      return Error{"control.unknown-host", why, "the request did not leave this program",
                   "check the name (getent hosts NAME)"};
    }
    return Error{"control.no-answer", "no answer from " + endpoint_ + " in " + seconds(at_most),
                 in_doubt("'" + method + "' may still be carried out"),
                 "peaknetctl status, which reads the control segment if need be"};
  };
  const std::uint64_t id = ++last_id_;
  const std::string text = write_request(id, method, params);
  if (text.size() > kMaxRequestBytes) {
    return Error{
        "control.bad-params",
        "the request has " + std::to_string(text.size()) + " bytes, allowed are " + std::to_string(kMaxRequestBytes),
        "nothing was asked", "shorten the parameters"};
  }
  const auto gone_away = [&] {
    return Error{"control.daemon-gone",
                 "peaknetd at " + endpoint_ + " closed the connection before it answered '" + method + "'",
                 in_doubt("the request may have been carried out in part"), "peaknetctl status"};
  };
  if (!socket_) return gone_away();
  try {
    // What the monitor says of connections before this request concerns no one any more.
    if (!socket_->tcp) {
      while (socket_->next_event() != Socket::News::none) {
      }
    }
    for (auto news = Socket::News::none;;) {
      // A daemon that refuses the key may have done so already: then there is no one to send to, and only the monitor
      // says why.
      sent = sent || socket_->dealer.send(zmq::buffer(text), zmq::send_flags::dontwait).has_value();
      zmq::message_t message;
      while (socket_->dealer.recv(message, zmq::recv_flags::dontwait)) {
        nlohmann::json replied;
        auto reply = read_reply(message.to_string_view(), replied);
        if (replied == id) return reply;
        // No id at all: the daemon could not read the request, and there is one request at a time.
        if (replied.is_null()) return reply;
      }
      if (news == Socket::News::refused) {
        socket_.reset();
        return key_refused(endpoint_);
      }
      if (news == Socket::News::nobody) {
        return Error{"control.not-running", "no peaknetd is running: nobody serves " + endpoint_, "",
                     "start peaknetd, or check the address"};
      }
      if (news == Socket::News::gone) {
        // libzmq would connect to the next daemon by itself, and perhaps ask it what was meant for this one.
        socket_.reset();
        return gone_away();
      }
      if (left().count() == 0) return no_answer();
      const short awaited = sent ? ZMQ_POLLIN : ZMQ_POLLOUT;
      std::array<zmq::pollitem_t, 2> items{
          {{socket_->dealer.handle(), 0, awaited, 0}, {socket_->events.handle(), 0, ZMQ_POLLIN, 0}}};
      zmq::poll(items.data(), items.size(), left());
      news = items[1].revents != 0 ? socket_->next_event() : Socket::News::none;  // a reply before it is read first
    }
  } catch (const zmq::error_t& error) {
    return Error{"control.no-answer", "asking " + endpoint_ + " failed: " + error.what(),
                 in_doubt("'" + method + "' may still be carried out"), "ask again"};
  }
}

}  // namespace peaknet::control
