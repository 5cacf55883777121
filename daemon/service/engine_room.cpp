#include "daemon/service/engine_room.hpp"

#include <utility>

#include "base/fatal.hpp"
#include "daemon/service/devices.hpp"

namespace peaknet::service {

EngineRoom::EngineRoom(const config::Config& config, Calibration calibration, EnterModel enter_model,
                       shm::EventCount& progress)
    : enter_model_(std::move(enter_model)), progress_(progress) {
  if (auto fitted = refit(config, std::move(calibration)); !fitted) throw Fatal(fitted.error(), kExitConfig);
}

Status EngineRoom::refit(const config::Config& config, Calibration calibration) {
  auto plans = plan_devices(config);
  if (!plans) return plans.error();
  engine_.reset();  // its devices first: there is no room for two
  config_ = config;
  calibration_ = std::move(calibration);
  auto options = worker_options(config_);
  options.calibration = calibration_;
  options.enter_model = [enter = enter_model_, bad_pixels = calibration_ ? calibration_->bad_digest : ""](
                            const model::ModelInfo& info, const std::string& golden) {
    return enter(info, golden, bad_pixels);
  };
  engine_ = std::make_unique<engine::Engine>(options, std::move(*plans), progress_);
  return {};
}

config::Config with_pool(config::Config config, const shm::Geometry& geometry) {
  config.pool.slots = geometry.slots;
  config.pool.shape = {geometry.panels, geometry.height, geometry.width};
  return config;
}

}  // namespace peaknet::service
