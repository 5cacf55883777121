#include "daemon/supervisor/serve.hpp"

#include "base/fatal.hpp"
#include "base/process_limits.hpp"
#include "base/processors.hpp"
#include "config/model_form.hpp"
#include "config/model_path.hpp"
#include "control/server.hpp"
#include "daemon/supervisor/calibration.hpp"
#include "daemon/supervisor/engine_plan.hpp"
#include "daemon/supervisor/supervisor.hpp"

namespace peaknet::supervisor {
namespace {

// Of libzmq, of ours, and of the team that LibTorch makes for a network.
unsigned threads_at_most(const config::Config& config) {
  constexpr unsigned kOurs = 8;
  const bool network = !config.model.path.starts_with("builtin:");
  const unsigned team = config.engine.cpu_threads != 0 ? config.engine.cpu_threads : usable_processors();
  return kMessagingThreads + kOurs + (network ? team : 0);
}

}  // namespace

void check(const config::Config& config) {
  if (auto good = config.geometry().check(); !good) throw Fatal(good.error(), kExitConfig);
  if (auto good = model::check_model_path(config.model.path); !good) throw Fatal(good.error(), kExitConfig);
  if (auto good = model::check_model_form(config.model.path); !good) throw Fatal(good.error(), kExitConfig);
  if (config.shedding.has_smaller_model()) {
    if (auto good = model::check_model_path(config.shedding.model, "shedding.model"); !good)
      throw Fatal(good.error(), kExitConfig);
  }
  if (auto plans = plan_devices(config); !plans) throw Fatal(plans.error(), kExitConfig);
  const auto calibration = read_calibration(config);
  if (!calibration) throw Fatal(calibration.error(), kExitConfig);
  calibration->log();
}

int serve(const config::Config& config, StopSignal& signals, const std::function<Result<config::Config>()>& reread) {
  check(config);
  if (auto room = room_for(threads_at_most(config), kMessagingDescriptors); !room)
    throw Fatal(room.error(), kExitSystem);
  return Supervisor(config, signals, reread).run();
}

}  // namespace peaknet::supervisor
