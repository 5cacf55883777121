#include "daemon/device/cuda_graphs.hpp"

#include <chrono>

#include "daemon/device/cuda_errors.hpp"

namespace peaknet::device {
namespace {

constexpr std::chrono::seconds kLongestRecording{10};

std::timed_mutex& one_at_a_time() {
  static std::timed_mutex mutex;
  return mutex;
}

class CudaGraph final : public Graph {
 public:
  CudaGraph(std::string device, cudaGraphExec_t graph) : device_(std::move(device)), graph_(graph) {}
  CudaGraph(const CudaGraph&) = delete;
  CudaGraph& operator=(const CudaGraph&) = delete;
  ~CudaGraph() override { cudaGraphExecDestroy(graph_); }
  Status replay(void* stream) override {
    const cudaError_t code = cudaGraphLaunch(graph_, static_cast<cudaStream_t>(stream));
    if (code != cudaSuccess) return lost(device_, "replaying a graph", code);
    return {};
  }

 private:
  std::string device_;
  cudaGraphExec_t graph_;
};

}  // namespace

Status CudaGraphs::begin(void* stream) {
  one_ = std::unique_lock(one_at_a_time(), kLongestRecording);
  if (!one_) {
    return Error{"graph.refused", device_ + ": another device has been recording for so long that it may hang",
                 "the stream works as before", ""};
  }
  const cudaError_t code = cudaStreamBeginCapture(static_cast<cudaStream_t>(stream), cudaStreamCaptureModeThreadLocal);
  if (code == cudaSuccess) return {};
  one_.unlock();
  return refused(code);
}

Result<std::unique_ptr<Graph>> CudaGraphs::end(void* stream) {
  const auto done = std::exchange(one_, {});
  cudaGraph_t recorded = nullptr;
  cudaGraphExec_t graph = nullptr;
  cudaError_t code = cudaStreamEndCapture(static_cast<cudaStream_t>(stream), &recorded);
  if (code == cudaSuccess) code = cudaGraphInstantiate(&graph, recorded, 0);
  if (recorded != nullptr) cudaGraphDestroy(recorded);
  if (code != cudaSuccess) return refused(code);
  return std::unique_ptr<Graph>(new CudaGraph(device_, graph));
}

Error CudaGraphs::refused(cudaError_t code) const {
  cudaGetLastError();  // it is told here, and shall not look like the next call's
  return {"graph.refused", device_ + ": " + cudaGetErrorString(code), "the stream works as before", ""};
}

}  // namespace peaknet::device
