// Streams, events, copies, host functions.
#include <cstring>

#include "tests/gpusim/api.hpp"
#include "tests/gpusim/copies.hpp"

using namespace peaknet::gpusim;

namespace {

cudaError_t make_stream(cudaStream_t* out, unsigned flags) {
  const Call call("making a stream");
  if (call.refused()) return say(call.code);
  if (flags != cudaStreamNonBlocking) call.machine.findings.add("a stream is made that waits for the default stream");
  *out = reinterpret_cast<cudaStream_t>(call.machine.make_stream(Machine::thread().device));
  return cudaSuccess;
}

std::uint64_t number(const void* address) { return reinterpret_cast<std::uint64_t>(address); }

}  // namespace

GPUSIM_API cudaError_t cudaStreamCreateWithFlags(cudaStream_t* out, unsigned flags) { return make_stream(out, flags); }
GPUSIM_API cudaError_t cudaStreamCreateWithPriority(cudaStream_t* out, unsigned flags, int /*priority*/) {
  return make_stream(out, flags);
}

GPUSIM_API cudaError_t cudaStreamDestroy(cudaStream_t handle) {
  Machine& machine = Machine::the();
  const std::lock_guard lock(machine.mutex);
  Stream& stream = *stream_of(handle);
  if (stream.destroyed) machine.findings.add("a stream is destroyed twice");
  if (stream.busy()) machine.findings.add("a stream is destroyed with work on it");
  stream.destroyed = true;
  return say(machine.devices[static_cast<std::size_t>(stream.device)].sticky);
}

GPUSIM_API cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  if (handle == nullptr || handle == cudaStreamLegacy)
    return say(Call("cudaStreamSynchronize").code);  // never has work
  Stream& stream = *stream_of(handle);
  Call call("cudaStreamSynchronize", stream.device);
  if (call.refused()) return say(call.code);
  if (stream.recording || call.machine.forbidden_while_recording("cudaStreamSynchronize")) {
    if (stream.recording) stream.recording->spoilt = true;
    return say(cudaErrorStreamCaptureUnsupported);
  }
  const Clock then = stream.clock;
  call.machine.wait(call.lock, stream.device, [&] { return !stream.busy(); });
  const auto code = call.machine.devices[static_cast<std::size_t>(stream.device)].sticky;
  if (code == cudaSuccess) join(call.machine.host, then);
  return say(code);
}

GPUSIM_API cudaError_t cudaStreamQuery(cudaStream_t handle) {
  const Stream& stream = *stream_of(handle);
  const Call call("cudaStreamQuery", stream.device);
  if (call.refused()) return say(call.code);
  if (stream.busy()) return cudaErrorNotReady;
  join(call.machine.host, stream.clock);
  return cudaSuccess;
}

GPUSIM_API cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event, unsigned /*flags*/) {
  Stream& stream = *stream_of(handle);
  const Call call("cudaStreamWaitEvent", stream.device);
  if (call.refused()) return say(call.code);
  if (event_of(event)->recorded == 0) return cudaSuccess;
  if (stream.recording) {
    stream.recording->spoilt = true;
    return say(cudaErrorStreamCaptureIsolation);
  }
  return say(call.machine.put(stream, {.kind = Operation::Kind::wait, .what = "wait", .event = event_of(event)}));
}

GPUSIM_API cudaError_t cudaLaunchHostFunc(cudaStream_t handle, cudaHostFn_t function, void* data) {
  Stream& stream = *stream_of(handle);
  const Call call("cudaLaunchHostFunc", stream.device);
  if (call.refused()) return say(call.code);
  return say(call.machine.put(
      stream, {.kind = Operation::Kind::host, .what = "host", .call = [function, data] { function(data); }}));
}

GPUSIM_API cudaError_t cudaEventCreateWithFlags(cudaEvent_t* out, unsigned flags) {
  const Call call("making an event");
  if (call.refused()) return say(call.code);
  auto* event = new Event;  // kept for ever: a stream may still wait for one that was destroyed
  event->device = Machine::thread().device;
  event->timed = (flags & cudaEventDisableTiming) == 0;
  *out = reinterpret_cast<cudaEvent_t>(event);
  ++call.machine.counts["events made"];
  return cudaSuccess;
}

