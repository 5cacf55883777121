// Rally: devices that are measured at the same time. All begin together, and each goes on until the last has done what
// it was to do: so none of them is measured while another rests.
//
// Threads: those of the devices.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

namespace peaknet::supervisor {

class TuneRally {
 public:
  explicit TuneRally(std::size_t devices) : devices_(devices) {}

  void arrive() {
    const std::lock_guard hold(mutex_);
    if (++arrived_ == devices_) all_here_.notify_all();
  }
  bool all_here_within(std::chrono::nanoseconds at_most) {
    std::unique_lock hold(mutex_);
    return all_here_.wait_for(hold, at_most, [&] { return arrived_ >= devices_; });
  }
  void reach() { reached_.fetch_add(1); }  // what it was to do; once
  bool all_reached() const { return reached_.load() >= devices_; }

 private:
  const std::size_t devices_;
  std::mutex mutex_;  // arrived_
  std::condition_variable all_here_;
  std::size_t arrived_ = 0;
  std::atomic<std::size_t> reached_{0};
};
using TuneRallies = std::vector<std::shared_ptr<TuneRally>>;  // one after the other

}  // namespace peaknet::supervisor
