// Model: a segmentation network on one device. The engine knows nothing else of it.
//
// Input: (rows, 1, H', W') contiguous, of the element type it was loaded for; rows = panels. Output: logits (rows, K >=
// 2, H', W'), any strides, class 1 = peak. No operation couples rows, so rows of a padded batch may hold anything. The
// memory of the output is the model's: it is valid only inside the `use` callback and, on a GPU, for work that the
// callback puts on the same stream.
//
// One Model serves one device; after construction every call comes from the context of that device's compute stream (on
// the host its thread), where it is also warmed, because some runtimes specialise per thread. Implementations check
// what they are given: a wrong shape is an error, never a read past the end.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "daemon/kernels/tensor_view.hpp"

namespace peaknet::model {

class ModelFiles;

struct ModelInfo {
  std::string path;
  std::string kind;                  // "torchscript", "package", "builtin"
  std::string sha256;                // of the file; "" for a builtin
  std::vector<std::int64_t> rows{};  // it runs with these numbers of rows alone; empty: with any
};

class Model {
 public:
  virtual ~Model() = default;
  virtual const ModelInfo& info() const = 0;

  // Errors: model.failed (the network threw; its text), model.bad-output (shape or type of what it returned),
  // device.no-memory (too many rows at once). What each means for the frames: daemon/device/fault.hpp.
  virtual Status run(const kernels::TensorView& input, void* stream,
                     const std::function<void(const kernels::TensorView& logits)>& use) = 0;

  // Around a run that is recorded as a graph (daemon/device/graphs.hpp): the memory that it takes stays what it is for
  // as long as the model lives. False: this model's runs cannot be recorded.
  virtual bool begin_recording(void* /*stream*/) { return false; }
  virtual void end_recording() {}
  // Give back what only runs without a graph need; the next of those takes it anew. Not while a run is recorded.
  virtual void trim() {}
};

struct ModelRequest {
  std::string path;    // a file, or builtin:identity | builtin:threshold=COUNTS | builtin:delay=MS
  std::string device;  // "cpu", "cuda:0"
  kernels::Element element = kernels::Element::float32;
  std::uint32_t cpu_threads = 0;        // for "cpu": threads of one run; 0: usable_processors()
  std::vector<std::string> allow{};     // SHA-256 of the files that may be loaded; empty: any
  std::shared_ptr<ModelFiles> files{};  // shared by all devices, so that a file is read once; null: read for this load
};

// Errors: model.missing (no path, or no such file), model.unknown-builtin, model.unknown-kind, model.not-a-model
// (what it is instead), model.unreadable (damaged, or with the cause the runtime gave), model.not-built (this peaknetd
// was built without LibTorch), model.unsafe (the file or a folder above it may be written by others), model.not-allowed
// (its SHA-256 is not in the list), and for packages those of package_model.hpp. Any thread; the model is then used
// from one.
Result<std::unique_ptr<Model>> load_model(const ModelRequest& request);

// What a model from a file needs of LibTorch on these devices, before any such model is loaded for one of them:
// LibTorch asks once whether there are GPUs, and a model for the processor that came first would make it blind for
// them. Ok for a builtin. Errors: model.not-built. Any thread; only the first call costs something.
Status prepare_to_load(const std::string& path, const std::vector<std::string>& devices);

// The memory that LibTorch's allocator keeps for later on this device goes back to the driver, so that others can have
// it: lanes, other models, libraries. It waits for what the device has to do. Any thread, but none that records a
// graph.
void release_cached_memory(const std::string& device);

}  // namespace peaknet::model
