// Refusals: what the feed could not take, told wherever people look: in the counts at the end (FeedCounters), in the
// log (ThrottledLog), and in the instance, where peaknetctl errors, the metrics and status --check have it with its
// count, also when this program has gone. Any thread.
#pragma once

#include <cstdint>

#include "base/result.hpp"
#include "feed/feed_counters.hpp"
#include "feed/throttled_log.hpp"
#include "shm/participant.hpp"

namespace peaknet::feed {

class Refusals {
 public:
  // `account`: null where there is no instance. Both must outlive this.
  Refusals(FeedCounters& tally, shm::Participant* account) : tally_(tally), account_(account) {}

  // So many frames, or messages that could not be opened, are lost to one cause.
  void refuse(const Error& error, std::uint64_t by = 1) {
    count(error, by);
    log_.report(error);
  }
  // The same where the caller says it: the feed ends with this error.
  void count(const Error& error, std::uint64_t by = 1) {
    tally_.failed(error.id, by);
    if (account_ != nullptr) account_->record_error(error, by);
  }
  // For the log alone: nothing was refused.
  void tell(const Error& error) { log_.report(error); }

 private:
  FeedCounters& tally_;
  shm::Participant* account_;
  ThrottledLog log_;
};

}  // namespace peaknet::feed
