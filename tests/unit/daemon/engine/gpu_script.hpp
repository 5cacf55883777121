// What a ScriptedModel does where its input is on a GPU.
//
// Threads: the worker's. Errors: what the runtime answers is left to the device that owns the stream, which asks.
#pragma once

#include <cstdint>
#include <functional>

#include "daemon/kernels/tensor_view.hpp"

namespace peaknet::engine::test {

// Is there a pixel of this value? Waits for the stream, so not while it is recorded.
bool has_pixel(const kernels::TensorView& input, float value, void* stream);

// `work` in the order of the stream, on the driver's thread, as often as what is recorded is replayed.
void call_in_order(std::function<void()>& work, void* stream);

}  // namespace peaknet::engine::test
