#include "writer/departure.hpp"

namespace peaknet::writer {
namespace {

using shm::DaemonState;
using shm::SlotState;

}  // namespace

// `starting` takes no frames yet, but will: its run goes on as soon as the model is warm.
bool Departure::daemon_takes_frames() const {
  if (!participant_.daemon_lives()) return false;
  const DaemonState state = participant_.layout().daemon.state.load();
  return state == DaemonState::running || state == DaemonState::draining || state == DaemonState::starting;
}

bool Departure::anything_awaited(bool daemon_takes) const {
  const shm::Pool& pool = participant_.pool();
  for (std::uint32_t slot = 0; slot < pool.geometry().slots; ++slot) {
    const auto word = shm::StateWord::unpack(pool.word(slot).load(std::memory_order_acquire));
    const bool ours = word.state == SlotState::writing && word.owner == participant_.id();
    const bool coming = word.state == SlotState::ready || word.state == SlotState::inferring;
    if (word.sequence < below_ && (ours || word.state == SlotState::done || (daemon_takes && coming))) return true;
  }
  return false;
}

bool Departure::is_over(Clock::time_point now) {
  if (now >= deadline_) return true;
  const bool takes = daemon_takes_frames();
  if (takes && participant_.layout().daemon.state.load() == DaemonState::draining) return false;
  const bool together = takes && now < asked_ + kTogether;
  if (!together && below_ == shm::kMaxSequence) below_ = participant_.layout().next_sequence.load();
  return !together && !anything_awaited(takes);
}

Departure::Left Departure::left() const {
  const auto counts = participant_.pool().count_states();
  const auto in = [&](SlotState state) { return counts[static_cast<std::size_t>(state)]; };
  return {in(SlotState::ready), in(SlotState::inferring), in(SlotState::done)};
}

std::string describe(const Departure::Left& left) {
  return std::to_string(left.q1) + " wait for a device, " + std::to_string(left.devices) + " are on a device, " +
         std::to_string(left.q2) + " wait for a writer";
}

}  // namespace peaknet::writer
