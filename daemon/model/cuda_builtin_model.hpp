// The builtin models on a CUDA device: the same logits as on the host, bit for bit, and so the same masks; without
// LibTorch. Their runs can be recorded as graphs.
#pragma once

#include "daemon/model/model.hpp"

namespace peaknet::model {

// Errors: as make_builtin_model.
Result<std::unique_ptr<Model>> make_cuda_builtin_model(const ModelRequest& request);

}  // namespace peaknet::model
