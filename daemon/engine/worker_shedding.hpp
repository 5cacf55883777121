// WorkerShedding: one worker's part in shedding (shedding.hpp): it looks at the backlog, tells of each step, and
// publishes the frames that are left out as `skipped`. Without shedding nothing is left out.
//
// Threads: the worker's. Errors: frame.lost of shared memory goes to the log. After a crash: the next daemon begins at
// level 0.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "daemon/engine/device_report.hpp"
#include "daemon/engine/gate.hpp"
#include "daemon/engine/worker_options.hpp"
#include "shm/consumer.hpp"

namespace peaknet::engine {

// Of so many waiting frames, those that go to a device. A few may be left over for the next batch.
inline std::uint32_t kept_of(std::uint32_t waiting, const ShedLevel& effort) {
  return (waiting + effort.keep_one_of - 1) / effort.keep_one_of;
}

class WorkerShedding {
 public:
  // Everything outlives this. Precondition of look(), show() and skip_some(): the report is attached.
  WorkerShedding(const WorkerOptions& options, const DeviceReport& report, Gate& gate)
      : options_(options), report_(report), gate_(gate) {}

  ShedLevel effort() const { return options_.shedding ? options_.shedding->effort() : ShedLevel{}; }
  // That a frame may wait for a fuller batch.
  std::chrono::nanoseconds longest_wait(const ShedLevel& effort) const {
    return effort.hurry ? std::chrono::nanoseconds(0) : options_.max_delay;
  }

  void look(shm::Consumer& queue);
  void show(shm::Consumer& queue) const;
  // Of each `keep_one_of` fresh frames in a row one stays; the others are published. Suspects are neither skipped nor
  // counted: they have waited long enough.
  void skip_some(std::vector<shm::HeldFrame>& frames, std::uint32_t keep_one_of);

 private:
  const WorkerOptions& options_;
  const DeviceReport& report_;
  Gate& gate_;
};

}  // namespace peaknet::engine
