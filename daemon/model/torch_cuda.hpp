// LibTorch on a GPU: its CUDA side, the stream that a load works on, and the memory that its allocator keeps. Where the
// build has no CUDA, or the device is the processor, each of these does nothing and is ok.
//
// Threads: any. Errors besides those named: what LibTorch throws (c10::Error).
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/result.hpp"

namespace peaknet::model {

// Make the CUDA side known to LibTorch, once per process. LibTorch asks once whether there is one and keeps the answer,
// so this comes before all its other functions, also before those for the processor. Errors: model.not-built.
Status load_cuda_side(const std::string& device);

// `load` with LibTorch's work for the device on a stream of its own. When this returns all that it has put on the
// device is done, so any stream may use it: streams of the engine wait for no other, and the loader may run in a thread
// that knows none of them, beside batches that are under way.
void on_load_stream(const std::string& device, const std::function<void()>& load);

// How often the allocator has had not enough for a request, although it gave back all that it kept.
std::int64_t memory_shortages(const std::string& device);

// The first member of a model: it goes last, and then LibTorch's allocator gives back what the others had
// (release_cached_memory in model.hpp). A model of a lost device is never destroyed, so this is not for those.
class LastToGo {
 public:
  explicit LastToGo(std::string device);
  LastToGo(const LastToGo&) = delete;
  LastToGo& operator=(const LastToGo&) = delete;
  ~LastToGo();

 private:
  std::string device_;
};

}  // namespace peaknet::model
