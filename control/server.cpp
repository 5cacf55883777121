#include "control/server.hpp"

#include <array>
#include <cerrno>
#include <chrono>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>
#include <zmq.hpp>

#include "base/fatal.hpp"
#include "base/process_limits.hpp"
#include "base/wake.hpp"
#include "control/curve.hpp"
#include "control/curve_gate.hpp"
#include "control/endpoint.hpp"
#include "control/idempotency_cache.hpp"
#include "control/ipc_server.hpp"
#include "control/methods.hpp"
#include "control/protocol.hpp"
#include "control/rate_limiter.hpp"
#include "control/unix_listener.hpp"

namespace peaknet::control {
namespace {

constexpr int kLastRepliesMs = 500;        // what replies have to leave in when the server ends
constexpr std::size_t kMaxPending = 1024;  // requests that wait for an Answer at once
constexpr int kMessagesPerTurn = 64;       // read from one tcp:// socket before the other has its turn
constexpr int kQueuedMessages = 256;       // per peer and direction, by tcp://
constexpr int kLastTurns = 256;            // for requests that have come when the server ends
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

// The name that the list of clients has for the key.
std::string peer_of(zmq::message_t& message) {
  const char* user = property(message, "User-Id");
  return user == nullptr || *user == '\0' ? "unknown peer" : std::string("key ") + user;
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
    bool read_only;
    std::optional<IpcServer> ipc;
    std::optional<zmq::socket_t> tcp;
  };
  struct Asker {
    std::size_t endpoint;
    std::uint64_t peer = 0;       // by ipc://
    std::string routing_id = {};  // by tcp://
    std::string from;
  };
  struct Pending {
    Asker asker;
    nlohmann::json id;
  };

  void run(const std::stop_token& stop);
  Status open_tcp(const std::string& endpoint, bool read_only);
  Result<UnixListener> listener_of(const std::string& address) const;
  std::chrono::milliseconds patience() const;
  void look_at_sockets();
  void bind_again(Endpoint& endpoint);
  void report(const IpcServer::Tally& tally) const;
  // What has come to one endpoint. True: something had.
  bool read_some(std::size_t index, bool ending);
  bool read_one(std::size_t index, bool ending);
  void take(Asker asker, std::string_view text, int parts, bool ending);
  void handle(Asker asker, std::string_view text, bool ending);
  // Is it a request that was carried out, or is being so? Then its asker has been seen to.
  bool asked_before(const std::string& name, const Call& call, Pending& asked);
  void answer_all(std::uint64_t ticket, const Reply& answer);
  void send_answers();
  void end();
  void reply(const Asker& asker, const nlohmann::json& id, const Reply& reply);

