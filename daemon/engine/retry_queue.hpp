// RetryQueue: the frames of one device that run again, or alone, before anything new is taken from Q1. A value: it
// knows no device, no clock and no shared memory. `Frame` is movable and has attempts(): how many devices failed under
// it so far. A frame with attempts() > 0 is a suspect: it may be what made a device fail.
//
// What a fault means for the batch (device/fault.hpp):
//   memory     the same frames run again; next() cuts them to what the device has room for by now
//   transient  the same batch runs again, kTries runs in all; then as `frame`
//   frame      each frame runs by itself; one that fails by itself is returned, for an error result
// Suspects run one by one, with nothing else on the device: if the device fails again, that frame did it.
//
// Threads: one. Errors: none. After a crash: its frames are found INFERRING with a dead owner and go back to Q1.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <iterator>
#include <optional>
#include <utility>
#include <vector>

#include "daemon/device/fault.hpp"

namespace peaknet::engine {

inline constexpr int kTries = 4;              // of a batch that fails for a reason that may pass
inline constexpr std::uint32_t kDevices = 2;  // that a frame may take down

// Frames that go through the device together.
template <class Frame>
struct BasicFrameBatch {
  std::vector<Frame> frames;
  int tries = 0;       // how often it failed for a reason that may pass
  bool alone = false;  // nothing else may be on the device meanwhile: if that fails, this frame did it
};

// A frame was on a device that failed. May another device try it? Else it becomes an error result.
template <class Frame>
bool may_try_another_device(const Frame& frame) {
  return frame.attempts() + 1 < kDevices;
}

template <class Frame>
class RetryQueue {
 public:
  using Batch = BasicFrameBatch<Frame>;

  bool empty() const { return waiting_.empty(); }
  // Is there a batch, and may it start now? One that runs alone waits for a device with nothing on it.
  bool may_start(bool device_is_idle) const { return !waiting_.empty() && (device_is_idle || !waiting_.front().alone); }

  // The next batch: at most `most` frames (>= 1), which may have become fewer; the rest stays first in the queue.
  // Precondition: !empty().
  Batch next(std::size_t most) {
    Batch& first = waiting_.front();
    Batch batch{.frames = {}, .tries = first.tries, .alone = first.alone};
    const auto count = static_cast<std::ptrdiff_t>(std::min(first.frames.size(), most));
    const auto end = first.frames.begin() + count;
    batch.frames.assign(std::move_iterator(first.frames.begin()), std::move_iterator(end));
    first.frames.erase(first.frames.begin(), end);
    if (first.frames.empty()) waiting_.pop_front();
    return batch;
  }

  // Frames fresh from Q1: suspects wait here until each can have the device for itself. Returns the others.
  Batch isolate_suspects(std::vector<Frame> taken) {
    Batch good;
    for (auto& frame : taken) {
      if (frame.attempts() == 0) {
        good.frames.push_back(std::move(frame));
        continue;
      }
      waiting_.push_back(single(std::move(frame), true));
    }
    return good;
  }

  struct Requeued {
    std::size_t retried = 0;      // frames that run again
    std::optional<Frame> failed;  // the frame that failed by itself and does not
  };
  // The batch failed. Precondition: it is not empty, and the fault is not one of the device.
  Requeued requeue(Batch batch, device::Fault fault) {
    using device::Fault;
    const bool whole = fault != Fault::frame && (fault != Fault::transient || ++batch.tries < kTries);
    if (!whole && batch.frames.size() == 1) return {0, std::move(batch.frames.front())};
    const std::size_t retried = batch.frames.size();
    if (whole) {
      waiting_.push_front(std::move(batch));
      return {retried, std::nullopt};
    }
    for (auto& frame : batch.frames) waiting_.push_back(single(std::move(frame), batch.alone));
    return {retried, std::nullopt};
  }

  // Lets go of all frames: they are not on the device.
  void clear() { waiting_.clear(); }

 private:
  static Batch single(Frame frame, bool alone) {
    Batch batch{.frames = {}, .alone = alone};
    batch.frames.push_back(std::move(frame));
    return batch;
  }

  std::deque<Batch> waiting_;
};

}  // namespace peaknet::engine
