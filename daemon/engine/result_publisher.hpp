// ResultPublisher: what becomes of the frames that a worker took: a mask, an error result, or back to Q1 as a suspect;
// and how many of them are not yet anywhere (in flight).
//
// Invariant I3: publish() only after the event behind the download of the batch was seen, on a device that was well
// then.
//
// Threads: the worker's, but for in_flight(). Errors: frame.lost of shared memory goes to the log: the slot is not ours
// any more, and who has it counts it. After a crash: see RetryQueue.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "base/result.hpp"
#include "daemon/engine/device_report.hpp"
#include "daemon/engine/lane.hpp"
#include "shm/consumer.hpp"

namespace peaknet::engine {

class ResultPublisher {
 public:
  // `report` outlives this. Precondition of all calls but in_flight() and show_in_flight(): it is attached.
  explicit ResultPublisher(const DeviceReport& report) : report_(report) {}

  // --- any thread ---

  std::uint32_t in_flight() const { return in_flight_.load(std::memory_order_acquire); }

  // --- the worker's thread ---

  void took(std::size_t frames) { in_flight_.fetch_add(static_cast<std::uint32_t>(frames), std::memory_order_release); }
  // The masks of this batch, which `model` made in `lane`. A frame for which it gave no numbers fails.
  void publish(const Lane& lane, FrameBatch& batch, const std::string& model);
  // An error result, for a frame that the network cannot take.
  void fail(shm::HeldFrame frame, Error why);
  // The device was lost with these frames on it, and has let go of them. Any of them may have done it: they go back to
  // Q1 as suspects; one that was on kDevices such devices gets an error result.
  void give_back_suspects(FrameBatch batch);
  void show_in_flight() const { report_.record().in_flight.store(in_flight_.load(), std::memory_order_relaxed); }
  // Nothing of what this worker took is with it any more.
  void none_in_flight() { in_flight_.store(0, std::memory_order_release); }

 private:
  void publish_error(shm::HeldFrame frame);

  const DeviceReport& report_;
  std::atomic<std::uint32_t> in_flight_{0};
};

}  // namespace peaknet::engine
