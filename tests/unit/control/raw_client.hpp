// A peer that sends what it likes, and sees every reply: for what the polite control::Client never does.
#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>
#include <zmq.hpp>

namespace peaknet::test {

class RawClient {
 public:
  explicit RawClient(const std::string& endpoint);
  void send_parts(const std::vector<std::string>& parts);
  void send(const std::string& text) { send_parts({text}); }

  // The next reply, in its single frame; nullopt if none came in time or it had several.
  std::optional<nlohmann::json> reply(std::chrono::milliseconds at_most = std::chrono::seconds(10));

  // Replies to what was sent before this call, one each and no more: a request of our own is sent after them, and what
  // comes before its reply is counted.
  std::size_t replies_until_now();

 private:
  zmq::context_t context_{1};
  zmq::socket_t dealer_{context_, zmq::socket_type::dealer};
};

// Connect to a Unix socket without ZeroMQ, write the bytes, and close.
void scribble(const std::string& path, const std::string& bytes);

}  // namespace peaknet::test
