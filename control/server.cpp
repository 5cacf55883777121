#include "control/server.hpp"

#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>
#include <zmq.hpp>

#include "base/accounts.hpp"
#include "base/fatal.hpp"
#include "base/process_limits.hpp"
#include "base/wake.hpp"
#include "control/accept_guard.hpp"
#include "control/curve.hpp"
#include "control/endpoint.hpp"
#include "control/methods.hpp"
#include "control/pace.hpp"
#include "control/protocol.hpp"
#include "control/receipts.hpp"
#include "control/socket_door.hpp"

namespace peaknet::control {
namespace {

constexpr int kLastRepliesMs = 500;        // what replies have to leave in when the server ends
constexpr std::size_t kMaxPending = 1024;  // requests that wait for an Answer at once
constexpr int kMessagesPerTurn = 64;       // read from one socket before the other has its turn
constexpr int kQueuedMessages = 256;       // per peer and direction
constexpr std::chrono::milliseconds kLookAtSockets{1000};
constexpr double kRequestsPerSecond = 1000;  // of one peer, in the long run
constexpr double kRequestsAtOnce = 4096;     // of one peer, after a rest

const char* property(zmq::message_t& message, const char* name) {
  try {
    return message.gets(name);
  } catch (const zmq::error_t&) {
    return nullptr;  // the transport does not say
  }
}

// Over tcp:// the name that the list of clients has for the key. Of a Unix socket libzmq says who is at the other end:
// "localhost:UID:GID:PID".
std::string peer_of(zmq::message_t& message) {
  if (const char* user = property(message, "User-Id"); user != nullptr && *user != '\0')
    return std::string("key ") + user;
  const char* address = property(message, "Peer-Address");
  const std::string_view text = address == nullptr ? "" : address;
  const auto uid = text.find(':');
  const auto gid = uid == std::string_view::npos ? uid : text.find(':', uid + 1);
  const auto pid = gid == std::string_view::npos ? gid : text.find(':', gid + 1);
  if (pid == std::string_view::npos) return "unknown peer";
  const std::string user(text.substr(uid + 1, gid - uid - 1));
  uid_t number = 0;
  const auto [end, failed] = std::from_chars(user.data(), user.data() + user.size(), number);
  const auto name = failed == std::errc{} && end == user.data() + user.size() ? user_name(number) : std::nullopt;
  return "uid " + user + (name ? " (" + *name + ")" : "") + " pid " + std::string(text.substr(pid + 1));
}

}  // namespace

struct Answer::Outbox {
  struct Done {
    std::uint64_t ticket;
    Reply reply;
  };
  void post(std::uint64_t ticket, Reply reply) {
    {
      const std::lock_guard lock(mutex);
      if (closed) return;
      done.push_back({ticket, std::move(reply)});
    }
    wakeup.notify();
  }
  std::vector<Done> take() {
    const std::lock_guard lock(mutex);
    return std::exchange(done, {});
  }
  void close() {
    const std::lock_guard lock(mutex);
    closed = true;
  }

  Wake wakeup;
  std::mutex mutex;
  std::vector<Done> done;
  bool closed = false;
};

Answer& Answer::operator=(Answer&& other) noexcept {
  std::swap(outbox_, other.outbox_);
  std::swap(ticket_, other.ticket_);
  return *this;
}

Answer::~Answer() {
  if (outbox_) {
    send(Error{"control.no-answer", "the request was dropped inside peaknetd", "it is not known what was done",
               "ask 'status'; this is a fault of peaknetd worth a report"});
  }
}

void Answer::send(Reply reply) {
  if (const auto outbox = std::exchange(outbox_, nullptr)) outbox->post(ticket_, std::move(reply));
}

// The sockets and the thread that owns them.
class Server::Loop {
 public:
  Loop(Handler handler, const ServerOptions& options)
      : handler_(std::move(handler)), options_(options), outbox_(std::make_shared<Answer::Outbox>()) {}
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  ~Loop() {
    if (!thread_.joinable()) return;
    thread_.request_stop();
    outbox_->wakeup.notify();
    thread_.join();
  }

