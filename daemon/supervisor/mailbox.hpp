// Mailbox: what other threads want of the supervisor: requests of the control server and stop signals. Any thread
// puts, the supervisor takes; each put wakes it.
#pragma once

#include <mutex>
#include <utility>
#include <variant>
#include <vector>

#include "control/server.hpp"
#include "shm/event_count.hpp"

namespace peaknet::supervisor {

struct Command {
  control::Request request;
  control::Answer answer;
};
struct SignalCame {
  int number;
};
using Message = std::variant<Command, SignalCame>;

class Mailbox {
 public:
  explicit Mailbox(shm::EventCount& wake) : wake_(wake) {}

  void put(Message message) {
    {
      const std::lock_guard hold(mutex_);
      messages_.push_back(std::move(message));
    }
    wake_.notify();
  }
  std::vector<Message> take() {
    const std::lock_guard hold(mutex_);
    return std::exchange(messages_, {});
  }
  bool empty() const {
    const std::lock_guard hold(mutex_);
    return messages_.empty();
  }

 private:
  shm::EventCount& wake_;
  mutable std::mutex mutex_;
  std::vector<Message> messages_;
};

}  // namespace peaknet::supervisor
