// WorkerLoop: what a worker does, without its thread. It takes frames from Q1, keeps up to `depth` batches on the
// device, and publishes each result to Q2 the moment its last transfer is done, whether or not further frames come.
//
// One turn has one form for every situation: finish what is done, apply what was asked, start what may start; when a
// turn moved nothing, nap() says what to sleep on. Stopping, draining and rebuffering only change what may start; there
// is no other code that could lose a batch. Nothing in here blocks but prepare() and let_go(), so a test can take turns
// itself, between the steps of a device, and knows by nap() when the worker would sleep and what would wake it.
//
// law: the result of a frame is published only after the event behind its download, and not if the device was lost
// before we saw that event; tensors of the model never leave the compute stream. Frames on a device that is lost go
// back to Q1 once the device can no longer touch their slots. After a crash of the process the frames in flight are
// found INFERRING with a dead owner and go back to Q1 too.
//
// Shedding (shedding.hpp), where it is asked for: frames that are left out are taken from Q1 too, and go to Q2 at once
// with the result "skipped"; the device never sees them.
//
// Faults (device/fault.hpp): too large for the memory -> the largest bucket shrinks, at last below one event; transient
// -> the same batch again; of the frame -> each frame of the batch alone, then an error result; of the device -> lost.
// Frames that were on a lost device, or with a daemon that died, are suspect (attempts > 0): they run alone, nothing
// else on the device. One that takes a second device down is not offered a third: it becomes an error result
// (quarantined).
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "daemon/device/call_mark.hpp"
#include "daemon/engine/batch_plan.hpp"
#include "daemon/engine/gate.hpp"
#include "daemon/engine/lane.hpp"
#include "daemon/engine/worker_options.hpp"

namespace peaknet::engine {

class WorkerLoop {
 public:
  using Clock = WorkerOptions::Clock;

  WorkerLoop(WorkerOptions options, DeviceMaker make_device, ModelMaker make_model, Gate& gate,
             shm::EventCount& progress);
  // Only before prepare(), or after let_go() returned true: else the device may still call back and write into slots.
  ~WorkerLoop() = default;
  WorkerLoop(const WorkerLoop&) = delete;
  WorkerLoop& operator=(const WorkerLoop&) = delete;

  // --- any thread ---

  WorkerState state() const { return state_.load(std::memory_order_acquire); }
  Error failure() const;
  model::ModelInfo model_info() const;
  std::uint32_t frames_in_flight() const { return in_flight_.load(std::memory_order_acquire); }
  std::uint32_t depth() const { return depth_.load(std::memory_order_relaxed); }
  // How long the thread may stand in one call: a model that loads on a GPU does so inside one.
  static std::chrono::nanoseconds longest_call(const WorkerOptions& options);
  // Changes as long as the thread goes on with what it does; it stands still in a call that does not return.
  std::uint64_t steps() const { return steps_.load(std::memory_order_relaxed); }
  // Change the number of lanes, 1..kMaxDepth, and the largest batch, 1 to what it was made with (0: leave it), between
  // batches. The receipt comes when no lane beyond the new depth is in flight any more; requests are done one after the
  // other. A worker that is lost or ends in between breaks the promise (std::future_error).
  std::future<RebufferReceipt> rebuffer(std::uint32_t depth, std::uint32_t batch = 0);
  // Change the model, in two steps so that several devices change together or not at all. First: warm this model and
  // check it, between batches; it waits beside the one that works. Errors: model.* with what is wrong with it; nothing
  // has changed then. Second: let it take over from the next batch on, or drop it. Promises break as above.
  std::future<Status> offer(std::unique_ptr<model::Model> model);
  std::future<Status> settle(bool take_over);
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
    ending_.store(true);
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
  struct Nap {
    std::array<shm::EventCount::Armed, 3> events;
    std::size_t count;                     // of them
    std::optional<Clock::time_point> due;  // to be woken at this time whatever happens
    Waited why;
    std::span<const shm::EventCount::Armed> armed() const { return std::span(events).first(count); }
  };
  // What to sleep on after a turn that moved nothing. Nothing: do not sleep.
  std::optional<Nap> nap(bool ending);
  // It slept; `woken` by one of the events.
  void slept(const Nap& nap, bool woken, std::chrono::nanoseconds span);

  // After the last turn: give up the device and what is on it. False: the device did not let go within `at_most`; ask
  // again.
  bool let_go(std::chrono::nanoseconds at_most);

 private:
  struct Change {
    std::uint32_t depth;
    std::uint32_t batch;  // 0: as it is
    std::promise<RebufferReceipt> done;
    RebufferReceipt receipt;
    bool applied = false;
  };

  struct ModelChange {
    std::unique_ptr<model::Model> offered;  // null: settle what was offered before
    bool take_over = false;
    std::promise<Status> done;
  };
  struct Candidate {
    std::shared_ptr<model::RecordedModel> model;
    std::string golden;
  };