  Handler handler_;
  ServerOptions options_;
  std::shared_ptr<Answer::Outbox> outbox_;
  zmq::context_t context_{1};
  std::optional<CurveGate> gate_;  // of tcp://
  std::vector<Endpoint> endpoints_;
  std::unordered_multimap<std::uint64_t, Pending> pending_;  // by ticket; several if one asked again; the thread alone
  std::chrono::steady_clock::time_point looked_at_sockets_{};
  IdempotencyCache idempotency_cache_;
  RateLimiter rate_limiter_{kRequestsPerSecond, kRequestsAtOnce};
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
  try {
    if (!gate_) gate_.emplace(context_, std::move(*clients));  // before the first of them listens
    zmq::socket_t socket(context_, zmq::socket_type::router);
    set_limits(socket);
    socket.set(zmq::sockopt::curve_server, true);
    socket.set(zmq::sockopt::curve_secretkey, key->secret);
    socket.set(zmq::sockopt::zap_domain, read_only ? CurveGate::kReading : CurveGate::kControl);
    socket.bind(endpoint);
    endpoints_.push_back({endpoint, read_only, std::nullopt, std::move(socket)});
  } catch (const zmq::error_t& error) {
    return Error{error.num() == EADDRINUSE ? "control.endpoint-taken" : "control.cannot-bind",
                 "cannot serve " + endpoint + ": " + error.what(), "nothing was changed",
                 "choose another control.endpoint"};
  }
  return {};
}

Status Server::Loop::open(const std::string& endpoint, bool read_only) {
  if (is_tcp(endpoint)) return open_tcp(endpoint, read_only);
  auto listener = listener_of(endpoint);
  if (!listener) return listener.error();
  auto ipc = IpcServer::open(std::move(*listener));
  if (!ipc) return ipc.error();
  endpoints_.push_back({endpoint, read_only, std::move(*ipc), std::nullopt});
  return {};
}

Result<UnixListener> Server::Loop::listener_of(const std::string& address) const {
  const auto path = socket_path(address);
  if (!path) return path.error();
  return UnixListener::open(*path, options_.mode, options_.group);
}

// Nobody announces that a path has gone, or that strangers come by the thousand: looked at each second.
void Server::Loop::look_at_sockets() {
  const auto now = std::chrono::steady_clock::now();
  if (now < looked_at_sockets_ + kLookAtSockets) return;
  looked_at_sockets_ = now;
  for (Endpoint& endpoint : endpoints_) {
    if (!endpoint.ipc) continue;
    report(endpoint.ipc->tally());
    if (!endpoint.ipc->bound()) bind_again(endpoint);
  }
}

void Server::Loop::bind_again(Endpoint& endpoint) {
  endpoint.ipc->unbind();  // its lock too, which may be on a removed file
  auto listener = listener_of(endpoint.address);
  const Status bound = listener ? endpoint.ipc->bind(std::move(*listener)) : Status(listener.error());
  if (!options_.notice) return;
  options_.notice(bound ? Error{"control.socket-removed", "somebody removed the socket " + endpoint.address,
                                "it was bound again, and frames went on",
                                "find out who cleans that folder (systemd-tmpfiles, a unit with the same "
                                "RuntimeDirectory)"}
                        : bound.error());
}

void Server::Loop::report(const IpcServer::Tally& tally) const {
  if (!options_.notice) return;
  if (tally.turned_away > 0) {
    options_.notice({"control.too-many-connections",
                     std::to_string(tally.turned_away) + " connections to a control socket were closed at once: " +
                         std::to_string(IpcServer::kMostConnections) +
                         " are open, or fewer than a quarter of the descriptors is left",
                     "those that are connected go on", "see who they are: ss -xp; raise LimitNOFILE of the unit"});
  }
  if (tally.ended > 0) {
    options_.notice(
        {"control.bad-peer",
         std::to_string(tally.ended) + " connections to a control socket were ended; the last one: " + tally.last,
         "nothing was done for them; others go on", "see what that process is: ps -p PID"});
  }
}

Status Server::Loop::start() {
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
  return {};
}

std::chrono::milliseconds Server::Loop::patience() const {
  auto until = IpcServer::Clock::now() + kLookAtSockets;
  for (const Endpoint& endpoint : endpoints_) {
    if (endpoint.ipc) until = std::min(until, endpoint.ipc->deadline().value_or(until));
  }
  return std::max(std::chrono::milliseconds(0),
                  std::chrono::ceil<std::chrono::milliseconds>(until - IpcServer::Clock::now()));
}

void Server::Loop::run(const std::stop_token& stop) {
  std::vector<zmq::pollitem_t> items{{nullptr, outbox_->wakeup.fd(), ZMQ_POLLIN, 0}};
  for (Endpoint& endpoint : endpoints_) {
    items.push_back(endpoint.ipc ? zmq::pollitem_t{nullptr, endpoint.ipc->fd(), ZMQ_POLLIN, 0}
                                 : zmq::pollitem_t{endpoint.tcp->handle(), 0, ZMQ_POLLIN, 0});
  }
  if (gate_) items.push_back({gate_->handle(), 0, ZMQ_POLLIN, 0});
  while (!stop.stop_requested()) {
    try {
      zmq::poll(items, patience());
    } catch (const zmq::error_t& error) {
      if (error.num() != EINTR) throw;  // only a closed context or a bad descriptor: a fault of this code
      continue;
    }
    look_at_sockets();
    if (items[0].revents != 0) outbox_->wakeup.clear();
    if (gate_ && items.back().revents != 0) gate_->answer();
    send_answers();
    for (std::size_t index = 0; index < endpoints_.size(); ++index) read_some(index, false);
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
  for (const auto& [ticket, asked] : pending_) reply(asked.asker, asked.id, ending);
  pending_.clear();
  for (std::size_t index = 0; index < endpoints_.size(); ++index) {
    for (int n = 0; n < kLastTurns && read_some(index, true); ++n) {
    }
  }
  const auto until = IpcServer::Clock::now() + std::chrono::milliseconds(kLastRepliesMs);
  for (Endpoint& endpoint : endpoints_) {
    if (endpoint.ipc) endpoint.ipc->finish(until);
    if (endpoint.tcp) endpoint.tcp->close();  // its replies linger in the context, which waits for them
  }
}

bool Server::Loop::read_some(std::size_t index, bool ending) {
  if (IpcServer* ipc = endpoints_[index].ipc ? &*endpoints_[index].ipc : nullptr; ipc != nullptr) {
    return ipc->turn([&](IpcServer::Message message) {
      take({.endpoint = index, .peer = message.peer, .from = std::move(message.from)}, message.text, message.parts,
           ending);
      send_answers();  // before the next one, so that what is answered at once does not add up
    });
  }
  int read = 0;
  while (read < kMessagesPerTurn && read_one(index, ending)) ++read;
  return read > 0;
}

// One message of whatever parts by tcp://. False: none was waiting.
bool Server::Loop::read_one(std::size_t index, bool ending) {
  zmq::socket_t& socket = *endpoints_[index].tcp;
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
    take({.endpoint = index, .routing_id = identity.to_string(), .from = peer_of(message)}, message.to_string_view(),
         parts, ending);
    return true;
  } catch (const zmq::error_t& error) {
    if (error.num() == EINTR || error.num() == EAGAIN) return false;
    throw;
  }
}

void Server::Loop::take(Asker asker, std::string_view text, int parts, bool ending) {
  if (parts == 1) return handle(std::move(asker), text, ending);
  reply(asker, nullptr,
        Error{"control.invalid-request", "the message has " + std::to_string(parts) + " parts", "nothing was done",
              "send one JSON-RPC 2.0 request as one frame, from a DEALER socket"});
}

void Server::Loop::handle(Asker asker, std::string_view text, bool ending) {
  nlohmann::json id;
  if (!rate_limiter_.take(asker.routing_id.empty() ? std::to_string(asker.endpoint) + " " + std::to_string(asker.peer)
                                                   : asker.routing_id,
                          RateLimiter::Clock::now())) {
    return reply(asker, id,
                 Error{"control.too-fast",
                       "more than " + std::to_string(static_cast<int>(kRequestsPerSecond)) +
                           " requests per second came from one connection",
                       "the request was not read, and nothing was done", "wait a second, then ask again"});
  }
  auto call = read_request(text, id);
  if (!call) return reply(asker, id, call.error());
  if (ending) {
    return reply(
        asker, id,
        Error{"control.shutting-down", "peaknetd is ending", "nothing was done", "ask again when peaknetd is back"});
  }
  const bool read_only = endpoints_[asker.endpoint].read_only;
  if (read_only && !is_read_only(call->method)) {
    return reply(asker, id,
                 Error{"control.read-only", "'" + call->method + "' changes something, and this socket is for reading",
                       "nothing was done", "use the control socket (control.endpoint), if you may"});
  }
  if (pending_.size() >= kMaxPending) {
    return reply(asker, id,
                 Error{"control.busy", std::to_string(pending_.size()) + " requests wait for an answer",
                       "nothing was done", "ask again in a second"});
  }
  const std::uint64_t ticket = ++last_ticket_;
  const std::string from = asker.from;
  Pending asked{std::move(asker), std::move(id)};
  if (const auto key = call->params.find(kKeyParam); key != call->params.end()) {
    const std::string name = from.substr(0, from.find(" pid ")) + " key " + key->get<std::string>();
    call->params.erase(key);
    if (asked_before(name, *call, asked)) return;
    idempotency_cache_.open(name, call->method + to_text(call->params), ticket);
  }
  pending_.emplace(ticket, std::move(asked));
  Answer answer(outbox_, ticket);
  // By the same way as the handler's answers: whoever asks twice is answered in that order.
  if (call->method == "rpc.discover") return answer.send(methods_document());
  try {
    handler_({std::move(call->method), std::move(call->params), read_only, from}, std::move(answer));
  } catch (const std::exception& error) {
    // If the handler had not given the Answer away, its destructor has posted an answer already; this one comes first.
    answer_all(ticket,
               Error{"control.failed", std::string("the request failed inside peaknetd: ") + error.what(),
                     "it is not known what was done", "ask 'status'; this is a fault of peaknetd worth a report"});
  }
}

bool Server::Loop::asked_before(const std::string& name, const Call& call, Pending& asked) {
  const IdempotencyCache::Receipt* receipt = idempotency_cache_.find(name);
  if (receipt == nullptr) return false;
  if (receipt->request != call.method + to_text(call.params)) {
    reply(asked.asker, asked.id,
          Error{"control.key-used", "this key came before with another request", "nothing was done",
                "give each request a key of its own; the same request sent again keeps its key"});
  } else if (receipt->reply) {
    reply(asked.asker, asked.id, *receipt->reply);
  } else {
    pending_.emplace(receipt->ticket, std::move(asked));
  }
  return true;
}

void Server::Loop::answer_all(std::uint64_t ticket, const Reply& answer) {
  idempotency_cache_.close(ticket, answer);
  const auto [begin, end] = pending_.equal_range(ticket);
  for (auto asked = begin; asked != end; ++asked) reply(asked->second.asker, asked->second.id, answer);
  pending_.erase(begin, end);
}

void Server::Loop::send_answers() {
  for (auto& done : outbox_->take()) {
    // An answer that came too late (after an exception of the handler) has nobody left to go to.
    if (pending_.contains(done.ticket)) answer_all(done.ticket, done.reply);
  }
}

void Server::Loop::reply(const Asker& asker, const nlohmann::json& id, const Reply& reply) {
  const std::string text = write_reply(id, reply);
  Endpoint& endpoint = endpoints_[asker.endpoint];
  if (endpoint.ipc) return endpoint.ipc->send(asker.peer, text);
  try {
    if (!endpoint.tcp->send(zmq::buffer(asker.routing_id), zmq::send_flags::sndmore | zmq::send_flags::dontwait))
      return;  // it does not read
    endpoint.tcp->send(zmq::buffer(text), zmq::send_flags::dontwait);
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
