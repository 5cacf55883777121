// LaneSet: the lanes of one worker with their memory on the device, how many of them are used (the depth), and which
// are in flight. Memory is reserved once, for kMaxDepth lanes of the largest batch, so that no later change of depth or
// batch can fail for memory.
//
// Threads: the worker's, but for depth(). Errors: device.no-memory, device.no-pinned-memory, device.*. After a crash:
// nothing is left; the frames of the lanes are found INFERRING with a dead owner and go back to Q1.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "daemon/device/device.hpp"
#include "daemon/engine/batch_plan.hpp"
#include "daemon/engine/device_report.hpp"
#include "daemon/engine/lane.hpp"
#include "daemon/engine/worker_options.hpp"
#include "shm/pool.hpp"

namespace peaknet::engine {

// Images and masks lie in a lane at whole pages.
inline std::size_t lane_stride(std::size_t bytes) { return shm::Geometry::round_up(bytes, shm::kPage); }

class LaneSet {
 public:
  explicit LaneSet(std::uint32_t depth) : depth_(depth) {}

  // --- any thread ---

  std::uint32_t depth() const { return depth_.load(std::memory_order_relaxed); }

  // --- the worker's thread ---

  // Once. Where the device has no room for what is planned the plan is lowered until it has.
  Status reserve(device::Device& device, const WorkerOptions& options, const shm::Geometry& geometry, BatchPlan& plan,
                 const DeviceReport& report);
  // Returns the depth before. Lanes beyond it finish as always and are not used again.
  std::uint32_t set_depth(std::uint32_t depth) { return depth_.exchange(depth); }
  // The network's input. Batches use it one after the other, on the compute stream.
  std::byte* input() const { return input_->address(); }
  const Lane& lane(std::size_t index) const { return *lanes_[index]; }

  // A lane for a batch that may start now; null: none. Nothing joins a batch that runs alone: whatever happens then,
  // its frame did it.
  Lane* free() const;
  bool idle() const { return in_flight_.empty(); }
  // Precondition: !idle().
  Lane& oldest() const { return *in_flight_.front(); }
  bool any_in_flight_from(std::uint32_t index) const {
    return std::any_of(lanes_.begin() + index, lanes_.end(), [](const auto& lane) { return lane->in_flight(); });
  }
  void started(Lane& lane) { in_flight_.push_back(&lane); }
  Lane& take_oldest() {
    Lane& lane = *in_flight_.front();
    in_flight_.pop_front();
    return lane;
  }
  // All that are in flight, oldest first: the device has let go of them.
  std::deque<Lane*> take_all() { return std::exchange(in_flight_, {}); }
  // The device has let go: no lane holds a model any more.
  void forget_models() {
    for (auto& lane : lanes_) lane->model.reset();
  }
  void release() {
    lanes_.clear();
    input_.reset();
  }

 private:
  struct Sizes {
    std::size_t input = 0, images = 0, masks = 0;  // bytes
    std::uint32_t events = 0, panels = 0;
  };
  Status reserve_all(device::Device& device, const Sizes& sizes);
  void clear_all(device::Device& device, const Sizes& sizes);

  std::atomic<std::uint32_t> depth_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::unique_ptr<device::Memory> input_;
  std::deque<Lane*> in_flight_;  // oldest first
};

}  // namespace peaknet::engine
