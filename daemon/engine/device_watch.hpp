// DeviceWatch: how long a device may take, for the worker's thread, which waits for it, and for the thread that looks
// after the worker's: a driver that hangs does so inside a call, and then its caller can neither say so nor end.
//
// A bound is a multiple of the longest that a batch may take (bounded_wait.hpp).
//
// Threads: given for each part below. Errors: device.stuck; engine.given-up. After a crash: nothing is left.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "base/result.hpp"
#include "daemon/device/call_mark.hpp"
#include "daemon/engine/bounded_wait.hpp"
#include "daemon/engine/worker_options.hpp"

namespace peaknet::engine {

class DeviceWatch {
 public:
  using Clock = WorkerOptions::Clock;
  using Standing = device::CallMark::Standing;

  // `options` outlive this.
  explicit DeviceWatch(const WorkerOptions& options) : options_(options), patience_(kPatienceInLoading) {}
  DeviceWatch(const DeviceWatch&) = delete;
  DeviceWatch& operator=(const DeviceWatch&) = delete;

  // --- any thread ---

  // Changes as long as the worker's thread goes on with what it does.
  std::uint64_t steps() const { return steps_.load(std::memory_order_relaxed); }
  // What the worker waits for in loading and warming is given up from now on.
  void end_soon() { ending_.store(true); }

  // --- the worker's thread ---

  // Every call of the device is to be marked with this; shared, because it outlives what is left behind.
  const std::shared_ptr<device::CallMark>& mark() const { return mark_; }
  void step() { steps_.fetch_add(1, std::memory_order_relaxed); }
  // How many bounds a call may take from now on.
  void allow(int patience) { patience_.store(patience); }
  // Until the device has done everything, for `patience` bounds at most. `doing` says with what: "a run to warm up".
  // Errors: device.stuck; what the device has failed with; engine.given-up when the worker is to end meanwhile.
  Status wait_until_idle(device::Device& device, int patience, const char* doing);

  // --- one other thread, which looks after the worker's ---

  // The call in which the worker's thread stands, at the last look too.
  std::optional<Standing> standing(Clock::time_point now) { return mark_->standing(now); }
  // For longer than it may in a run; when the worker is to end.
  bool overdue(const Standing& standing) const { return standing.time >= patience_.load() * options_.bound(); }
  bool overdue_at_the_end(const Standing& standing) const { return standing.time >= options_.last_call; }
  // The thread does not come back from that call: `instead` is called with device.stuck, in the thread's place. Without
  // effect if it came back meanwhile.
  void give_up(const Standing& standing, const std::function<void(const Error& why)>& instead);
  // The thread stops if that call should ever return. False: it has.
  bool leave_behind() { return mark_->leave_behind(); }

 private:
  const WorkerOptions& options_;
  const std::shared_ptr<device::CallMark> mark_ = std::make_shared<device::CallMark>();
  std::atomic<bool> ending_{false};
  std::atomic<std::uint64_t> steps_{0};
  std::atomic<int> patience_;
};

}  // namespace peaknet::engine
