// CudaGraphs: work of a CUDA stream recorded as a graph, which one launch replays (graphs.hpp).
//
// Threads: the worker's of the device; one device of the process records at a time. Errors: graph.refused, and the
// stream works as before; device.lost from a replay.
#pragma once

#include <cuda_runtime_api.h>

#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "daemon/device/graphs.hpp"

namespace peaknet::device {

class CudaGraphs final : public Graphs {
 public:
  explicit CudaGraphs(std::string device) : device_(std::move(device)) {}

  // Of this thread alone: what other workers put on their devices meanwhile is none of it.
  Status begin(void* stream) override;
  Result<std::unique_ptr<Graph>> end(void* stream) override;

 private:
  Error refused(cudaError_t code) const;

  std::string device_;
  std::unique_lock<std::timed_mutex> one_;
};

}  // namespace peaknet::device
