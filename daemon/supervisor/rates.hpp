// Rates: frames per second over the last second or so, and bytes of files over the last minute, for the control
// segment.
//
// Threads: the supervisor's. Errors: none. After a crash: they begin again; the counters go on.
#pragma once

#include <array>
#include <cstdint>

#include "shm/frame_accounting.hpp"
#include "shm/layout.hpp"

namespace peaknet::supervisor {

class Rates {
 public:
  // `now_ns`: by the monotonic clock. The first call only looks.
  void update(shm::ControlLayout& layout, const shm::FrameAccounting& accounting, std::int64_t now_ns);

 private:
  std::int64_t last_ns_ = 0;
  std::array<std::uint64_t, 4> last_{};
  std::uint64_t last_bytes_ = 0;
  double bytes_per_s_ = 0;
};

}  // namespace peaknet::supervisor
