// EngineHost: the engine of the daemon, and how another is made for frames of another shape. It keeps the running
// configuration true to what it did.
//
// Threads: the supervisor's. Errors: those of plan_devices. After a crash: see Worker.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "config/config.hpp"
#include "daemon/engine/engine.hpp"
#include "daemon/supervisor/effective_config.hpp"

namespace peaknet::supervisor {

class EngineHost {
 public:
  // The number for the results of a model whose input leaves out the bad pixels of that digest.
  using EnterModel = std::function<std::uint64_t(const model::ModelInfo& info, const std::string& golden,
                                                 const std::string& bad_pixels)>;
  using Calibration = std::shared_ptr<const engine::CalibrationData>;

  // Starts the engine for the running configuration. `config` and `progress` outlive the room. Errors: those of
  // plan_devices, as Fatal.
  EngineHost(EffectiveConfig& config, Calibration calibration, EnterModel enter_model, shm::EventCount& progress);

  engine::Engine& engine() const { return *engine_; }
  // What runs: also check_start and the verification of another shape go by it.
  const config::Config& config() const { return config_.running(); }
  const Calibration& calibration() const { return calibration_; }

  // End the engine, which holds no frame, and start one for this configuration. It is shut, as a new engine is. Errors:
  // those of plan_devices; the engine is as it was then.
  Status refit(const config::Config& config, Calibration calibration);
  // The devices went over to this model, to this depth.
  void model_is(const std::string& path) { config_.model_is(path); }
  void depth_is(std::uint32_t depth) { config_.depth_is(depth); }

 private:
  EffectiveConfig& config_;
  Calibration calibration_;
  EnterModel enter_model_;
  shm::EventCount& progress_;
  std::unique_ptr<engine::Engine> engine_;
};

}  // namespace peaknet::supervisor
