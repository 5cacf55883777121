// Standstill: a place where work of a test stands until it may go on: what hangs, and may come back when nobody waits
// for it any more. Hold it by shared pointer wherever it may be entered.
//
// Threads: any.
#pragma once

#include <condition_variable>
#include <mutex>

namespace peaknet::test {

class Standstill {
 public:
  void enter() {
    std::unique_lock hold(mutex_);
    entered_ = true;
    changed_.notify_all();
    changed_.wait(hold, [&] { return goes_on_; });
  }
  void wait_until_entered() {
    std::unique_lock hold(mutex_);
    changed_.wait(hold, [&] { return entered_; });
  }
  void let_go_on() {
    const std::lock_guard hold(mutex_);
    goes_on_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;  // the rest
  std::condition_variable changed_;
  bool entered_ = false, goes_on_ = false;
};

}  // namespace peaknet::test
