// Server: the daemon's end of the control protocol (docs/protocol.md): JSON-RPC 2.0 over ZeroMQ ROUTER sockets.
//
// Invariant I7: exactly one reply per request, also to nonsense. What does not parse, is no request, names no method,
// has wrong parameters or comes in several parts is answered by the server itself; the Handler sees only checked
// requests of methods that methods() lists, with the parameters that are described there. `rpc.discover` is answered
// here. Two endpoints: `endpoint` takes every method, `monitor` those that change nothing; who may connect to which is
// a matter of the sockets' file modes.
//
// One thread of the server's own owns all sockets. At its end (destructor) requests without an answer get the error
// control.shutting-down, and replies have half a second to leave.
// After a crash: the kernel drops the lock on `<socket>.lock`, so the next server removes the dead socket and takes its
// place.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "base/result.hpp"

namespace peaknet::control {

struct Request {
  std::string method;
  nlohmann::json params;   // an object; only what the method's description names, of the right types and in range
  bool read_only = false;  // it came by the monitor endpoint
  std::string peer;        // "uid 1000 pid 123"; "key NAME" over tcp://; "unknown peer" where nobody says
};
using Reply = Result<nlohmann::json>;

// The right, and the duty, to answer one request. Move-only, any thread, also after the server has gone (the answer is
// then dropped: the asker was told control.shutting-down). Destroyed without send() it answers with the error
// control.no-answer.
class Answer {
 public:
  Answer(Answer&&) noexcept = default;
  Answer& operator=(Answer&& other) noexcept;
  Answer(const Answer&) = delete;
  Answer& operator=(const Answer&) = delete;
  ~Answer();

  // Exactly once. Never blocks for the peer: a peer that has gone, or does not read, loses its reply.
  void send(Reply reply);

 private:
  friend class Server;
  struct Outbox;  // what the server's thread has to send
  Answer(std::shared_ptr<Outbox> outbox, std::uint64_t ticket) : outbox_(std::move(outbox)), ticket_(ticket) {}
  std::shared_ptr<Outbox> outbox_;
  std::uint64_t ticket_ = 0;
};

// Called on the server's thread, one request at a time: must not block. It may answer at once, or keep the Answer and
// send it later from another thread (`stop` takes as long as the frames take). An exception that leaves it is answered
// as control.failed.
using Handler = std::function<void(Request, Answer)>;

struct ServerOptions {
  std::string endpoint;  // "ipc:///run/peaknet/mfx/ctl"
  std::string monitor;   // the same for reading only; "": none
  unsigned mode = 0660;  // of both sockets
  std::string group;     // of both sockets, and of their folder if it is made here; "": that of the process
  // For tcp:// endpoints, which have no file mode, these say who may connect (curve.hpp); files.
  std::string curve_key = {};      // the server's secret key
  std::string curve_clients = {};  // the clients' public keys
  // Told of what happens to the sockets later: control.socket-removed (bound again), or why that failed. Called on the
  // server's thread.
  std::function<void(const Error&)> notice = {};
};

class Server {
 public:
  // Bind both endpoints and begin to answer. A missing folder is made with mode 0750. Sockets are at no moment more
  // open than `mode`, and nobody can connect before they are as they shall be. Errors: control.endpoint-taken (with the
  // pid of who has it), control.tcp-needs-curve, control.bad-endpoint, control.group, control.cannot-bind, curve.*. On
  // an error nothing is left behind and nobody was disturbed. A socket that somebody removes is noticed within a second
  // and bound again; who is connected stays so.
  static Result<std::unique_ptr<Server>> listen(const ServerOptions& options, Handler handler);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

 private:
  class Loop;
  explicit Server(std::unique_ptr<Loop> loop);
  std::unique_ptr<Loop> loop_;
};

}  // namespace peaknet::control
