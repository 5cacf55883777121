// From the configuration to the devices, the model and the layout that the engine runs with.
#pragma once

#include <vector>

#include "config/config.hpp"
#include "daemon/engine/engine.hpp"

namespace peaknet::supervisor {

// One plan per device of engine.devices; `auto` is every CUDA device that is there, and the processor where there is no
// driver or no device. Errors: device.unknown (with the devices there are), device.not-built, device.driver (there is a
// driver that does not work: whoever has GPUs does not want to find out by the speed).
Result<std::vector<engine::DevicePlan>> plan_devices(const config::Config& config);

// Without what the control segment is needed for.
engine::WorkerOptions worker_options(const config::Config& config);

}  // namespace peaknet::supervisor
