#include "feed/slot_wait.hpp"

#include "base/log_line.hpp"
#include "control/health.hpp"
#include "control/status_documents.hpp"
#include "shm/frame_accounting.hpp"

namespace peaknet::feed {
namespace {

constexpr std::chrono::seconds kWorthSaying{2};

}  // namespace

void SlotWait::waits(const shm::Participant& participant, std::chrono::nanoseconds spent) {
  if (spent < kWorthSaying) return;
  const shm::ControlSegment& control_segment = participant.control_segment();
  const auto accounting = shm::read_accounting(control_segment, &participant.pool());
  const Error why =
      control::why_full(control_segment, &participant.pool(), control::daemon_alive(control_segment), accounting);
  const std::lock_guard lock(mutex_);
  if (why_.empty()) log::warn("waiting for a free slot: {}", why.text());
  why_ = why.what + " (" + why.remedy + ")";
}

void SlotWait::over(std::chrono::nanoseconds spent) {
  const std::lock_guard lock(mutex_);
  if (why_.empty()) return;
  why_.clear();
  log::info("there is a free slot again, after {} s", std::chrono::duration_cast<std::chrono::seconds>(spent).count());
}

std::string SlotWait::text() const {
  const std::lock_guard lock(mutex_);
  return why_.empty() ? "" : "waiting: " + why_;
}

}  // namespace peaknet::feed
