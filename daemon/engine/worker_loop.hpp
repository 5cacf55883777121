// WorkerLoop: what a worker does, without its thread. It takes frames from Q1, keeps up to `depth` batches on the
// device, and publishes each result to Q2 the moment its last transfer is done, whether or not further frames come.
//
// One turn has one form for every situation: finish what is done, apply what was asked, start what may start; when a
// turn moved nothing, plan_wait() says what to sleep on. Stopping, draining and rebuffering only change what may start;
// there is no other code that could lose a batch. Nothing in here blocks but prepare() and release(), so a test can
// take turns itself, between the steps of a device, and knows by plan_wait() when the worker would sleep and what would
// wake it.
//
// This class decides when; the parts do it: LaneSet (memory and what is in flight), DeviceModels, BatchRunner (a batch
// on the streams), RetryQueue (what runs again, and suspects), ResultPublisher, WorkerShedding, WorkerRequests,
// DeviceWatch, DeviceReport.
//
// Invariant I3: the result of a frame is published only after the event behind its download, and not if the device was
// lost before we saw that event.
//
// Threads: given for each part below. Errors: the worker is `lost`, failure() says why; what each fault means for the
// frames: docs/design.md, section 5. Frames on a device that is lost go back to Q1 once the device can no longer touch
// their slots.
// After a crash: the frames in flight are found INFERRING with a dead owner and go back to Q1 too.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <utility>

#include "daemon/engine/batch_plan.hpp"
#include "daemon/engine/batch_runner.hpp"
#include "daemon/engine/device_calibration.hpp"
#include "daemon/engine/device_models.hpp"
#include "daemon/engine/device_report.hpp"
#include "daemon/engine/device_watch.hpp"
#include "daemon/engine/gate.hpp"
#include "daemon/engine/lane_set.hpp"
#include "daemon/engine/result_publisher.hpp"
#include "daemon/engine/worker_options.hpp"
#include "daemon/engine/worker_requests.hpp"
#include "daemon/engine/worker_shedding.hpp"

namespace peaknet::engine {

class WorkerLoop {
 public:
  using Clock = WorkerOptions::Clock;

  WorkerLoop(WorkerOptions options, DeviceMaker make_device, ModelMaker make_model, Gate& gate,
             shm::EventCount& progress);
  // Only before prepare(), or after release() returned true: else the device may still call back and write into slots.
  ~WorkerLoop() = default;
  WorkerLoop(const WorkerLoop&) = delete;
  WorkerLoop& operator=(const WorkerLoop&) = delete;

  // --- any thread ---

  WorkerState state() const { return state_.load(std::memory_order_acquire); }
  Error failure() const;
  model::ModelInfo model_info() const { return models_.info(); }
  std::uint32_t frames_in_flight() const { return publisher_.in_flight(); }
  std::uint32_t depth() const { return lanes_.depth(); }
  // How long the thread may stand in one call: a model that loads on a GPU does so inside one.
  static std::chrono::nanoseconds longest_call(const WorkerOptions& options);
  // Changes as long as the thread goes on with what it does; it stands still in a call that does not return.
  std::uint64_t steps() const { return watch_.steps(); }
  // Change the number of lanes, 1..kMaxDepth, and the largest batch, 1 to what it was made with (0: leave it), between
  // batches. The receipt comes when no lane beyond the new depth is in flight any more; requests are done one after the
  // other. A worker that is lost or ends in between breaks the promise (std::future_error).
  std::future<RebufferReceipt> rebuffer(std::uint32_t depth, std::uint32_t batch = 0) {
    return requests_.rebuffer(depth, batch);
  }
  // Change the model, in two steps so that several devices change together or not at all. First: warm this model and
  // check it, between batches; it waits beside the one that works. Errors: model.* with what is wrong with it; nothing
  // has changed then. Second: let it take over from the next batch on, or drop it. Promises break as above.
  std::future<Status> stage(std::unique_ptr<model::Model> model) { return requests_.stage(std::move(model)); }
  std::future<Status> commit(bool take_over) { return requests_.commit(take_over); }
  void wake() { wake_.notify(); }

  // --- one other thread, which looks after the worker's ---

