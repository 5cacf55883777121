// TransferService: lclstream_api's transfers, as far as a consumer needs them. A transfer is a job at the detector's
// site that sends events to a cache, from which they are taken over ZeroMQ.
//
// Threads: one. Every answer is checked before anything in it is used. Errors: those of HttpsClient, request.token,
// request.refused (the service says no: its own words are in the text), request.answer (it says what we do not know).
#pragma once

#include <chrono>
#include <optional>
#include <stop_token>
#include <string>

#include "base/result.hpp"
#include "feed/https_client.hpp"

namespace peaknet::feed {

struct Transfer {
  std::string state;                   // provisioning, ready, canceling, canceled, completed, failed
  std::optional<std::string> address;  // tcp://HOST:PORT for a PULL socket, once there is one

  bool over() const { return state == "completed" || failed(); }
  bool failed() const { return state == "failed" || state == "canceled" || state == "canceling"; }
};

class TransferService {
 public:
  // `token_file` is read for each request, so that a renewed token is used; empty: the service wants none.
  TransferService(HttpsClient client, std::string token_file)
      : client_(std::move(client)), token_file_(std::move(token_file)) {}

  // Posts `body`, a TransferCreate in JSON; the id of the transfer.
  Result<std::string> create(const std::string& body, const std::stop_token& stop) const;
  Result<Transfer> look(const std::string& id, const std::stop_token& stop) const;
  // It may be over already.
  Status cancel(const std::string& id) const;

 private:
  Result<std::string> token() const;
  Result<std::string> ask(const std::string& method, const std::string& path, const std::string& body,
                          const std::stop_token& stop) const;

  HttpsClient client_;
  std::string token_file_;
};

// The body of a request from the text of a file, YAML or JSON: a TransferCreate, or a configuration of lclstreamer,
// which is its `parameters`. The consumer's socket is PULL whatever it says. Errors: request.file.
Result<std::string> transfer_body(const std::string& text, const std::string& name);

}  // namespace peaknet::feed
