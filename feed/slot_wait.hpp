// SlotWait: the feed waits for a free slot, and why. Said in the log once a wait is two seconds old and once when it is
// over, so that nobody takes silence for work; and in the progress line.
//
// Threads: any. Errors: none.
#pragma once

#include <chrono>
#include <mutex>
#include <string>

#include "shm/participant.hpp"

namespace peaknet::feed {

class SlotWait {
 public:
  // A producer has waited for `spent` in all, and goes on.
  void waits(const shm::Participant& participant, std::chrono::nanoseconds spent);
  // One that waited has its slot.
  void over(std::chrono::nanoseconds spent);

  // "waiting: no run is on ... (peaknetctl start)"; "" while nobody waits.
  std::string text() const;

 private:
  mutable std::mutex mutex_;
  std::string why_;
};

}  // namespace peaknet::feed
