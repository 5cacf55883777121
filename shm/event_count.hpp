// EventCount: sleep until "something may have changed", across processes, on one 32-bit futex word in shared memory.
//
// Bit 0 says that somebody may be asleep, the other bits count notifications. A sleeper announces itself (`prepare`),
// looks again at what it waits for, and only then sleeps (`wait`). A notifier clears bit 0 BEFORE it wakes everybody:
// clearing afterwards loses wake-ups (measured). The word is a hint: a notifier that dies before its
// wake, or a word that somebody scribbled on, costs a sleeper at most kWaitSlice. A sleeper that dies with bit 0 set
// costs one needless system call. Any thread of any process may call everything here at any time.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <span>

namespace peaknet::shm {

inline constexpr std::chrono::milliseconds kWaitSlice{100};

class EventCount {
 public:
  using Ticket = std::uint32_t;

  // Announce that this thread is going to sleep. Look at the condition again after this call and before `wait`.
  Ticket prepare() { return word_.fetch_or(1U, std::memory_order_seq_cst) | 1U; }

  // Sleep until notified, or for at most `at_most` (capped to kWaitSlice). True if woken or notified in between,
  // false if the time ran out.
  bool wait(Ticket ticket, std::chrono::nanoseconds at_most = kWaitSlice);

  // Has nobody notified since the ticket was taken? Then work that is there now came without a wake-up.
  bool unchanged_since(Ticket ticket) const { return word_.load(std::memory_order_seq_cst) == ticket; }

  // Wake everybody who prepared before this call.
  void notify();

  // There is one more of something that one sleeper can take: wake the one that has slept longest, and not all of them
  // for each. Somebody who is faster may take it, then the sleeper sleeps again. A sleeper that is killed, or stopped,
  // after it was chosen keeps the others asleep until their slice ends, or until its death is noticed (`notify` then).
  void notify_one();

  // Sleep on several event counts at once (FUTEX_WAITV, Linux 5.16). Same contract as `wait`; at most 8 entries.
  struct Armed {
    EventCount* event;
    Ticket ticket;
  };
  static bool wait_any(std::span<const Armed> armed, std::chrono::nanoseconds at_most = kWaitSlice);

 private:
  std::atomic<std::uint32_t> word_{0};
};
static_assert(sizeof(EventCount) == 4 && std::atomic<std::uint32_t>::is_always_lock_free);

}  // namespace peaknet::shm
