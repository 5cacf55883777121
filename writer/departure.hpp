// Departure: how long a writer that was asked to end goes on. All programs of an instance may be asked in one moment (a
// reboot, `systemctl stop`, `scancel`, Ctrl-C on a process group), and /dev/shm does not outlive a reboot: what was
// committed has to get into files first, although the devices still have it.
//
// A frame is awaited if it was committed before the request and somebody still brings it: it is in Q2, in this writer,
// or in Q1 or a device while peaknetd lives and takes frames. A daemon that drains is waited for until it has ended.
// One that runs on may have been asked in the same moment and not heard it yet, so for kTogether every frame is
// awaited.
//
// Threads: the writer's loop alone. Errors: none; what cannot be known is not awaited.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "shm/participant.hpp"

namespace peaknet::writer {

class Departure {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::seconds kTogether{1};

  // The request came at `asked`; `at_most` later the writer ends whatever waits.
  Departure(const shm::Participant& participant, Clock::time_point asked, std::chrono::milliseconds at_most)
      : participant_(participant), asked_(asked), deadline_(asked + at_most) {}

  // May the writer end now?
  bool is_over(Clock::time_point now);

  struct Left {
    std::uint32_t q1 = 0, devices = 0, q2 = 0;
    std::uint32_t sum() const { return q1 + devices + q2; }
  };
  // Frames that are in shared memory now, whenever they were committed.
  Left left() const;

 private:
  bool daemon_takes_frames() const;
  bool anything_awaited(bool daemon_takes) const;

  const shm::Participant& participant_;
  Clock::time_point asked_, deadline_;
  std::uint64_t below_ = shm::kMaxSequence;  // frames that are awaited
};

// "3 wait for a device, 2 are on a device, 5 wait for a writer".
std::string describe(const Departure::Left& left);

}  // namespace peaknet::writer
