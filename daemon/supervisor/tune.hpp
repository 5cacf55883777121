// Tune: how long the configured model takes on each device for each batch size and depth, what all devices do at once,
// and what to choose. Runs beside no daemon: it has the devices for itself, each with a thread of its own.
//
// Every wait ends (bounded_wait.hpp). A device that hangs ends the whole with device.stuck: what it may still touch is
// left behind until the process ends. What was measured before an end of any kind is in the answer.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "daemon/engine/engine.hpp"
#include "daemon/supervisor/tune_report.hpp"

namespace peaknet::supervisor {

struct TuneHooks {
  std::function<void(const std::string&)> say;           // told what is being measured
  std::function<std::optional<std::string>()> asked_to;  // asked often: who wants it to end, "SIGTERM"; nothing: nobody
};

// On the devices of engine.devices. `outcome` of the answer: those of plan_devices, of the slots, the devices and the
// model; device.stuck; tune.interrupted.
Tuning tune(const config::Config& config, const TuneHooks& hooks, const TuneOptions& options = {});

// On these.
Tuning tune_on(const std::vector<engine::DevicePlan>& plans, const config::Config& config, const TuneHooks& hooks,
               const TuneOptions& options = {});

}  // namespace peaknet::supervisor
