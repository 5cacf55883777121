#include "feed/pull_socket.hpp"

#include <array>
#include <cerrno>

#include "base/process_limits.hpp"
#include "feed/endpoint.hpp"

namespace peaknet::feed {
namespace {

constexpr int kReceiveHighWater = 4;  // messages per sender; each may be a hundred megabytes

// A system call that a debugger or a stopped process interrupted is no failure: one looks again.
bool interrupted(const zmq::error_t& failure) { return failure.num() == EINTR; }

}  // namespace

Result<std::unique_ptr<PullSocket>> PullSocket::open(const std::vector<std::string>& endpoints, std::size_t longest) {
  if (endpoints.empty()) {
    return Error{"config.bad-value", "feed.endpoints is empty: there is nothing to listen to", "nothing was opened",
                 "set feed.endpoints to [\"bind tcp://0.0.0.0:12321\"], or name one with --endpoint"};
  }
  if (auto room = room_for(kMessagingThreads + 1, kMessagingDescriptors); !room) return room.error();
  std::unique_ptr<PullSocket> opened(new PullSocket);
  zmq::socket_t& pull = opened->pull_;
  pull.set(zmq::sockopt::linger, 0);
  pull.set(zmq::sockopt::rcvhwm, kReceiveHighWater);
  pull.set(zmq::sockopt::maxmsgsize, static_cast<std::int64_t>(longest));
  pull.set(zmq::sockopt::tcp_keepalive, 1);
  for (const std::string& text : endpoints) {
    const auto endpoint = parse_endpoint(text);
    if (!endpoint) return endpoint.error();
    try {
      if (endpoint->bind) {
        pull.bind(endpoint->address);
        opened->addresses_.push_back(pull.get(zmq::sockopt::last_endpoint));
        opened->opened_.push_back("listening on " + opened->addresses_.back());
      } else {
        pull.connect(endpoint->address);
        opened->addresses_.push_back(endpoint->address);
        opened->opened_.push_back("connecting to " + endpoint->address);
      }
    } catch (const zmq::error_t& failure) {
      return Error{"listen.cannot-open", "cannot " + text + ": " + failure.what(), "nothing was received",
                   "is the port taken by another program (ss -ltnp), and is the address one of this machine?"};
    }
  }
  return opened;
}

void PullSocket::wait(const Wake& wake, std::chrono::milliseconds at_most) {
  std::array<zmq::pollitem_t, 2> items{{{pull_.handle(), 0, ZMQ_POLLIN, 0}, {nullptr, wake.fd(), ZMQ_POLLIN, 0}}};
  try {
    zmq::poll(items.data(), items.size(), at_most);
  } catch (const zmq::error_t& failure) {
    if (!interrupted(failure)) throw;
  }
}

bool PullSocket::receive_part(zmq::message_t& part) {
  try {
    return pull_.recv(part, zmq::recv_flags::dontwait).has_value();
  } catch (const zmq::error_t& failure) {
    if (!interrupted(failure)) throw;
    return false;
  }
}

std::optional<PullSocket::Received> PullSocket::receive() {
  std::optional<Received> received(std::in_place);
  if (!receive_part(received->body)) return std::nullopt;
  for (bool more = received->body.more(); more; ++received->parts) {
    zmq::message_t part;
    more = receive_part(part) && part.more();
  }
  return received;
}

Error multipart_error(std::uint64_t parts, std::span<const std::byte> first) {
  const std::string_view text(reinterpret_cast<const char*>(first.data()), first.size());
  if (text.starts_with('{') && text.find("htype") != std::string_view::npos) {
    return Error{"message.dectris-1", "a message is of DECTRIS' stream 1 (JSON, " + std::to_string(parts) + " parts)",
                 "it was not read; the next message is served",
                 "that stream is not read: let the detector write files and replay them, or put lclstreamer between"};
  }
  return {"message.multipart", "a message has " + std::to_string(parts) + " parts; every known sender sends one",
          "it was not read; the next message is served",
          "is something else than lclstreamer connected to this endpoint?"};
}

}  // namespace peaknet::feed
