#include "writer/departure.hpp"

namespace peaknet::writer {
namespace {

using shm::DaemonState;
using shm::SlotState;

template <class Count>
void for_each_frame(const shm::Pool& pool, Count count) {
  for (std::uint32_t slot = 0; slot < pool.geometry().slots; ++slot)
    count(shm::StateWord::unpack(pool.word(slot).load(std::memory_order_acquire)));
}

}  // namespace

// `starting` takes no frames yet, but will: its run goes on as soon as the model is warm.
bool Departure::daemon_takes_frames() const {
  if (!member_.daemon_lives()) return false;
  const DaemonState state = member_.layout().daemon.state.load();
  return state == DaemonState::running || state == DaemonState::draining || state == DaemonState::starting;
}

bool Departure::anything_awaited(bool daemon_takes) const {
  bool found = false;
  for_each_frame(member_.pool(), [&](const shm::StateWord& word) {
    const bool ours = word.state == SlotState::writing && word.owner == member_.id();
    const bool coming = word.state == SlotState::ready || word.state == SlotState::inferring;
    found |= word.sequence < below_ && (ours || word.state == SlotState::done || (daemon_takes && coming));
  });
  return found;
}

bool Departure::is_over(Clock::time_point now) {
  if (now >= deadline_) return true;
  const bool takes = daemon_takes_frames();
  if (takes && member_.layout().daemon.state.load() == DaemonState::draining) return false;
  const bool together = takes && now < asked_ + kTogether;
  if (!together && below_ == shm::kMaxSequence) below_ = member_.layout().next_sequence.load();
  return !together && !anything_awaited(takes);
}

Departure::Left Departure::left() const {
  Left left;
  for_each_frame(member_.pool(), [&](const shm::StateWord& word) {
    left.q1 += word.state == SlotState::ready ? 1 : 0;
    left.devices += word.state == SlotState::inferring ? 1 : 0;
    left.q2 += word.state == SlotState::done ? 1 : 0;
  });
  return left;
}

std::string describe(const Departure::Left& left) {
  return std::to_string(left.q1) + " wait for a device, " + std::to_string(left.devices) + " are on a device, " +
         std::to_string(left.q2) + " wait for a writer";
}

}  // namespace peaknet::writer
