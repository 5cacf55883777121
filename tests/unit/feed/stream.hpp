// Both ends of a stream: a PUSH socket as lclstreamer has it, and a Listener at work into a pool.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>
#include <zmq.hpp>

#include "feed/listen.hpp"
#include "tests/support/instance.hpp"

namespace peaknet::test {

class Sender {
 public:
  explicit Sender(const std::string& address, bool bind = false) {
    socket_.set(zmq::sockopt::sndhwm, 5);
    if (bind) {
      socket_.bind(address);
    } else {
      socket_.connect(address);
    }
  }
  void send(const std::vector<std::byte>& bytes, zmq::send_flags flags = zmq::send_flags::none) {
    socket_.send(zmq::buffer(bytes.data(), bytes.size()), flags);
  }
  std::string address() { return socket_.get(zmq::sockopt::last_endpoint); }

 private:
  zmq::context_t context_;
  zmq::socket_t socket_{context_, zmq::socket_type::push};
};

class Listening {
 public:
  Listening(const TestInstance& instance, feed::ListenOptions options, std::size_t decoders = 1,
            const feed::DecodeOptions& decode = {}) {
    if (options.endpoints.empty()) options.endpoints = {"bind tcp://127.0.0.1:*"};
    listener_ = must(feed::Listener::open(options, {decoders, decode}));
    for (std::size_t i = 0; i < decoders; ++i) producers_.push_back(instance.producer());
    thread_ =
        std::jthread([this] { error_ = listener_->run(producers_, tally_, stop_.get_token(), now_.get_token()); });
  }
  std::string address() const { return listener_->addresses().front(); }
  void stop() { stop_.request_stop(); }
  void now() { now_.request_stop(); }
  feed::Counts end() {
    thread_.join();
    return tally_.counts();
  }
  feed::Counts so_far() const { return tally_.counts(); }
  const std::optional<Error>& error() const { return error_; }
  template <class Condition>
  void until(Condition condition) const {
    while (!condition(so_far())) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }

 private:
  std::stop_source stop_, now_;
  feed::FeedCounters tally_;
  std::optional<Error> error_;
  std::unique_ptr<feed::Listener> listener_;
  std::vector<std::unique_ptr<shm::Producer>> producers_;
  std::jthread thread_;
};

}  // namespace peaknet::test
