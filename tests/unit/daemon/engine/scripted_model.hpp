// ScriptedModel: the builtin threshold model under the control of a test, which may hold it up, slow it down, or let it
// fail on poisoned frames, in warm-up, or on loading. The Script is shared by the test and the models of all workers;
// any thread.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "daemon/model/builtin_model.hpp"
#include "daemon/model/model.hpp"
#include "tests/unit/daemon/engine/coded_frame.hpp"
#include "tests/unit/daemon/engine/device_kind.hpp"
#if PEAKNET_TEST_CUDA
#include "daemon/model/cuda_builtin_model.hpp"
#include "tests/unit/daemon/engine/gpu_script.hpp"
#endif

namespace peaknet::engine::test {

class Script {
 public:
  std::atomic<int> slow_us{0};  // every run takes so long
  std::atomic<bool> fail_always{false};
  std::atomic<bool> device_lost{false};  // every run says so
  std::atomic<bool> poison_sent{
      false};                           // by the Line: from now on a GPU's runs look for it, which waits for the stream
  std::atomic<bool> may_record{false};  // on a GPU: runs are recorded as graphs, and never look for poison
  std::atomic<std::uint64_t> runs{0};
  std::atomic<std::uint64_t> trims{0};

  // Called by the model.
  void pass() {
    std::unique_lock lock(mutex_);
    ++held_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return permits_ > 0; });
    --held_;
    if (permits_ != kNoLimit) --permits_;
  }

 private:
  friend class Hold;
  static constexpr int kNoLimit = 1 << 30;
  void set(int permits) {
    const std::lock_guard lock(mutex_);
    permits_ = permits;
    changed_.notify_all();
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  int permits_ = kNoLimit;
  int held_ = 0;
};

// As long as it lives, runs stop before they begin. Declare it after the workers: a worker ends only when its runs
// have.
class Hold {
 public:
  explicit Hold(std::shared_ptr<Script> script) : script_(std::move(script)) { script_->set(0); }
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;
  ~Hold() { let_all_pass(); }

  void let_one_pass() {
    const std::lock_guard lock(script_->mutex_);
    ++script_->permits_;
    script_->changed_.notify_all();
  }
  void let_all_pass() { script_->set(Script::kNoLimit); }
  // Wait until a run is held up.
  void wait_until_held() {
    std::unique_lock lock(script_->mutex_);
    script_->changed_.wait(lock, [&] { return script_->held_ > 0; });
  }

 private:
  std::shared_ptr<Script> script_;
};

class ScriptedModel final : public model::Model {
 public:
  explicit ScriptedModel(std::shared_ptr<Script> script)
      : script_(std::move(script)),
        inner_(model::make_builtin_model({.path = kPath, .device = "cpu"}).value()),
        inner_on_gpu_(make_on_gpu()) {}

  const model::ModelInfo& info() const override { return inner_->info(); }

  Status run(const kernels::TensorView& input, void* stream,
             const std::function<void(const kernels::TensorView&)>& use) override {
    if (stream == nullptr) {
      begin_run();
      if (auto good = look_at(input, stream); !good) return good;
      return inner_->run(input, stream, [&](const kernels::TensorView& logits) {
        blind(input, logits);
        use(logits);
      });
    }
#if PEAKNET_TEST_CUDA
    if (auto good = look_at(input, stream); !good) return good;
    call_in_order(begin_run_, stream);
#endif
    return inner_on_gpu_->run(input, stream, use);
  }
  bool begin_recording(void* stream) override {
    return stream != nullptr && script_->may_record.load() && inner_on_gpu_->begin_recording(stream);
  }
  void end_recording() override {}
  void trim() override { script_->trims.fetch_add(1); }

 private:
  // Where a blinding pixel lies; in what is left of it in the padding of later batches, too.
  static void blind(const kernels::TensorView& input, const kernels::TensorView& logits) {
    const std::int64_t plane = input.shape[2] * input.shape[3];
    const auto* pixels = static_cast<const float*>(input.data);
    auto* peak = static_cast<float*>(logits.data) + logits.strides[1];
    for (std::int64_t i = 0; i < input.shape[0] * plane; ++i) {
      if (pixels[i] == static_cast<float>(kBlinding))
        peak[i / plane * logits.strides[0] + i % plane] = std::numeric_limits<float>::quiet_NaN();
    }
  }
  static constexpr const char* kPath = "builtin:threshold=100";
  // Null: there is none.
  static std::unique_ptr<model::Model> make_on_gpu() {
#if PEAKNET_TEST_CUDA
    if (on_cuda()) return model::make_cuda_builtin_model({.path = kPath, .device = device_name(0)}).value();
#endif
    return nullptr;
  }
  void begin_run() const {
    script_->pass();
    script_->runs.fetch_add(1);
    if (const int us = script_->slow_us.load(); us > 0) std::this_thread::sleep_for(std::chrono::microseconds(us));
  }
  Status look_at(const kernels::TensorView& input, void* stream) const {
    if (script_->device_lost.load())
      return Error{"device.lost", "the scripted model says that the device is lost", "", ""};
    if (script_->fail_always.load() || poisoned(input, stream))
      return Error{"model.failed", "the scripted model fails", "", ""};
    return {};
  }
  bool poisoned(const kernels::TensorView& input, [[maybe_unused]] void* stream) const {
    const auto poison = static_cast<float>(kPoison);
#if PEAKNET_TEST_CUDA
    if (stream != nullptr)
      return script_->poison_sent.load() && !script_->may_record.load() && has_pixel(input, poison, stream);
#endif
    const auto* pixels = static_cast<const float*>(input.data);
    const auto count = input.shape[0] * input.shape[2] * input.shape[3];
    return std::find(pixels, pixels + count, poison) != pixels + count;
  }

  std::shared_ptr<Script> script_;
  std::unique_ptr<model::Model> inner_, inner_on_gpu_;
  std::function<void()> begin_run_ = [this] { begin_run(); };
};

}  // namespace peaknet::engine::test
