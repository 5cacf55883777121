// The CUDA form of the kernels: the same per-pixel arithmetic (pixel_math.hpp), enqueued on the stream that is handed
// in, never waiting for it. One object serves one device and is used by its worker thread alone, with that device
// current.
#pragma once

#include <memory>

#include "daemon/kernels/kernels.hpp"

namespace peaknet::kernels {

std::unique_ptr<Kernels> make_cuda_kernels();

}  // namespace peaknet::kernels
