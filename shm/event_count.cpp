#include "shm/event_count.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <ctime>

namespace peaknet::shm {
namespace {

// Headers older than the call (Linux 5.16) know neither it nor its argument; a kernel that has it takes these.
#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif
#ifndef FUTEX_32
#define FUTEX_32 2
struct futex_waitv {
  std::uint64_t val;
  std::uint64_t uaddr;
  std::uint32_t flags;
  std::uint32_t __reserved;
};
#endif

timespec to_timespec(std::chrono::nanoseconds span) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(span);
  return {.tv_sec = seconds.count(), .tv_nsec = (span - seconds).count()};
}

std::chrono::nanoseconds capped(std::chrono::nanoseconds at_most) {
  return std::clamp<std::chrono::nanoseconds>(at_most, std::chrono::nanoseconds{0}, kWaitSlice);
}

}  // namespace

bool EventCount::wait(Ticket ticket, std::chrono::nanoseconds at_most) {
  const timespec timeout = to_timespec(capped(at_most));
  const long rc = syscall(SYS_futex, &word_, FUTEX_WAIT, ticket, &timeout, nullptr, 0);
  return rc == 0 || errno != ETIMEDOUT;
}

void EventCount::notify() {
  std::uint32_t old = word_.load(std::memory_order_relaxed);
  while (!word_.compare_exchange_weak(old, (old + 2U) & ~1U, std::memory_order_seq_cst)) {
  }
  if ((old & 1U) != 0) syscall(SYS_futex, &word_, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

void EventCount::notify_one() {
  // Bit 0 stays: others sleep on. Whoever prepared and does not sleep yet finds the word changed.
  if ((word_.fetch_add(2U, std::memory_order_seq_cst) & 1U) == 0) return;
  if (syscall(SYS_futex, &word_, FUTEX_WAKE, 1, nullptr, nullptr, 0) == 0) notify();  // nobody: the next ones are free
}

bool EventCount::wait_any(std::span<const Armed> armed, std::chrono::nanoseconds at_most) {
  std::array<futex_waitv, 8> waiters{};
  const std::size_t count = std::min(armed.size(), waiters.size());
  for (std::size_t i = 0; i < count; ++i) {
    waiters[i].val = armed[i].ticket;
    waiters[i].uaddr = reinterpret_cast<std::uintptr_t>(&armed[i].event->word_);
    waiters[i].flags = FUTEX_32;
  }
  timespec deadline{};
  clock_gettime(CLOCK_MONOTONIC, &deadline);
  const auto end = std::chrono::seconds{deadline.tv_sec} + std::chrono::nanoseconds{deadline.tv_nsec} + capped(at_most);
  deadline = to_timespec(end);
  const long rc = syscall(SYS_futex_waitv, waiters.data(), count, 0, &deadline, CLOCK_MONOTONIC);
  if (rc < 0 && errno != ETIMEDOUT && errno != EAGAIN && errno != EINTR) {
    // A kernel older than 5.16, or a sandbox without the call: the first event wakes at once, the others in time.
    return armed.front().event->wait(armed.front().ticket,
                                     std::min<std::chrono::nanoseconds>(at_most, kWaitSlice / 20));
  }
  return rc >= 0 || errno != ETIMEDOUT;
}

}  // namespace peaknet::shm
