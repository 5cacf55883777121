#include "daemon/supervisor/engine_host.hpp"

#include <utility>

#include "base/fatal.hpp"
#include "daemon/supervisor/engine_plan.hpp"

namespace peaknet::supervisor {

EngineHost::EngineHost(EffectiveConfig& config, Calibration calibration, EnterModel enter_model,
                       shm::EventCount& progress)
    : config_(config), enter_model_(std::move(enter_model)), progress_(progress) {
  if (auto fitted = refit(config.running(), std::move(calibration)); !fitted) throw Fatal(fitted.error(), kExitConfig);
}

Status EngineHost::refit(const config::Config& config, Calibration calibration) {
  auto plans = plan_devices(config);
  if (!plans) return plans.error();
  engine_.reset();  // its devices first: there is no room for two
  config_.run_with(config);
  calibration_ = std::move(calibration);
  auto options = worker_options(config);
  options.calibration = calibration_;
  options.enter_model = [enter = enter_model_, bad_pixels = calibration_ ? calibration_->bad_digest : ""](
                            const model::ModelInfo& info, const std::string& golden) {
    return enter(info, golden, bad_pixels);
  };
  engine_ = std::make_unique<engine::Engine>(options, std::move(*plans), progress_);
  return {};
}

}  // namespace peaknet::supervisor
