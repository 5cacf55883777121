// Builtin models: no file, no LibTorch. They serve tests, benchmarks of the chain itself, and a first look. Here are
// those that run on the host; cuda_builtin_model.hpp has the same for a GPU.
//
//   builtin:identity          logits (0, x): a pixel is marked if its count is above 0
//   builtin:threshold=COUNTS  logits (0, x - COUNTS): a pixel is marked if its count is above COUNTS
//   builtin:delay=MS          marks nothing, and takes MS milliseconds a batch, as a device under load would
#pragma once

#include <chrono>

#include "daemon/model/model.hpp"

namespace peaknet::model {

// What a builtin's name says.
struct Builtin {
  enum class Kind : std::uint8_t { threshold, delay } kind;
  float threshold = 0.0F;  // of identity: 0
  std::chrono::nanoseconds delay{0};
};

// Errors: model.unknown-builtin, with the names that there are.
Result<Builtin> parse_builtin(const std::string& path);
// Errors: model.failed, it is not float32 of one channel.
Status check_builtin_input(const kernels::TensorView& input);

// Errors: model.unknown-builtin, model.unknown-kind (another device than the host).
Result<std::unique_ptr<Model>> make_builtin_model(const ModelRequest& request);

}  // namespace peaknet::model
