// Seat: a place for one device in a test that takes every step itself: a WorkerLoop, the TestDevice under it, and
// whether the worker would be asleep now. No thread, no real time: what happens follows from the calls alone, and a
// worker that nobody would ever wake is seen at once.
//
//   Seat seat(line, order, time, {.depth = 2});
//   seat.start(7);
//   while (seat.turn() || seat.device_step()) {}
#pragma once

#include <cstring>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "daemon/engine/worker_loop.hpp"
#include "tests/unit/daemon/device/test_device.hpp"
#include "tests/unit/daemon/engine/line.hpp"

namespace peaknet::engine::test {

using device::test::HappensBefore;
using device::test::TestDevice;
using device::test::TestDeviceHandle;

// The time of a test; stands still unless told.
class TestTime {
 public:
  using Clock = WorkerOptions::Clock;
  Clock::time_point now() const { return now_; }
  void pass(std::chrono::nanoseconds span) { now_ += span; }
  void reach(Clock::time_point then) { now_ = std::max(now_, then); }

 private:
  Clock::time_point now_ = Clock::time_point{} + std::chrono::hours(1);
};

// The scripted model on a test device: fails as the device is told to, and takes it down on a killer.
class DeviceModel final : public model::Model {
 public:
  DeviceModel(std::shared_ptr<Script> script, std::shared_ptr<TestDeviceHandle> handle)
      : handle_(std::move(handle)), inner_(std::move(script)) {}
  const model::ModelInfo& info() const override { return inner_.info(); }
  Status run(const kernels::TensorView& input, void* stream,
             const std::function<void(const kernels::TensorView&)>& use) override {
    if (!handle_->recording) return run_once(input, stream, use);
    // What a graph would write to, at the same place in each replay.
    const auto pixels = static_cast<std::size_t>(input.shape[0] * input.shape[2] * input.shape[3]);
    const auto logits = std::make_shared<std::vector<float>>(2 * pixels);
    handle_->tape = [this, input, logits] {
      return run_once(input, nullptr, [&](const kernels::TensorView& found) {
        std::memcpy(logits->data(), found.data, logits->size() * sizeof(float));
      });
    };
    use(kernels::contiguous(logits->data(), kernels::Element::float32, input.shape[0], 2, input.shape[2],
                            input.shape[3]));
    return {};
  }
  bool begin_recording(void* /*stream*/) override { return true; }
  void trim() override { inner_.trim(); }

 private:
  Status run_once(const kernels::TensorView& input, void* stream,
                  const std::function<void(const kernels::TensorView&)>& use) {
    if (auto error = handle_->error_for(static_cast<std::uint32_t>(input.shape[0]))) return *error;
    auto* pixels = static_cast<float*>(input.data);
    const auto count = input.shape[0] * input.shape[2] * input.shape[3];
    bool killer = false;
    for (std::int64_t i = 0; i < count; ++i) killer |= pixels[i] == static_cast<float>(kKiller);
    if (killer && handle_->device != nullptr) handle_->device->break_down();
    Status outcome = inner_.run(input, stream, use);
    // What lies in the rows of a padded batch later must not act once more: rows are not coupled.
    for (std::int64_t i = 0; i < count; ++i) {
      if (pixels[i] == static_cast<float>(kKiller) || pixels[i] == static_cast<float>(kPoison)) pixels[i] = 0;
    }
    return outcome;
  }

  std::shared_ptr<TestDeviceHandle> handle_;
  ScriptedModel inner_;
};

class Seat {
 public:
  Seat(Line& line, std::shared_ptr<HappensBefore> order, const TestTime& time, Line::Choice choice)
      : line_(line), order_(std::move(order)), time_(time), choice_(std::move(choice)) {}

