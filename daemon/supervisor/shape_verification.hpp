// Shape verification: does the model that works also take events of another shape? Found out on a device of its own,
// beside the one that works, before anything is changed.
//
// Threads: any; `stop` from another. Each wait for the device is bounded; one that hangs is left behind, with all that
// it may still touch, until the process ends.
#pragma once

#include <stop_token>

#include "base/result.hpp"
#include "config/config.hpp"
#include "daemon/engine/worker_options.hpp"

namespace peaknet::supervisor {

// Load `config.model` for the first device of `config` and run it once with the smallest batch of events of
// `config.pool.shape`. Takes as long as loading the model. Errors: model.* with what does not fit, device.no-memory,
// device.*, device.stuck; engine.given-up after a stop.
Status try_shape(const config::Config& config, const std::stop_token& stop);

// The same on what `make_device` makes.
Status try_shape_on(const engine::DeviceMaker& make_device, const engine::ModelMaker& make_model,
                    const engine::WorkerOptions& options, const std::stop_token& stop);

}  // namespace peaknet::supervisor
