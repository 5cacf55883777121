// Pacer: when frame n is due at a given rate. Frames are paced against the times at which they should have gone, not
// against the frame before: time lost while the pool was full is made up for, and a long run does not drift.
//
// Several threads may share one Pacer.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <stop_token>

namespace peaknet::feed {

class Pacer {
 public:
  // 0 Hz: as fast as possible. The clock starts here: frame 0 is due now.
  explicit Pacer(double hz) : hz_(hz), start_(std::chrono::steady_clock::now()) {}

  // Wait until frame `n` is due. False if stopped.
  bool wait_for(std::uint64_t n, const std::stop_token& stop) const {
    if (hz_ <= 0.0) return !stop.stop_requested();
    const auto due = start_ + std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                                  std::chrono::duration<double>(static_cast<double>(n) / hz_));
    if (std::chrono::steady_clock::now() >= due) return !stop.stop_requested();
    std::mutex mutex;
    std::condition_variable_any nobody;
    std::unique_lock lock(mutex);
    nobody.wait_until(lock, stop, due, [] { return false; });
    return !stop.stop_requested();
  }

 private:
  double hz_;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace peaknet::feed
