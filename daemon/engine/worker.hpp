// Worker: the one thread that feeds one device: it takes the turns of a WorkerLoop (which says what that means) and
// sleeps between them.
#pragma once

#include <future>
#include <memory>
#include <thread>

#include "daemon/engine/worker_loop.hpp"

namespace peaknet::engine {

class Worker {
 public:
  // Starts the thread: it makes the device and the model itself, warms every bucket and is then `ready`. `gate` and
  // `progress` outlive the worker; `progress` is notified when the state changes and when the last frame in flight is
  // published.
  Worker(WorkerOptions options, DeviceMaker make_device, ModelMaker make_model, Gate& gate, shm::EventCount& progress);
  // Takes no more frames, finishes and publishes what is on the device, ends. A device that does not let go is left as
  // it is, with its slots and with a thread that stands in a call of it, until the process ends: that ends the device's
  // work, and then opens the lock that says "alive", so that the frames go back to Q1.
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  WorkerState state() const { return loop_->state(); }
  Error failure() const { return loop_->failure(); }                   // why it is lost
  model::ModelInfo model_info() const { return loop_->model_info(); }  // once ready
  std::uint32_t frames_in_flight() const { return loop_->frames_in_flight(); }
  std::uint32_t depth() const { return loop_->depth(); }
  std::uint64_t steps() const { return loop_->steps(); }  // see WorkerLoop

  // Begin to end, and wait for the end, as the destructor does both; the worker answers as before.
  void end_soon();
  void finish();

  // See WorkerLoop::look_after; not while another thread is in finish().
  void look_after() { loop_->look_after(WorkerLoop::Clock::now()); }
  // See WorkerLoop::rebuffer.
  std::future<RebufferReceipt> rebuffer(std::uint32_t depth, std::uint32_t batch = 0) {
    return loop_->rebuffer(depth, batch);
  }
  // See WorkerLoop::stage and commit.
  std::future<Status> stage(std::unique_ptr<model::Model> model) { return loop_->stage(std::move(model)); }
  std::future<Status> commit(bool take_over) { return loop_->commit(take_over); }

 private:
  std::shared_ptr<WorkerLoop> loop_;
  std::future<bool> released_;  // when the thread is at its end: has the device?
  std::jthread thread_;
};

}  // namespace peaknet::engine
