// FrameAccounting: what the counters of an instance add up to, read without disturbing anybody. For peaknetd's replies,
// peaknetctl and the exporters: they all show what is computed here.
#pragma once

#include <cstdint>

#include "shm/control_segment.hpp"
#include "shm/pool.hpp"

namespace peaknet::shm {

struct FrameAccounting {
  CounterTotals totals{};  // since the control segment was made
  CounterTotals run{};     // since the current (or last) run began: what happened to frames in that run
  std::array<std::uint32_t, kSlotStates> slots{};
  // The counters and the slots belong to one moment; false if they never stood still while we looked.
  bool settled = false;

  std::uint64_t total(Counter counter) const { return totals[static_cast<std::size_t>(counter)]; }
  std::uint64_t of_run(Counter counter) const { return run[static_cast<std::size_t>(counter)]; }
  std::uint64_t outcomes() const;
  std::uint64_t in_flight() const;  // READY, INFERRING, DONE, WRITING, QUARANTINED
  // committed - outcomes - in flight; 0 unless invariant I2 is broken (or the counters did not settle).
  std::int64_t imbalance() const;
};

// Read counters and slots until two readings agree and no operation is half way through its intent record; at most a
// fifth of a second on a machine that is busy, a few hundredths on one that is not. Needs read-only access alone; what
// it reads may be nonsense that a participant scribbled, but is never used as an index.
FrameAccounting read_accounting(const ControlSegment& control_segment, const Pool* pool);

// Begin the counters of a run: remember the totals. peaknetd alone, while it starts a run. Frames that wait already
// count for the new run, since it is the run that will process them.
void begin_run_accounting(const ControlSegment& control_segment);

}  // namespace peaknet::shm
