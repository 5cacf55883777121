#include "daemon/device/call_mark.hpp"

#include <unistd.h>

#include <utility>

namespace peaknet::device {

bool CallMark::enter(const char* call) {
  if (within_ || std::this_thread::get_id() != owner_) return false;
  within_ = true;
  call_.store(call, std::memory_order_relaxed);
  word_.store(++number_ * kStates + inside, std::memory_order_release);
  return true;
}

void CallMark::leave() {
  within_ = false;
  std::uint64_t word = number_ * kStates + inside;
  if (word_.compare_exchange_strong(word, number_ * kStates + outside, std::memory_order_acq_rel)) return;
  {
    const std::lock_guard wait(mutex_);
    word = number_ * kStates + given_up;
    if (word_.compare_exchange_strong(word, number_ * kStates + outside, std::memory_order_acq_rel)) return;
  }
  for (;;) ::pause();  // left behind
}

std::optional<CallMark::Standing> CallMark::standing(Clock::time_point now) {
  const std::uint64_t word = word_.load(std::memory_order_acquire);
  // A process that was stopped for an hour must not say that a call took so long.
  const auto step = std::min<Clock::duration>(now - std::exchange(looked_, now), kLongestLook);
  if (word % kStates == outside) {
    seen_ = word;
    return std::nullopt;
  }
  if (word / kStates != seen_ / kStates) {
    stood_ = {};
  } else {
    stood_ += step;
  }
  seen_ = word;
  return Standing{call_.load(std::memory_order_relaxed), stood_};
}

bool CallMark::give_up(const Error& why, const std::function<void()>& instead) {
  const std::lock_guard hold(mutex_);
  std::uint64_t word = seen_ / kStates * kStates + inside;
  if (!word_.compare_exchange_strong(word, seen_ / kStates * kStates + given_up, std::memory_order_acq_rel))
    return false;
  verdict_ = why;
  given_up_.store(true, std::memory_order_release);
  instead();
  return true;
}

bool CallMark::leave_behind() {
  const std::lock_guard hold(mutex_);
  const std::uint64_t call = seen_ / kStates * kStates;
  for (const State from : {inside, given_up}) {
    std::uint64_t word = call + from;
    if (word_.compare_exchange_strong(word, call + left_behind, std::memory_order_acq_rel)) return true;
  }
  return false;
}

}  // namespace peaknet::device
