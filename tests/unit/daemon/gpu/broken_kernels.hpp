// Kernels that no GPU stands: for break_device.cpp.
#pragma once

#include <cuda_runtime_api.h>

namespace peaknet::test {

// Writes to address 0: every call to the device fails from then on.
void launch_store_to_nowhere(cudaStream_t stream);

// Runs for ten seconds, as if the device hung.
void launch_spin(cudaStream_t stream);

}  // namespace peaknet::test
