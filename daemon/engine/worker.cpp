#include "daemon/engine/worker.hpp"

#include <algorithm>
#include <memory>
#include <utility>

#include "daemon/engine/left_behind.hpp"
#include "shm/clock.hpp"

namespace peaknet::engine {
Worker::Worker(WorkerOptions options, DeviceMaker make_device, ModelMaker make_model, Gate& gate,
               shm::EventCount& progress)
    : last_patience_(options.last_patience),
      loop_(std::make_unique<WorkerLoop>(std::move(options), std::move(make_device), std::move(make_model), gate,
                                         progress)),
      thread_([this](const std::stop_token& stop) { run(stop); }) {}

Worker::~Worker() {
  thread_.request_stop();
  loop_->end_soon();
  thread_.join();
  // The streams of a stuck device may call back into it at any time.
  if (!loop_->let_go(std::chrono::nanoseconds(0))) leave_behind(std::shared_ptr<WorkerLoop>(std::move(loop_)));
}

void Worker::run(const std::stop_token& stop) {
  using Clock = WorkerLoop::Clock;
  using Turn = WorkerLoop::Turn;
  bool goes_on = loop_->prepare();
  while (goes_on) {
    const bool ending = stop.stop_requested();
    const Turn turn = loop_->turn(ending);
    goes_on = turn != Turn::over;
    if (turn != Turn::still) continue;
    const auto nap = loop_->nap(ending);
    if (!nap || stop.stop_requested() != ending) continue;
    const auto at_most = nap->due ? std::min<std::chrono::nanoseconds>(*nap->due - Clock::now(), shm::kWaitSlice)
                                  : std::chrono::nanoseconds(shm::kWaitSlice);
    const auto begin = Clock::now();
    const bool woken = shm::EventCount::wait_any(nap->armed(), at_most);
    loop_->slept(*nap, woken, Clock::now() - begin);
  }
  // A stuck device may still let go of its frames; when we must end it has a last time.
  while (!loop_->let_go(shm::kWaitSlice)) {
    if (!stop.stop_requested()) continue;
    loop_->let_go(last_patience_);
    return;
  }
}

}  // namespace peaknet::engine
