// Worker: the one thread that feeds one device. It takes frames from Q1, keeps up to `depth` batches on the device, and
// publishes each result to Q2 the moment its last transfer is done, whether or not further frames come.
//
// The loop has one form for every situation: finish what is done, apply what was asked, start what may start, sleep.
// Stopping, draining and rebuffering only change what may start; there is no other code that could lose a batch.
//
// law: the result of a frame is published only after the event behind its download; tensors of the model never leave
// the compute stream. After a crash of the process the frames in flight are found INFERRING with a dead owner and go
// back to Q1.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "daemon/engine/batch_plan.hpp"
#include "daemon/engine/gate.hpp"
#include "daemon/engine/lane.hpp"
#include "daemon/model/model.hpp"

namespace peaknet::engine {

inline constexpr std::uint32_t kMaxDepth = 8;

struct WorkerOptions {
  std::string instance;
  std::string name;         // of the device: "cpu", "cuda:0"
  std::uint32_t index = 0;  // of the device's record on the counters page
  std::uint32_t depth = 3;
  std::uint32_t batch = 8;
  std::chrono::nanoseconds max_delay{5'000'000};
  kernels::Element element = kernels::Element::float32;
  kernels::FrameLayout layout;
};

enum class WorkerState : std::uint32_t { loading, warming, ready, lost, ended };

struct RebufferReceipt {
  std::uint32_t before = 0, after = 0;
  std::uint32_t in_flight = 0;  // frames on the device when it was asked
};

class Worker {
 public:
  using DeviceMaker = std::function<Result<std::unique_ptr<device::Device>>()>;
  using ModelMaker = std::function<Result<std::unique_ptr<model::Model>>()>;

  // Starts the thread: it makes the device and the model itself, warms every bucket and is then `ready`. `gate` and
  // `progress` outlive the worker; `progress` is notified when the state changes and when the last frame in flight is
  // published.
  Worker(WorkerOptions options, DeviceMaker make_device, ModelMaker make_model, Gate& gate, shm::EventCount& progress);
  // Takes no more frames, finishes and publishes what is on the device, ends.
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  WorkerState state() const { return state_.load(std::memory_order_acquire); }
  Error failure() const;                // why it is lost
  model::ModelInfo model_info() const;  // once ready
  std::uint32_t frames_in_flight() const { return in_flight_.load(std::memory_order_acquire); }
  std::uint32_t depth() const { return depth_.load(std::memory_order_relaxed); }

  // Change the number of lanes, 1..kMaxDepth, between batches. The receipt comes when no lane beyond the new depth is
  // in flight any more. A worker that is lost or ends in between breaks the promise (std::future_error).
  std::future<RebufferReceipt> rebuffer(std::uint32_t depth);

 private:
  struct Change {
    std::uint32_t depth;
    std::promise<RebufferReceipt> done;
    RebufferReceipt receipt;
    bool applied = false;
  };

  void run(const std::stop_token& stop);
  void serve(const std::stop_token& stop);
  Status prepare();
  Status warm_up();
  void set_state(WorkerState state, const char* text);
  void lose(Error error);

  bool reap();
  void finish(Lane& lane);
  bool apply_changes();
  bool dispatch(bool ending);
  void launch(Lane& lane, std::vector<shm::HeldFrame> frames, std::uint32_t bucket);
  void sleep(bool ending, const std::stop_token& stop);
  Lane* free_lane();
  shm::DeviceRecord& record();

  WorkerOptions options_;
  DeviceMaker make_device_;
  ModelMaker make_model_;
  Gate& gate_;
  shm::EventCount& progress_;

  std::atomic<WorkerState> state_{WorkerState::loading};
  std::atomic<std::uint32_t> in_flight_{0};
  std::atomic<std::uint32_t> depth_;
  mutable std::mutex mutex_;  // failure_, lost_, model_info_, changes_
  Error failure_;
  bool lost_ = false;
  model::ModelInfo model_info_;
  std::deque<Change> changes_;
  shm::EventCount wake_;  // a lane is done, or somebody asked for something

  // Used by the thread alone.
  BatchPlan plan_;
  std::unique_ptr<shm::Consumer> queue_;
  std::unique_ptr<model::Model> model_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::uint64_t batches_ = 0;
  std::deque<Lane*> order_;                                // lanes in flight, oldest first
  std::deque<shm::HeldFrame> retries_;                     // of a batch that failed: tried one by one
  std::chrono::steady_clock::time_point waiting_since_{};  // when Q1 was first seen non-empty without a dispatch
  std::unique_ptr<device::Device> device_;                 // its streams end before what they use
  std::jthread thread_;
};

}  // namespace peaknet::engine
