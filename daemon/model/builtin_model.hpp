// Builtin models: no file, no LibTorch. They run on the host and serve tests, benchmarks of the chain itself, and a
// first look.
//
//   builtin:identity          logits (0, x): a pixel is marked if its count is above 0
//   builtin:threshold=COUNTS  logits (0, x - COUNTS): a pixel is marked if its count is above COUNTS
//   builtin:delay=MS          marks nothing, and takes MS milliseconds a batch, as a device under load would
#pragma once

#include "daemon/model/model.hpp"

namespace peaknet::model {

Result<std::unique_ptr<Model>> make_builtin_model(const ModelRequest& request);

}  // namespace peaknet::model
