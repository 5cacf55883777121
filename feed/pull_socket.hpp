// PullSocket: the receiving end of a stream: one ZeroMQ PULL socket on any number of endpoints. What `listen` and
// `record` have in common.
//
// One thread at a time. Memory is bounded by ZeroMQ's high-water mark: four messages a sender; then the sender waits.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>
#include <zmq.hpp>

#include "base/result.hpp"
#include "base/wake.hpp"

namespace peaknet::feed {

class PullSocket {
 public:
  // From here on senders may connect, and what they send waits. A message longer than `longest` closes its connection
  // (ZeroMQ). Errors: config.bad-value (an entry that is no endpoint), listen.cannot-open.
  static Result<std::unique_ptr<PullSocket>> open(const std::vector<std::string>& endpoints, std::size_t longest);

  // The addresses as they are, with the port where "*" was asked for, in the order of the endpoints.
  const std::vector<std::string>& addresses() const { return addresses_; }

  // "listening on tcp://...", "connecting to tcp://...": the same for people.
  const std::vector<std::string>& opened() const { return opened_; }

  // Until there is something to receive, `wake` was notified, or the time is over; negative: for ever. May return
  // early.
  void wait(const Wake& wake, std::chrono::milliseconds at_most);

  struct Received {
    zmq::message_t body;
    std::uint64_t parts = 1;  // more than one: no sender that we know; `body` is the first, the others were let go

    std::span<const std::byte> bytes() const { return {static_cast<const std::byte*>(body.data()), body.size()}; }
  };
  // Without waiting; nullopt: nothing is here.
  std::optional<Received> receive();

 private:
  PullSocket() = default;
  bool receive_part(zmq::message_t& part);
  zmq::context_t context_{2};
  zmq::socket_t pull_{context_, zmq::socket_type::pull};
  std::vector<std::string> addresses_, opened_;
};

// message.multipart: of a message with so many parts; message.dectris-1 where the first of them says so.
Error multipart_error(std::uint64_t parts, std::span<const std::byte> first);

}  // namespace peaknet::feed
