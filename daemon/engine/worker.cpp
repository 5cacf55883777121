#include "daemon/engine/worker.hpp"

#include <algorithm>
#include <memory>
#include <utility>

#include "daemon/engine/left_behind.hpp"
#include "shm/clock.hpp"

namespace peaknet::engine {
namespace {

using Clock = WorkerLoop::Clock;

// True: the device has let go.
bool run(WorkerLoop& loop, const std::stop_token& stop, std::chrono::nanoseconds last_patience) {
  using Turn = WorkerLoop::Turn;
  bool goes_on = loop.prepare();
  while (goes_on) {
    const bool ending = stop.stop_requested();
    const Turn turn = loop.turn(ending);
    goes_on = turn != Turn::over;
    if (turn != Turn::still) continue;
    const auto planned = loop.plan_wait(ending);
    if (!planned || stop.stop_requested() != ending) continue;
    const auto at_most = planned->due
                             ? std::min<std::chrono::nanoseconds>(*planned->due - Clock::now(), shm::kWaitSlice)
                             : std::chrono::nanoseconds(shm::kWaitSlice);
    const auto begin = Clock::now();
    const bool woken = shm::EventCount::wait_any(planned->armed(), at_most);
    loop.record_wait(*planned, woken, Clock::now() - begin);
  }
  // A stuck device may still let go of its frames; when we must end it has a last time.
  while (!loop.release(shm::kWaitSlice)) {
    if (stop.stop_requested()) return loop.release(last_patience);
  }
  return true;
}

}  // namespace

// The thread uses nothing of the Worker, which does not wait for it for ever.
Worker::Worker(WorkerOptions options, DeviceMaker make_device, ModelMaker make_model, Gate& gate,
               shm::EventCount& progress) {
  const auto last_patience = options.last_patience;
  loop_ =
      std::make_shared<WorkerLoop>(std::move(options), std::move(make_device), std::move(make_model), gate, progress);
  std::promise<bool> release;
  released_ = release.get_future();
  thread_ =
      std::jthread([loop = loop_.get(), last_patience, release = std::move(release)](
                       const std::stop_token& stop) mutable { release.set_value(run(*loop, stop, last_patience)); });
}

Worker::~Worker() {
  end_soon();
  finish();
}

void Worker::end_soon() {
  thread_.request_stop();
  loop_->end_soon();
}

void Worker::finish() {
  if (!thread_.joinable()) return;
  while (released_.wait_for(shm::kWaitSlice) != std::future_status::ready) {
    if (!loop_->leave_behind_if_standing(Clock::now())) continue;
    leave_behind(loop_);
    thread_.detach();
    return;
  }
  thread_.join();
  // The streams of a stuck device may call back into it at any time.
  if (!released_.get()) leave_behind(loop_);
}

}  // namespace peaknet::engine