GPUSIM_API cudaError_t cudaEventDestroy(cudaEvent_t event) {
  Machine& machine = Machine::the();
  const std::lock_guard lock(machine.mutex);
  if (event == nullptr) return say(cudaErrorInvalidResourceHandle);
  if (event_of(event)->destroyed) machine.findings.add("an event is destroyed twice");
  event_of(event)->destroyed = true;
  ++machine.counts["events destroyed"];
  return cudaSuccess;
}

GPUSIM_API cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t handle) {
  Stream& stream = *stream_of(handle);
  const Call call("cudaEventRecord", stream.device);
  if (call.refused()) return say(call.code);
  if (event_of(event)->device != stream.device) {
    call.machine.findings.add("an event is recorded on a stream of another device");
    return say(cudaErrorInvalidResourceHandle);
  }
  return say(call.machine.put(stream, {.kind = Operation::Kind::record, .what = "record", .event = event_of(event)}));
}

GPUSIM_API cudaError_t cudaEventQuery(cudaEvent_t handle) {
  const Event& event = *event_of(handle);
  const Call call("cudaEventQuery", event.device);
  if (call.refused()) return say(call.code);
  if (call.machine.forbidden_while_recording("cudaEventQuery")) return say(cudaErrorStreamCaptureUnsupported);
  if (event.reached < event.recorded) return cudaErrorNotReady;
  join(call.machine.host, event.clock);
  return cudaSuccess;
}

GPUSIM_API cudaError_t cudaEventSynchronize(cudaEvent_t handle) {
  const Event& event = *event_of(handle);
  Call call("cudaEventSynchronize", event.device);
  if (call.refused()) return say(call.code);
  if (call.machine.forbidden_while_recording("cudaEventSynchronize")) return say(cudaErrorStreamCaptureUnsupported);
  const std::uint64_t wanted = event.recorded;
  call.machine.wait(call.lock, event.device, [&] { return event.reached >= wanted; });
  const auto code = call.machine.devices[static_cast<std::size_t>(event.device)].sticky;
  if (code == cudaSuccess) join(call.machine.host, event.clock);
  return say(code);
}

GPUSIM_API cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t from, cudaEvent_t to) {
  const Event &first = *event_of(from), &last = *event_of(to);
  const Call call("cudaEventElapsedTime", first.device);
  if (call.refused()) return say(call.code);
  if (!first.timed || !last.timed || first.recorded == 0 || last.recorded == 0)
    return say(cudaErrorInvalidResourceHandle);
  if (first.reached < first.recorded || last.reached < last.recorded) return cudaErrorNotReady;
  *milliseconds = std::chrono::duration<float, std::milli>(last.when - first.when).count();
  return cudaSuccess;
}

GPUSIM_API cudaError_t cudaMemcpy2DAsync(void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch,
                                         std::size_t width, std::size_t height, cudaMemcpyKind kind,
                                         cudaStream_t handle) {
  Stream& stream = *stream_of(handle);
  Call call("a copy", stream.device);
  if (call.refused()) return say(call.code);
  bool blocks = false;
  const Copy copy{number(to), to_pitch, number(from), from_pitch, width, height, kind};
  const auto code = put_copy(call.machine, stream, copy, blocks);
  if (code != cudaSuccess || !blocks) return say(code);
  ++call.machine.counts["copies that blocked the caller"];
  call.machine.wait(call.lock, stream.device, [&] { return !stream.busy(); });
  return say(call.machine.devices[static_cast<std::size_t>(stream.device)].sticky);
}

GPUSIM_API cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                                       cudaStream_t stream) {
  return cudaMemcpy2DAsync(to, bytes, from, bytes, bytes, 1, kind, stream);
}

GPUSIM_API cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t handle) {
  Stream& stream = *stream_of(handle);
  const Call call("cudaMemsetAsync", stream.device);
  if (call.refused()) return say(call.code);
  auto memory = call.machine.memory.hold(number(to));
  if (!memory || !memory->of_device() || number(to) + bytes > memory->end) {
    call.machine.findings.add("cudaMemsetAsync reaches beyond its device memory");
    return say(cudaErrorInvalidValue);
  }
  const Range range{number(to), number(to) + bytes, true};
  Operation operation{.kind = Operation::Kind::copy, .what = "memset", .ranges = {range}};
  operation.run = [memory, range, value, bytes] {
    std::memset(memory->at(range.low), value, bytes);
    std::fill_n(memory->written.begin() + static_cast<std::ptrdiff_t>(range.low - memory->begin), bytes,
                std::uint8_t{1});
    return std::vector{range};
  };
  return say(call.machine.put(stream, std::move(operation)));
}
