// What a worker is told, and what it answers. Values.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "daemon/device/device.hpp"
#include "daemon/engine/shedding.hpp"
#include "daemon/kernels/kernels.hpp"
#include "daemon/model/model.hpp"
#include "shm/participant.hpp"

namespace peaknet::engine {

inline constexpr std::uint32_t kMaxDepth = 8;
// In place of WorkerOptions::stuck_after where that is "never", for all that is no batch: a call of the driver,
// loading, warming, and the end.
inline constexpr std::chrono::seconds kUsualPatience{60};

// Values of each pixel of an event; a vector is empty where there is nothing to do.
struct CalibrationData {
  std::vector<float> pedestal, gain;
  std::vector<std::uint8_t> bad;
  std::string bad_digest = {};  // of `bad`; "" without
};

using DeviceMaker = std::function<Result<std::unique_ptr<device::Device>>()>;
using ModelMaker = std::function<Result<std::unique_ptr<model::Model>>()>;

// Another model than that of the worker, by its path.
using ModelLoader = std::function<Result<std::unique_ptr<model::Model>>(const std::string& path)>;

struct WorkerOptions {
  using Clock = std::chrono::steady_clock;

  std::string instance;
  shm::Mappings mappings;   // of the instance, shared by the workers of an engine
  std::string name;         // of the device: "cpu", "cuda:0"
  std::uint32_t index = 0;  // of the device's record on the control segment
  std::uint32_t depth = 3;
  std::uint32_t batch = 8;
  std::chrono::nanoseconds max_delay{5'000'000};
  std::vector<unsigned> cpus;               // to run on; empty: any
  std::chrono::nanoseconds stuck_after{0};  // a batch that is on the device for so long: the device is stuck; 0: never
  std::chrono::nanoseconds last_patience{5'000'000'000};  // with a device that does not let go, when the worker ends
  std::chrono::nanoseconds last_call{10'000'000'000};     // with a call that does not return, when the worker ends
  kernels::Element element = kernels::Element::float32;
  kernels::FrameLayout layout;
  std::shared_ptr<Shedding> shedding;                   // of all workers; null: nothing is ever left out
  ModelMaker make_smaller_model;                        // for the level of shedding that has one; empty: none
  std::shared_ptr<const CalibrationData> calibration;   // put on the device by the worker; null: none
  std::function<Clock::time_point()> now = Clock::now;  // tests have a time of their own
  // The number that results of a model carry (shm/models.hpp); called from the workers' threads. Empty: 0.
  std::function<std::uint64_t(const model::ModelInfo& info, const std::string& golden)> enter_model;

  // Of all that is no batch.
  std::chrono::nanoseconds bound() const { return stuck_after.count() > 0 ? stuck_after : kUsualPatience; }
};

enum class WorkerState : std::uint32_t { loading, warming, ready, lost, ended };

struct RebufferReceipt {
  std::uint32_t before = 0, after = 0;              // lanes
  std::uint32_t batch_before = 0, batch_after = 0;  // events in the largest bucket
  std::uint32_t in_flight = 0;                      // frames on the device when it was asked
};

}  // namespace peaknet::engine
