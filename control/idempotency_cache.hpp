// IdempotencyCache: what became of requests that carry a key, so that a request which is sent again (because its reply
// was lost or late) is carried out once: the second gets the first one's reply.
//
// A key belongs to the user who sent it. The latest kMost finished ones are kept, in memory alone: a new daemon knows
// none. Used by the server's thread alone.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <unordered_map>

#include "control/server.hpp"

namespace peaknet::control {

class IdempotencyCache {
 public:
  static constexpr std::size_t kMost = 1024;

  struct Receipt {
    std::uint64_t ticket;        // of the request that came first
    std::string request;         // what it asked for
    std::optional<Reply> reply;  // none while it is being carried out
  };
  // Of the request that came first under this name; nullptr: none is known.
  const Receipt* find(const std::string& name) const;
  // It is being carried out as `ticket` now.
  void open(const std::string& name, const std::string& request, std::uint64_t ticket);
  // The request of that ticket has its reply. Nothing happens if it carried no key.
  void close(std::uint64_t ticket, const Reply& reply);
  std::size_t size() const { return by_name_.size(); }

 private:
  std::unordered_map<std::string, Receipt> by_name_;
  std::unordered_map<std::uint64_t, std::string> open_;  // names of those without a reply
  std::deque<std::string> finished_;                     // the oldest first
};

}  // namespace peaknet::control