  Status open(const std::string& endpoint, bool read_only);
  Status start();

 private:
  struct Endpoint {
    std::string address;
    std::optional<SocketDoor> door;  // of ipc://; none while it could not be bound again
    zmq::socket_t socket;            // destroyed, and so closed, before the door removes its path
    bool read_only;
  };
  struct Pending {
    std::size_t endpoint;
    std::string identity;
    nlohmann::json id;
  };

  void run(const std::stop_token& stop);
  Status open_tcp(const std::string& endpoint, bool read_only);
  Status bind(Endpoint& endpoint);
  void bind_removed_again();
  // libzmq asks whether a key may come in (ZAP, rfc.zeromq.org/spec/27).
  void answer_zap();
  bool read_one(std::size_t index, bool ending);
  void handle(std::size_t index, std::string identity, zmq::message_t& message, bool ending);
  // Is it a request that was carried out, or is being so? Then its asker has been seen to.
  bool asked_before(const std::string& name, const Call& call, Pending& asker);
  void answer_all(std::uint64_t ticket, const Reply& answer);
  void send_answers();
  void end();
  void reply(std::size_t index, const std::string& identity, const nlohmann::json& id, const Reply& reply);

  Handler handler_;
  ServerOptions options_;
  std::shared_ptr<Answer::Outbox> outbox_;
  zmq::context_t context_{1};
  CurveClients clients_;
  std::optional<zmq::socket_t> zap_;
  std::vector<Endpoint> endpoints_;
  std::unordered_multimap<std::uint64_t, Pending> pending_;  // by ticket; several if one asked again; the thread alone
  std::chrono::steady_clock::time_point look_at_sockets_{};
  Receipts receipts_;
  Pace pace_{kRequestsPerSecond, kRequestsAtOnce};
  std::uint64_t last_ticket_ = 0;
  std::jthread thread_;
};

namespace {

void set_limits(zmq::socket_t& socket) {
  socket.set(zmq::sockopt::maxmsgsize, static_cast<std::int64_t>(kMaxRequestBytes));
  socket.set(zmq::sockopt::handshake_ivl, 2000);
  socket.set(zmq::sockopt::linger, kLastRepliesMs);
  socket.set(zmq::sockopt::router_mandatory, true);
  socket.set(zmq::sockopt::sndhwm, kQueuedMessages);
  socket.set(zmq::sockopt::rcvhwm, kQueuedMessages);
}

}  // namespace

Status Server::Loop::open_tcp(const std::string& endpoint, bool read_only) {
  if (options_.curve_key.empty() || options_.curve_clients.empty()) {
    return tcp_needs_keys(
        endpoint,
        "name control.curve_key and control.curve_clients (docs/protocol.md), or use an ipc:// endpoint and ssh");
  }
  const auto key = read_secret_key(options_.curve_key);
  if (!key) return key.error();
  auto clients = read_clients(options_.curve_clients);
  if (!clients) return clients.error();
  clients_ = std::move(*clients);
  try {
    if (!zap_) {  // before the first of them listens: without a handler libzmq lets every key in
      zap_.emplace(context_, zmq::socket_type::rep);
      zap_->set(zmq::sockopt::linger, 0);
      zap_->bind("inproc://zeromq.zap.01");
    }
    zmq::socket_t socket(context_, zmq::socket_type::router);
    set_limits(socket);
    socket.set(zmq::sockopt::curve_server, true);
    socket.set(zmq::sockopt::curve_secretkey, key->secret);
    socket.set(zmq::sockopt::zap_domain, read_only ? "monitor" : "control");
    socket.bind(endpoint);
    endpoints_.push_back({endpoint, std::nullopt, std::move(socket), read_only});
  } catch (const zmq::error_t& error) {
    return Error{error.num() == EADDRINUSE ? "control.endpoint-taken" : "control.cannot-bind",
                 "cannot serve " + endpoint + ": " + error.what(), "nothing was changed",
                 "choose another control.endpoint"};
  }
  return {};
}

void Server::Loop::answer_zap() {
  std::vector<std::string> request;
  zmq::message_t part;
  while (zap_->recv(part, zmq::recv_flags::dontwait)) {
    request.push_back(part.to_string());
    if (part.more()) continue;
    // version, request id, domain, address, identity, mechanism, key (32 bytes)
    bool good = false;
    std::string user;
    if (request.size() == 7 && request[5] == "CURVE" && request[6].size() == 32) {
      std::array<char, 41> text{};
      zmq_z85_encode(text.data(), reinterpret_cast<const std::uint8_t*>(request[6].data()), request[6].size());
      if (const auto known = clients_.find(text.data()); known != clients_.end()) {
        good = request[2] == "monitor" || !known->second.read_only;
        user = known->second.name;
      }
    }
    const std::string id = request.size() > 1 ? request[1] : "";
    for (const std::string& answer :
         {std::string("1.0"), id, std::string(good ? "200" : "400"), std::string(good ? "" : "unknown key"), user})
      zap_->send(zmq::buffer(answer), zmq::send_flags::sndmore | zmq::send_flags::dontwait);
    zap_->send(zmq::message_t(), zmq::send_flags::dontwait);  // no metadata of ours
    request.clear();
  }
}

Status Server::Loop::open(const std::string& endpoint, bool read_only) {
  if (is_tcp(endpoint)) return open_tcp(endpoint, read_only);
  Endpoint made{endpoint, std::nullopt, zmq::socket_t(context_, zmq::socket_type::router), read_only};
  set_limits(made.socket);
  if (auto bound = bind(made); !bound) return bound;
  endpoints_.push_back(std::move(made));
  return {};
}

Status Server::Loop::bind(Endpoint& endpoint) {
  const auto path = socket_path(endpoint.address);
  if (!path) return path.error();
  auto door = SocketDoor::open(*path, options_.mode, options_.group);
  if (!door) return door.error();
  try {
    endpoint.socket.set(zmq::sockopt::use_fd, door->fd());
    endpoint.socket.bind(endpoint.address);
  } catch (const zmq::error_t& error) {
    return Error{"control.cannot-bind", "cannot serve " + endpoint.address + ": " + error.what(), "nothing was changed",
                 "choose another control.endpoint"};
  }
  door->release_fd();
  endpoint.door = std::move(*door);
  return {};
}

// Nobody announces that a path has gone.
void Server::Loop::bind_removed_again() {
  const auto now = std::chrono::steady_clock::now();
  if (now < look_at_sockets_) return;
  look_at_sockets_ = now + kLookAtSockets;
  for (Endpoint& endpoint : endpoints_) {
    if (is_tcp(endpoint.address) || (endpoint.door && endpoint.door->still_there())) continue;
    if (endpoint.door) endpoint.socket.unbind(endpoint.address);  // the listener alone: who is connected stays
    endpoint.door.reset();                                        // its lock too, which may be on a removed file
    const auto bound = bind(endpoint);
    if (!options_.notice) continue;
    options_.notice(bound ? Error{"control.socket-removed", "somebody removed the socket " + endpoint.address,
                                  "it was bound again, and frames went on",
                                  "find out who cleans that folder (systemd-tmpfiles, a unit with the same "
                                  "RuntimeDirectory)"}
                          : bound.error());
  }
}

Status Server::Loop::start() {
  if (!guard_accept()) {
    return Error{"control.cannot-bind", "cannot guard the control server", "nothing was changed",
                 "raise the limit of open files (ulimit -n)"};
  }
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
  return {};
}

void Server::Loop::run(const std::stop_token& stop) {
  std::vector<zmq::pollitem_t> items{{nullptr, outbox_->wakeup.fd(), ZMQ_POLLIN, 0}};
  for (Endpoint& endpoint : endpoints_) items.push_back({endpoint.socket.handle(), 0, ZMQ_POLLIN, 0});
  if (zap_) items.push_back({zap_->handle(), 0, ZMQ_POLLIN, 0});
  while (!stop.stop_requested()) {
    try {
      zmq::poll(items, kLookAtSockets);
    } catch (const zmq::error_t& error) {
      if (error.num() != EINTR) throw;  // only a closed context or a bad descriptor: a fault of this code
      continue;
    }
    bind_removed_again();
    if (items[0].revents != 0) outbox_->wakeup.clear();
    if (zap_ && items.back().revents != 0) answer_zap();
    send_answers();
    for (std::size_t index = 0; index < endpoints_.size(); ++index) {
      if (items[index + 1].revents == 0) continue;
      for (int n = 0; n < kMessagesPerTurn && read_one(index, false); ++n) {
      }
    }
    send_answers();
  }
  end();
}

// Everybody who asked gets a reply, also those whose request we have not read.
void Server::Loop::end() {
  outbox_->close();
  send_answers();
  const Reply ending = Error{"control.shutting-down", "peaknetd is ending and did not wait for this request",
                             "it may have been carried out in part", "ask again when peaknetd is back"};
  for (const auto& [ticket, asked] : pending_) reply(asked.endpoint, asked.identity, asked.id, ending);
  pending_.clear();
  for (std::size_t index = 0; index < endpoints_.size(); ++index) {
    for (int n = 0; n < kQueuedMessages && read_one(index, true); ++n) {
    }
    endpoints_[index].socket.close();  // its replies linger in the context, which waits for them
  }
}

// One message of whatever parts. False: none was waiting.
bool Server::Loop::read_one(std::size_t index, bool ending) {
  zmq::socket_t& socket = endpoints_[index].socket;
  try {
    zmq::message_t identity;
    if (!socket.recv(identity, zmq::recv_flags::dontwait)) return false;
    if (!identity.more()) return true;  // libzmq gives the identity alone for nothing we could answer
    zmq::message_t message;
    int parts = 0;
    bool more = true;
    while (more) {
      zmq::message_t part;
      if (!socket.recv(part, zmq::recv_flags::none)) break;
      more = part.more();
      if (++parts == 1) message = std::move(part);
    }
    if (parts == 1) {
      handle(index, identity.to_string(), message, ending);
    } else {
      reply(index, identity.to_string(), nullptr,
            Error{"control.invalid-request", "the message has " + std::to_string(parts) + " parts", "nothing was done",
                  "send one JSON-RPC 2.0 request as one frame, from a DEALER socket"});
    }
    return true;
  } catch (const zmq::error_t& error) {
    if (error.num() == EINTR || error.num() == EAGAIN) return false;
    throw;
  }
}

void Server::Loop::handle(std::size_t index, std::string identity, zmq::message_t& message, bool ending) {
  nlohmann::json id;
  if (!pace_.take(identity, Pace::Clock::now())) {
    return reply(index, identity, id,
                 Error{"control.too-fast",
                       "more than " + std::to_string(static_cast<int>(kRequestsPerSecond)) +
                           " requests per second came from one connection",
                       "the request was not read, and nothing was done", "wait a second, then ask again"});
  }
  auto call = read_request(message.to_string_view(), id);
  if (!call) return reply(index, identity, id, call.error());
  if (ending) {
    return reply(
        index, identity, id,
        Error{"control.shutting-down", "peaknetd is ending", "nothing was done", "ask again when peaknetd is back"});
  }
  const bool read_only = endpoints_[index].read_only;
  if (read_only && !is_read_only(call->method)) {
    return reply(index, identity, id,
                 Error{"control.read-only", "'" + call->method + "' changes something, and this socket is for reading",
                       "nothing was done", "use the control socket (control.endpoint), if you may"});
  }
  if (pending_.size() >= kMaxPending) {
    return reply(index, identity, id,
                 Error{"control.busy", std::to_string(pending_.size()) + " requests wait for an answer",
                       "nothing was done", "ask again in a second"});
  }
  const std::uint64_t ticket = ++last_ticket_;
  const std::string peer = peer_of(message);
  Pending asker{index, std::move(identity), std::move(id)};
  if (const auto key = call->params.find(kKeyParam); key != call->params.end()) {
    const std::string name = peer.substr(0, peer.find(" pid ")) + " key " + key->get<std::string>();
    call->params.erase(key);
    if (asked_before(name, *call, asker)) return;
    receipts_.open(name, call->method + to_text(call->params), ticket);
  }
  pending_.emplace(ticket, std::move(asker));
  Answer answer(outbox_, ticket);
  // By the same way as the handler's answers: whoever asks twice is answered in that order.
  if (call->method == "rpc.discover") return answer.send(methods_document());
  try {
    handler_({std::move(call->method), std::move(call->params), read_only, peer}, std::move(answer));
  } catch (const std::exception& error) {
    // If the handler had not given the Answer away, its destructor has posted an answer already; this one comes first.
    answer_all(ticket,
               Error{"control.failed", std::string("the request failed inside peaknetd: ") + error.what(),
                     "it is not known what was done", "ask 'status'; this is a fault of peaknetd worth a report"});
  }
}

bool Server::Loop::asked_before(const std::string& name, const Call& call, Pending& asker) {
  const Receipts::Receipt* receipt = receipts_.find(name);
  if (receipt == nullptr) return false;
  if (receipt->request != call.method + to_text(call.params)) {
    reply(asker.endpoint, asker.identity, asker.id,
          Error{"control.key-used", "this key came before with another request", "nothing was done",
                "give each request a key of its own; the same request sent again keeps its key"});
  } else if (receipt->reply) {
    reply(asker.endpoint, asker.identity, asker.id, *receipt->reply);
  } else {
    pending_.emplace(receipt->ticket, std::move(asker));
  }
  return true;
}

void Server::Loop::answer_all(std::uint64_t ticket, const Reply& answer) {
  receipts_.close(ticket, answer);
  const auto [begin, end] = pending_.equal_range(ticket);
  for (auto asked = begin; asked != end; ++asked)
    reply(asked->second.endpoint, asked->second.identity, asked->second.id, answer);
  pending_.erase(begin, end);
}

void Server::Loop::send_answers() {
  for (auto& done : outbox_->take()) {
    // An answer that came too late (after an exception of the handler) has nobody left to go to.
    if (pending_.contains(done.ticket)) answer_all(done.ticket, done.reply);
  }
}

void Server::Loop::reply(std::size_t index, const std::string& identity, const nlohmann::json& id, const Reply& reply) {
  const std::string text = write_reply(id, reply);
  zmq::socket_t& socket = endpoints_[index].socket;
  try {
    if (!socket.send(zmq::buffer(identity), zmq::send_flags::sndmore | zmq::send_flags::dontwait))
      return;  // it does not read
    socket.send(zmq::buffer(text), zmq::send_flags::dontwait);
  } catch (const zmq::error_t& error) {
    if (error.num() != EHOSTUNREACH && error.num() != EAGAIN && error.num() != EINTR) throw;  // it has gone
  }
}

Server::Server(std::unique_ptr<Loop> loop) : loop_(std::move(loop)) {}
Server::~Server() = default;

Result<std::unique_ptr<Server>> Server::listen(const ServerOptions& options, Handler handler) {
  if (options.endpoint == options.monitor) {
    return Error{"control.bad-endpoint", "control.endpoint and control.monitor are both " + options.endpoint,
                 "nothing was opened", "give the monitor a socket of its own"};
  }
  if (auto room = room_for(kMessagingThreads + 1, kMessagingDescriptors); !room) return room.error();
  try {
    auto loop = std::make_unique<Loop>(std::move(handler), options);
    if (auto opened = loop->open(options.endpoint, false); !opened) return opened.error();
    if (!options.monitor.empty()) {
      if (auto opened = loop->open(options.monitor, true); !opened) return opened.error();
    }
    if (auto started = loop->start(); !started) return started.error();
    return std::unique_ptr<Server>(new Server(std::move(loop)));
  } catch (const Fatal& fatal) {
    return fatal.error();
  } catch (const zmq::error_t& error) {
    return Error{"control.cannot-bind", std::string("cannot set up ZeroMQ: ") + error.what(), "nothing was changed",
                 "raise the limit of open files (ulimit -n)"};
  }
}

}  // namespace peaknet::control
