// Shape trial: does the model that works also take events of another shape? Found out on a device of its own, beside
// the one that works, before anything is changed.
#pragma once

#include "base/result.hpp"
#include "config/config.hpp"
#include "daemon/engine/worker_options.hpp"

namespace peaknet::service {

// Load `config.model` for the first device of `config` and run it once with the smallest batch of events of
// `config.pool.shape`. Takes as long as loading the model; any thread. Errors: model.* with what does not fit,
// device.no-memory, device.*.
Status try_shape(const config::Config& config);

// The part of it behind the loading: `model` is on `device`.
Status run_once(device::Device& device, model::Model& model, const engine::WorkerOptions& options);

}  // namespace peaknet::service
