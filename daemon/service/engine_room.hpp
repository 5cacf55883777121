// EngineRoom: the engine of the daemon, and how another is made for frames of another shape. What runs is always that
// of one configuration: the file's, with the pool that there really is and the model that works. Used by the supervisor
// thread alone.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "config/config.hpp"
#include "daemon/engine/engine.hpp"

namespace peaknet::service {

class EngineRoom {
 public:
  // The number for the results of a model whose input leaves out the bad pixels of that digest.
  using EnterModel = std::function<std::uint64_t(const model::ModelInfo& info, const std::string& golden,
                                                 const std::string& bad_pixels)>;
  using Calibration = std::shared_ptr<const engine::CalibrationData>;

  // Starts the engine. `progress` outlives the room. Errors: those of plan_devices, as Fatal.
  EngineRoom(const config::Config& config, Calibration calibration, EnterModel enter_model, shm::EventCount& progress);

  engine::Engine& engine() const { return *engine_; }
  // What runs: also check_start and the trial of another shape go by it.
  const config::Config& config() const { return config_; }
  const Calibration& calibration() const { return calibration_; }

  // End the engine, which holds no frame, and start one for this configuration. It is shut, as a new engine is. Errors:
  // those of plan_devices; the engine is as it was then.
  Status refit(const config::Config& config, Calibration calibration);

 private:
  config::Config config_;
  Calibration calibration_;
  EnterModel enter_model_;
  shm::EventCount& progress_;
  std::unique_ptr<engine::Engine> engine_;
};

// The configuration with this pool in it.
config::Config with_pool(config::Config config, const shm::Geometry& geometry);

}  // namespace peaknet::service