  Status open();
  Status reserve_lanes();
  Status reserve_findings(Lane& lane);
  Status place_calibration();
  Status wait_for_device(int patience, const char* doing);
  void give_up_call(const device::CallMark::Standing& standing);
  Status load_first();
  Status load_smaller();
  Result<std::shared_ptr<model::RecordedModel>> make_on_stream(const ModelMaker& make);
  Result<std::string> prove(const std::shared_ptr<model::RecordedModel>& model, BatchPlan& plan, bool may_shrink);
  Status record_runs(const std::shared_ptr<model::RecordedModel>& model, const kernels::TensorView& input,
                     std::uint32_t events);
  void install(Candidate candidate);
  std::future<Status> line_up(ModelChange change);
  bool change_model();
  Status settle_now(bool take_over);
  void retire();
  void forget_models();
  void leave_models();
  void set_state(WorkerState state, const char* text);
  void show_plan();
  void lose(Error error);
  void close();
  void answer_change(Status outcome);

  bool reap();
  void finish(Lane& lane);
  void publish_results(const Lane& lane, Parcel& parcel, const std::string& model);
  void fail(shm::HeldFrame frame, Error why);
  void take_up_again(Parcel parcel, const Error& why);
  Parcel next_again();
  void publish_error(shm::HeldFrame frame);
  bool apply_changes();
  void look_at_backlog();
  void show_shedding();
  Effort effort() const { return options_.shedding ? options_.shedding->effort() : Effort{}; }
  std::chrono::nanoseconds longest_wait(const Effort& effort) const {
    return effort.hurry ? std::chrono::nanoseconds(0) : options_.max_delay;
  }
  bool dispatch(bool ending);
  void skip_some(std::vector<shm::HeldFrame>& frames, std::uint32_t keep_one_of);
  void sort_out(std::vector<shm::HeldFrame> taken, Lane& lane);
  void launch(Lane& lane, Parcel parcel);
  void upload(Lane& lane, std::size_t lane_stride);
  void compute(Lane& lane, void* stream);
  void count_launch(const Lane& lane);
  void empty_lanes();
  bool holds_the_device(const Parcel& parcel) const;
  Lane* free_lane();
  shm::DeviceRecord& record();
  shm::DeviceRecord* shown();

  WorkerOptions options_;
  DeviceMaker make_device_;
  ModelMaker make_model_;
  Gate& gate_;
  shm::EventCount& progress_;

  std::atomic<WorkerState> state_{WorkerState::loading};
  std::atomic<bool> ending_{false};
  std::atomic<std::uint64_t> steps_{0};
  std::atomic<std::uint32_t> in_flight_{0};
  std::atomic<std::uint32_t> depth_;
  std::atomic<int> patience_;  // how many bounds a call may take now
  mutable std::mutex mutex_;   // failure_, closed_, model_info_, changes_, model_changes_
  Error failure_;
  bool closed_ = false;  // nobody answers any more
  model::ModelInfo model_info_;
  std::deque<Change> changes_;
  std::deque<ModelChange> model_changes_;
  shm::EventCount wake_;  // a lane is done, or somebody asked for something

  const std::shared_ptr<device::CallMark> mark_ = std::make_shared<device::CallMark>();

  // Used by the worker's thread alone, or in its place by who gave up its call.
  BatchPlan plan_;
  std::unique_ptr<shm::Consumer> queue_;
  std::shared_ptr<model::RecordedModel> model_;
  std::uint64_t model_number_ = 0;
  std::shared_ptr<model::RecordedModel> smaller_model_;  // for shedding; null: none
  std::uint64_t smaller_model_number_ = 0;
  std::optional<ModelChange> changing_;  // not answered yet
  std::optional<Candidate> candidate_;
  std::vector<std::shared_ptr<model::RecordedModel>> retired_;  // until no batch needs them any more
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::unique_ptr<device::Memory> input_;  // the network's; batches use it one after the other, on the compute stream
  std::shared_ptr<void> trial_;            // of a model, that the device did not come to the end of
  std::vector<std::unique_ptr<device::Memory>> calibration_;
  std::uint64_t batches_ = 0;
  std::deque<Lane*> order_;                 // lanes in flight, oldest first
  std::deque<Parcel> again_;                // to be tried (again) before anything new is taken
  Status broken_;                           // why the device cannot be used any more
  Clock::time_point waiting_since_{};       // when Q1 was first seen non-empty without a dispatch
  Clock::time_point looked_{};              // at the last turn
  Clock::duration stalled_{};               // how long the oldest lane in flight has been that, while we looked
  std::unique_ptr<device::Device> device_;  // its streams end before what they use
};

}  // namespace peaknet::engine
