// Recording the work of a stream, and launching it again.
#include <utility>

#include "tests/gpusim/api.hpp"

using namespace peaknet::gpusim;

namespace {

using Shared = std::shared_ptr<Recording>;

Shared& recording_of(void* handle) { return *static_cast<Shared*>(handle); }

}  // namespace

GPUSIM_API cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode mode) {
  Stream& stream = *stream_of(handle);
  const Call call("cudaStreamBeginCapture", stream.device);
  if (call.refused()) return say(call.code);
  if (stream.recording) return say(cudaErrorIllegalState);
  stream.recording = std::make_shared<Recording>();
  stream.recording->by = std::this_thread::get_id();
  stream.recording->mode = mode;
  Machine::thread().recordings.push_back(stream.recording);
  return cudaSuccess;
}

GPUSIM_API cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* out) {
  Stream& stream = *stream_of(handle);
  const Call call("cudaStreamEndCapture", stream.device);
  *out = nullptr;
  if (call.refused()) return say(call.code);
  if (!stream.recording) return say(cudaErrorIllegalState);
  const auto recording = std::exchange(stream.recording, nullptr);
  std::erase(Machine::thread().recordings, recording);
  if (recording->by != std::this_thread::get_id()) return say(cudaErrorStreamCaptureWrongThread);
  if (recording->spoilt) return say(cudaErrorStreamCaptureInvalidated);
  *out = reinterpret_cast<cudaGraph_t>(new Shared(recording));
  return cudaSuccess;
}

GPUSIM_API cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus* status) {
  *status = cudaStreamCaptureStatusNone;
  if (is_default(handle)) return say(Call("cudaStreamIsCapturing").code);
  const Stream& stream = *stream_of(handle);
  const Call call("cudaStreamIsCapturing", stream.device);
  *status = !stream.recording          ? cudaStreamCaptureStatusNone
            : stream.recording->spoilt ? cudaStreamCaptureStatusInvalidated
                                       : cudaStreamCaptureStatusActive;
  return say(call.code);
}

// LibTorch asks before it allocates. All recordings are of the mode in which other threads may do what they want.
GPUSIM_API cudaError_t cudaStreamGetCaptureInfo(cudaStream_t handle, cudaStreamCaptureStatus* status,
                                                unsigned long long* id, cudaGraph_t* graph,
                                                const cudaGraphNode_t** dependencies, const cudaGraphEdgeData** edges,
                                                std::size_t* count) {
  if (id != nullptr) *id = 0;
  if (graph != nullptr) *graph = nullptr;
  if (dependencies != nullptr) *dependencies = nullptr;
  if (edges != nullptr) *edges = nullptr;
  if (count != nullptr) *count = 0;
  return cudaStreamIsCapturing(handle, status);
}
GPUSIM_API cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
  thread_local cudaStreamCaptureMode of_thread = cudaStreamCaptureModeGlobal;
  std::swap(*mode, of_thread);
  return cudaSuccess;
}

GPUSIM_API cudaError_t cudaGraphInstantiate(cudaGraphExec_t* out, cudaGraph_t graph, unsigned long long /*flags*/) {
  *out = reinterpret_cast<cudaGraphExec_t>(new Shared(recording_of(graph)));
  return cudaSuccess;
}

GPUSIM_API cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete &recording_of(graph);
  return cudaSuccess;
}

GPUSIM_API cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) {
  delete &recording_of(graph);
  return cudaSuccess;
}

GPUSIM_API cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t handle) {
  Stream& stream = *stream_of(handle);
  const Call call("cudaGraphLaunch", stream.device);
  if (call.refused()) return say(call.code);
  if (call.machine.forbidden_while_recording("cudaGraphLaunch")) return say(cudaErrorStreamCaptureUnsupported);
  for (const Operation& operation : recording_of(graph)->operations) {
    if (const auto code = call.machine.put(stream, operation); code != cudaSuccess) return say(code);
  }
  ++call.machine.counts["graph launches"];
  return cudaSuccess;
}
