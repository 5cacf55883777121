// Rates: frames per second over the last second or so, bytes of files over the last minute, and the history of the
// instance, for the control segment.
//
// Threads: the supervisor's. Errors: none. After a crash: they begin again; the counters and the history go on.
#pragma once

#include <cstdint>
#include <optional>

#include "shm/frame_accounting.hpp"
#include "shm/history.hpp"
#include "shm/layout.hpp"

namespace peaknet::supervisor {

class Rates {
 public:
  struct Moment {
    std::int64_t monotonic_ns;
    std::int64_t realtime_ns;
  };
  // The first call only looks.
  void update(shm::ControlLayout& layout, const shm::FrameAccounting& accounting, const Moment& now);

 private:
  struct Look {
    std::int64_t monotonic_ns;
    shm::CounterTotals totals;
  };
  std::optional<Look> last_;
  double bytes_per_s_ = 0;
};

}  // namespace peaknet::supervisor