  // A new worker on a new device, ready or lost at once. `prepare_faults` is told what the device meets from the start.
  void start(unsigned seed, const std::function<void(TestDeviceHandle&)>& prepare_faults = {}) {
    replays_ = replays();
    handle_ = std::make_shared<TestDeviceHandle>();
    if (prepare_faults) prepare_faults(*handle_);
    auto options = line_.options_for(choice_);
    options.name = "test:" + std::to_string(choice_.index);
    options.stuck_after = 10s;
    options.now = [this] { return time_.now(); };
    if (choice_.smaller_model) {
      options.make_smaller_model = [this]() -> Result<std::unique_ptr<model::Model>> { return another_model(); };
      options.enter_model = [count = std::uint64_t{0}](const auto&, const auto&) mutable { return ++count; };
    }
    loop_ = std::make_unique<WorkerLoop>(
        options,
        [this, seed, name = options.name]() -> Result<std::unique_ptr<device::Device>> {
          return std::unique_ptr<device::Device>(new TestDevice(name, seed, handle_, order_));
        },
        [this]() -> Result<std::unique_ptr<model::Model>> {
          return std::unique_ptr<model::Model>(new DeviceModel(line_.script, handle_));
        },
        line_.gate, line_.progress);
    planned_.reset();
    still_ = false;
    ending_ = false;
    over_ = !loop_->prepare();
  }
  bool taken() const { return loop_ != nullptr; }
  bool works() const { return taken() && !over_ && !ending_; }
  WorkerLoop& loop() const { return *loop_; }
  // Another model like the one that works, on this seat's device.
  std::unique_ptr<model::Model> another_model() const { return std::make_unique<DeviceModel>(line_.script, handle_); }
  TestDeviceHandle& faults() const { return *handle_; }
  std::uint64_t replays() const { return replays_ + (handle_ ? handle_->replays : 0); }  // of all its devices
  TestDevice* device() const { return taken() ? handle_->device : nullptr; }

  // One turn of the worker. False: it sleeps and nothing has woken it, or the seat is empty, or its device does not let
  // go.
  bool turn() {
    if (!taken()) return false;
    if (over_) {
      if (!loop_->release(0s)) return false;
      loop_.reset();
      return true;
    }
    if (planned_) {
      const auto armed = planned_->armed();
      const bool woken = std::any_of(armed.begin(), armed.end(),
                                     [](const auto& one) { return !one.event->unchanged_since(one.ticket); });
      if (!woken && !(planned_->due && time_.now() >= *planned_->due)) return false;
      loop_->record_wait(*planned_, woken, 1ns);
      planned_.reset();
    }
    if (std::exchange(still_, false)) {  // much may have happened between the turn and this
      planned_ = loop_->plan_wait(ending_);
      return true;
    }
    switch (loop_->turn(ending_)) {
      case WorkerLoop::Turn::moved:
        return true;
      case WorkerLoop::Turn::still:
        still_ = true;
        return true;
      case WorkerLoop::Turn::over:
        over_ = true;
        return true;
    }
    return false;
  }
  // Wake it though nothing has happened. True: it found something to do, so it should not have slept. (That an idle
  // device broke down is told by no event; a worker finds it when it next looks.)
  bool sleeps_through_work() {
    if (!planned_) return false;
    planned_.reset();
    const auto turn = loop_->turn(ending_);
    over_ = turn == WorkerLoop::Turn::over;
    return turn == WorkerLoop::Turn::moved || loop_->state() == WorkerState::ended;
  }
  void wake() const { loop_->wake(); }  // as 50 ms do
  bool device_step() { return device() != nullptr && device()->step(); }
  // When it would wake by itself.
  std::optional<TestTime::Clock::time_point> due() const { return planned_ ? planned_->due : std::nullopt; }
  // Take no more frames; the seat is empty some turns later.
  void end() {
    ending_ = true;
    still_ = false;  // it looks at this too before it sleeps
    loop_->wake();
  }

 private:
  Line& line_;
  std::shared_ptr<HappensBefore> order_;
  const TestTime& time_;
  Line::Choice choice_;
  std::shared_ptr<TestDeviceHandle> handle_;
  std::uint64_t replays_ = 0;  // of devices that were here before
  std::unique_ptr<WorkerLoop> loop_;
  std::optional<WorkerLoop::PlannedWait> planned_;
  bool still_ = false;  // the last turn moved nothing; it will look at what to sleep on
  bool ending_ = false;
  bool over_ = false;
};

}  // namespace peaknet::engine::test