  // If the worker's thread stands in a call of its device for too long, the device is lost: device.stuck, with the
  // call. Its frames stay where they are until the call returns and the device lets go of them, or the process ends.
  void look_after(Clock::time_point now);
  // The worker is to end. Its thread stands in one call for WorkerOptions::last_call: the device is lost, and the
  // thread stops if it ever comes back. Then all that this loop has and was given by value must stay; what it was given
  // by reference is not used any more. False: the thread goes on.
  bool leave_behind_if_standing(Clock::time_point now);

  // --- any thread ---

  // The worker is to end: what it waits for in loading and warming is given up. A turn does not hear of it.
  void end_soon() {
    watch_.end_soon();
    wake_.notify();
  }

  // --- the worker's thread ---

  // The calling thread is the worker's from now on. Make the device and the model, warm every bucket. False: lost.
  bool prepare();

  enum class Turn { moved, still, over };
  // `ending`: take no more frames; over when the last result is published. Also over when the device is lost.
  Turn turn(bool ending);

  // Why a worker sleeps; the order of shm::DeviceRecord::waited_ns.
  enum class Waited : std::uint8_t { no_frame, no_lane, forming, stopped, writer_behind };
  struct PlannedWait {
    std::array<shm::EventCount::Armed, 3> events;
    std::size_t count;                     // of them
    std::optional<Clock::time_point> due;  // to be woken at this time whatever happens
    Waited why;
    std::span<const shm::EventCount::Armed> armed() const { return std::span(events).first(count); }
  };
  // What to sleep on after a turn that moved nothing. Nothing: do not sleep.
  std::optional<PlannedWait> plan_wait(bool ending);
  // It slept; `woken` by one of the events.
  void record_wait(const PlannedWait& planned, bool woken, std::chrono::nanoseconds span);

  // After the last turn: give up the device and what is on it. False: the device did not let go within `at_most`; ask
  // again.
  bool release(std::chrono::nanoseconds at_most);

 private:
  Status open();
  Status attach();
  Status load_models();
  void set_state(WorkerState state, const char* text);
  void give_up_call(const DeviceWatch::Standing& standing);
  void fail(Error error);
  void close();
  bool device_lost() const;

  bool reap();
  void finish(Lane& lane);
  void shrink_batches(std::uint32_t rows, const Error& why);
  void requeue(FrameBatch batch, const Error& why);
  bool apply_changes();
  RebufferReceipt apply(const WorkerRequests::Rebuffer& wanted);
  bool change_model();
  void find_stuck_batch(bool ending);
  bool dispatch(bool ending);
  bool take_frames(Lane& lane);
  void launch(Lane& lane, FrameBatch batch);

  Waited why_it_waits(bool shut, bool has_lane, bool frames_wait) const;
  void empty_lanes();
  shm::DeviceRecord& record() const { return report_.record(); }

  WorkerOptions options_;
  DeviceMaker make_device_;
  ModelMaker make_model_;
  Gate& gate_;
  shm::EventCount& progress_;

  std::atomic<WorkerState> state_{WorkerState::loading};
  mutable std::mutex mutex_;  // failure_
  Error failure_;
  shm::EventCount wake_;  // a lane is done, or somebody asked for something
  WorkerRequests requests_;
  DeviceWatch watch_;

  // Used by the worker's thread alone, or in its place by who gave up its call.
  BatchPlan plan_;
  std::unique_ptr<shm::Consumer> queue_;
  DeviceReport report_;
  ResultPublisher publisher_;
  WorkerShedding shedding_;
  DeviceModels models_;
  LaneSet lanes_;
  DeviceCalibration calibration_;
  std::optional<BatchRunner> runner_;  // while there are a queue and a device
  RetryQueue<shm::HeldFrame> retry_queue_;
  Status broken_;                           // why the device cannot be used any more
  Clock::time_point waiting_since_{};       // when Q1 was first seen non-empty without a dispatch
  Clock::time_point looked_{};              // at the last turn
  Clock::duration stalled_{};               // how long the oldest lane in flight has been that, while we looked
  std::unique_ptr<device::Device> device_;  // its streams end before what they use
};

}  // namespace peaknet::engine
