// Devices, errors, memory that is free.
#include <cstdio>
#include <cstring>
#include <utility>

#include "tests/gpusim/api.hpp"

using namespace peaknet::gpusim;

namespace {

bool exists(int device) { return device >= 0 && device < static_cast<int>(Machine::the().devices.size()); }

}  // namespace

GPUSIM_API cudaError_t cudaGetDeviceCount(int* count) {
  Machine& machine = Machine::the();
  if (machine.settings.count_error != 0) return say(static_cast<cudaError_t>(machine.settings.count_error));
  *count = static_cast<int>(machine.devices.size());
  return *count > 0 ? cudaSuccess : say(cudaErrorNoDevice);
}

GPUSIM_API cudaError_t cudaSetDevice(int device) {
  if (!exists(device)) return say(cudaErrorInvalidDevice);
  Machine::thread().device = device;
  return cudaSuccess;
}

GPUSIM_API cudaError_t cudaGetDevice(int* device) {
  *device = Machine::thread().device;
  return cudaSuccess;
}

GPUSIM_API cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  if (!exists(device)) return say(cudaErrorInvalidDevice);
  const int capability = Machine::the().settings.capability;
  switch (attribute) {
    case cudaDevAttrComputeCapabilityMajor:
      *value = capability / 10;
      return cudaSuccess;
    case cudaDevAttrComputeCapabilityMinor:
      *value = capability % 10;
      return cudaSuccess;
    case cudaDevAttrWarpSize:
      *value = 32;
      return cudaSuccess;
    case cudaDevAttrMultiProcessorCount:
      *value = 1;
      return cudaSuccess;
    default:
      std::fprintf(stderr, "gpusim: attribute %d is not modelled\n", static_cast<int>(attribute));
      return say(cudaErrorNotSupported);
  }
}

GPUSIM_API cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (!exists(device)) return say(cudaErrorInvalidDevice);
  const Machine& machine = Machine::the();
  *properties = {};
  std::snprintf(properties->name, sizeof properties->name, "simulated device %d", device);
  properties->major = machine.settings.capability / 10;
  properties->minor = machine.settings.capability % 10;
  properties->totalGlobalMem = machine.devices[static_cast<std::size_t>(device)].total;
  properties->multiProcessorCount = 1;
  properties->warpSize = 32;
  return cudaSuccess;
}

GPUSIM_API cudaError_t cudaDeviceGetPCIBusId(char* text, int length, int device) {
  if (!exists(device)) return say(cudaErrorInvalidDevice);
  std::snprintf(text, static_cast<std::size_t>(length), "0000:%02x:00.0", device);
  return cudaSuccess;
}

GPUSIM_API cudaError_t cudaDriverGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}

GPUSIM_API cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  *least = 0;
  *greatest = -5;
  return cudaSuccess;
}

GPUSIM_API cudaError_t cudaGetLastError() {
  const Call call("cudaGetLastError");
  const cudaError_t last = std::exchange(Machine::thread().last, cudaSuccess);
  return call.refused() ? call.code : last;
}

GPUSIM_API cudaError_t cudaPeekAtLastError() {
  const Call call("cudaPeekAtLastError");
  return call.refused() ? call.code : Machine::thread().last;
}

GPUSIM_API cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  const Call call("cudaMemGetInfo");
  const Device& device = call.machine.devices[static_cast<std::size_t>(Machine::thread().device)];
  *free = device.total - device.used;
  *total = device.total;
  return say(call.code);
}

GPUSIM_API cudaError_t cudaDeviceSynchronize() {
  Call call("cudaDeviceSynchronize");
  if (call.refused()) return say(call.code);
  if (call.machine.forbidden_while_recording("cudaDeviceSynchronize")) return say(cudaErrorStreamCaptureUnsupported);
  const int device = Machine::thread().device;
  call.machine.wait(call.lock, device, [&] { return call.machine.idle(device); });
  for (const auto& stream : call.machine.streams) {
    if (stream->device == device) join(call.machine.host, stream->clock);
  }
  return say(call.machine.devices[static_cast<std::size_t>(device)].sticky);
}
