// Health: one judgement of an instance, from its control segment alone, for every tool: `status`, `status --check`,
// `top`, `doctor`, the metrics, systemd's status line. It needs no daemon: what a daemon that hangs or died left is
// judged too.
//
//   healthy    nothing is known to be wrong
//   degraded   frames get into files; something costs some of them, or soon will
//   failing    frames do not get into files now, or are being lost
//
// Threads: any. Errors: none; what the segment does not know is not called wrong.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "shm/control_segment.hpp"
#include "shm/frame_accounting.hpp"
#include "shm/pool.hpp"

namespace peaknet::control {

enum class HealthState { healthy, degraded, failing };
constexpr const char* name(HealthState state) {
  return state == HealthState::healthy ? "healthy" : state == HealthState::degraded ? "degraded" : "failing";
}

struct HealthReason {
  HealthState state;  // what this alone makes of the instance
  Error error;        // id "health.no-writer"; the remedy is a command
};

struct Health {
  HealthState state = HealthState::healthy;
  std::vector<HealthReason> reasons;  // the worst first
};

// As it is now. `pool`: null while there is none. `daemon_alive`: nullopt where who asks may not know.
Health judge(const shm::ControlSegment& control_segment, const shm::Pool* pool, std::optional<bool> daemon_alive,
             const shm::FrameAccounting& accounting);

// What keeps the pool full, for who waits for a slot: no daemon, no run, no writer, a writer that waits for its disk,
// or the slowest stage.
Error why_full(const shm::ControlSegment& control_segment, const shm::Pool* pool, std::optional<bool> daemon_alive,
               const shm::FrameAccounting& accounting);

// {"state", "reasons": [{"id", "state", "what", "untouched", "remedy"}]}, part of other documents.
nlohmann::json health_part(const Health& health);

// "healthy", or "failing: no writer is attached (+2)".
std::string health_line(const Health& health);

}  // namespace peaknet::control
