// Trial: what a model must go through on a device before it may make results: its stored input, and every bucket in the
// way a batch runs. Called from the worker's thread; waits for the device.
#pragma once

#include <string>

#include "base/result.hpp"
#include "daemon/device/device.hpp"
#include "daemon/engine/worker_options.hpp"
#include "daemon/model/model.hpp"

namespace peaknet::engine {

// Run the model's golden input on the device and compare its mask. Returns what to tell of it: "none", "equal", "3 of
// 512 pixels differ, 8 may". Errors: model.wrong-result with both numbers, those of the model, device.*.
Result<std::string> try_golden(device::Device& device, model::Model& model, kernels::Element element);

}  // namespace peaknet::engine
