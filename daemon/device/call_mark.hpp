// CallMark: is a thread inside a call that may never return, and in which? A driver that hangs does so inside a call;
// its caller can neither say so nor end. Another thread sees the mark and does both in its place.
//
// Threads: one is marked (adopt) and enters and leaves; a mark that another thread sets, or that lies within a mark,
// counts for nothing. One other thread looks. Invariant: of those two only one goes on at a time. Who gives up a call
// has what its thread worked on for himself until give_up() is done; the thread, should the call return after all,
// waits for that and finds a verdict. One that was left behind stops where its call returned, until the process ends:
// what it would use next may be gone.
//
// Cost: two atomic operations a call. The clock is read by who looks.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "base/result.hpp"

namespace peaknet::device {

class CallMark {
 public:
  using Clock = std::chrono::steady_clock;

  // --- the marked thread ---

  // `call` is a literal: "an upload".
  class Inside {
   public:
    Inside(CallMark& mark, const char* call) : mark_(mark.enter(call) ? &mark : nullptr) {}
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;
    ~Inside() {
      if (mark_ != nullptr) mark_->leave();
    }

   private:
    CallMark* mark_;
  };
  void adopt() { owner_ = std::this_thread::get_id(); }  // the calling thread is the marked one, from before any mark
  // Why a call was given up, for ever; ok: none was.
  Status verdict() const { return given_up_.load(std::memory_order_acquire) ? verdict_ : Status{}; }

  // --- the one who looks ---

  struct Standing {
    const char* call;
    std::chrono::nanoseconds time;  // since it was first seen there; a time in which nobody looked counts little
  };
  // The call that the thread was in at the last look too.
  std::optional<Standing> standing(Clock::time_point now);
  // The thread does not come back from the call of the last look: `instead` does what it cannot. False: it has.
  bool give_up(const Error& why, const std::function<void()>& instead);
  // The thread stops if the call of the last look should ever return. False: it has.
  bool leave_behind();

 private:
  enum State : std::uint64_t { outside, inside, given_up, left_behind, kStates };
  static constexpr std::chrono::seconds kLongestLook{1};

  bool enter(const char* call);
  void leave();

  std::atomic<std::uint64_t> word_{outside};  // number of the call * kStates + State
  std::atomic<const char*> call_{""};
  std::atomic<bool> given_up_{false};
  std::mutex mutex_;  // of the one who looks, while he acts in the place of the thread
  Status verdict_;    // once given_up_
  // The marked thread's.
  std::thread::id owner_;
  std::uint64_t number_ = 0;
  bool within_ = false;
  // The looker's.
  std::uint64_t seen_ = outside;
  Clock::time_point looked_{};
  std::chrono::nanoseconds stood_{0};
};

}  // namespace peaknet::device
