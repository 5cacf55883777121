// Client: asks a peaknetd, one request at a time, over a ZeroMQ DEALER socket. One thread uses it at a time.
#pragma once

#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "base/result.hpp"

namespace peaknet::control {

// For tcp:// endpoints (curve.hpp).
struct ClientKeys {
  std::string server;  // the daemon's public key
  std::string key;     // file of one's own secret key
};

class Client {
 public:
  // Errors, at once and without waiting: control.not-running (no socket, or nobody behind it), control.denied (who
  // may), control.bad-endpoint, control.tcp-needs-curve, curve.*. Over tcp:// the first call() says
  // control.not-running, and control.denied where a key is not accepted.
  static Result<std::unique_ptr<Client>> connect(const std::string& endpoint, const ClientKeys& keys = {});
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Ask and wait for the reply. Errors: those of the daemon, as they were there; control.no-answer when `at_most` has
  // passed (the request may still be carried out), control.bad-reply, and control.daemon-gone when the daemon ended
  // before it answered: then this client is over, and every later call fails alike: connect again. A late reply to an
  // earlier call is not taken for the reply to this one.
  Result<nlohmann::json> call(const std::string& method, const nlohmann::json& params,
                              std::chrono::milliseconds at_most);

 private:
  struct Socket;
  explicit Client(std::unique_ptr<Socket> socket, std::string endpoint);
  std::unique_ptr<Socket> socket_;
  std::string endpoint_;
  std::uint64_t last_id_ = 0;
};

}  // namespace peaknet::control
