// Memory: of devices, pinned, registered.
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/gpusim/api.hpp"

using namespace peaknet::gpusim;

namespace {

constexpr std::uint64_t kPage = 4096;

// A stream with a copy from or to the memory. A host function that comes later than the end of pinned memory is ended
// by SIGSEGV: the address is nobody's any more.
bool in_use(const Machine& machine, const Memory& memory) {
  for (const auto& stream : machine.streams) {
    for (const Operation& operation : stream->operations) {
      for (const Range& range : operation.ranges) {
        if (memory.overlaps(range)) return true;
      }
    }
  }
  return false;
}

bool overlaps_registration(Machine& machine, std::uint64_t begin, std::uint64_t bytes) {
  const std::uint64_t low = begin / kPage * kPage, high = (begin + bytes + kPage - 1) / kPage * kPage;
  return machine.memory.knows_any(low, high);
}

bool is_mapped(std::uint64_t begin, std::uint64_t bytes) {
  unsigned char resident = 0;
  for (std::uint64_t page = begin / kPage * kPage; page < begin + bytes; page += kPage) {
    if (::mincore(reinterpret_cast<void*>(page), 1, &resident) != 0) return false;
  }
  return true;
}

}  // namespace

GPUSIM_API cudaError_t cudaMalloc(void** out, std::size_t bytes) {
  const Call call("cudaMalloc");
  if (call.refused()) return say(call.code);
  if (call.machine.forbidden_while_recording("cudaMalloc")) return say(cudaErrorStreamCaptureUnsupported);
  *out = nullptr;
  if (bytes == 0) return cudaSuccess;
  Device& device = call.machine.devices[static_cast<std::size_t>(Machine::thread().device)];
  if (bytes > device.total - device.used) return say(cudaErrorMemoryAllocation);
  const std::uint64_t begin = call.machine.memory.allocate(Memory::Kind::device, bytes, Machine::thread().device);
  if (begin == 0) return say(cudaErrorMemoryAllocation);
  device.used += bytes;
  *out = reinterpret_cast<void*>(begin);
  return cudaSuccess;
}

GPUSIM_API cudaError_t cudaFree(void* address) {
  if (address == nullptr) return cudaSuccess;
  Machine& machine = Machine::the();
  std::unique_lock lock(machine.mutex);
  const auto begin = reinterpret_cast<std::uint64_t>(address);
  const Memory* memory = machine.memory.exactly(begin, Memory::Kind::device);
  if (memory == nullptr) {
    machine.findings.add("cudaFree of what cudaMalloc did not give");
    return say(cudaErrorInvalidValue);
  }
  const int owner = memory->owner;
  if (const auto code = machine.enter(lock, owner, "cudaFree"); code != cudaSuccess) return say(code);
  if (machine.forbidden_while_recording("cudaFree")) return say(cudaErrorStreamCaptureUnsupported);
  if (!machine.idle(owner)) ++machine.counts["implicit waits of cudaFree"];
  machine.wait(lock, owner, [&] { return machine.idle(owner); });
  Device& device = machine.devices[static_cast<std::size_t>(owner)];
  if (device.sticky != cudaSuccess) return say(device.sticky);
  device.used -= memory->end - memory->begin;
  machine.memory.remove(*memory);
  return cudaSuccess;
}

GPUSIM_API cudaError_t cudaHostAlloc(void** out, std::size_t bytes, unsigned /*flags*/) {
  const Call call("cudaHostAlloc");
  if (call.refused()) return say(call.code);
  if (call.machine.forbidden_while_recording("cudaHostAlloc")) return say(cudaErrorStreamCaptureUnsupported);
  if (!call.machine.settings.pins) return say(cudaErrorMemoryAllocation);
  const std::uint64_t begin = call.machine.memory.allocate(Memory::Kind::pinned, bytes, Machine::thread().device);
  if (begin == 0) return say(cudaErrorMemoryAllocation);
  *out = reinterpret_cast<void*>(begin);
  return cudaSuccess;
}

GPUSIM_API cudaError_t cudaFreeHost(void* address) {
  Machine& machine = Machine::the();
  const std::lock_guard lock(machine.mutex);
  const Memory* memory = machine.memory.exactly(reinterpret_cast<std::uint64_t>(address), Memory::Kind::pinned);
  if (memory == nullptr) return say(cudaErrorInvalidValue);
  if (in_use(machine, *memory)) machine.findings.add("pinned memory is freed while a stream may use it");
  machine.memory.remove(*memory);
  return cudaSuccess;
}

GPUSIM_API cudaError_t cudaHostRegister(void* address, std::size_t bytes, unsigned flags) {
  const Call call("cudaHostRegister");
  if (call.refused()) return say(call.code);
  Machine& machine = call.machine;
  if (!machine.settings.registers) return say(cudaErrorNotSupported);
  if (bytes > machine.settings.largest_registration) return say(cudaErrorMemoryAllocation);
  const auto begin = reinterpret_cast<std::uint64_t>(address);
  if (overlaps_registration(machine, begin, bytes)) return say(cudaErrorHostMemoryAlreadyRegistered);
  if (!is_mapped(begin, bytes)) return say(cudaErrorInvalidValue);
  machine.memory.enter_registration(begin, bytes, Machine::thread().device, (flags & cudaHostRegisterPortable) != 0);
  ++machine.counts["registrations"];
  machine.counts["bytes registered"] += bytes;
  return cudaSuccess;
}

GPUSIM_API cudaError_t cudaHostUnregister(void* address) {
  Machine& machine = Machine::the();
  const std::lock_guard lock(machine.mutex);
  const Memory* memory = machine.memory.exactly(reinterpret_cast<std::uint64_t>(address), Memory::Kind::registered);
  if (memory == nullptr) return say(cudaErrorHostMemoryNotRegistered);
  if (in_use(machine, *memory)) machine.findings.add("memory is unregistered under a copy");
  machine.memory.remove(*memory);
  return cudaSuccess;
}

// The program's own: what is registered must not be unmapped.
GPUSIM_API int munmap(void* address, std::size_t bytes) {
  if (Machine::made()) {
    Machine& machine = Machine::the();
    const std::lock_guard lock(machine.mutex);
    const auto begin = reinterpret_cast<std::uint64_t>(address);
    if (machine.memory.knows_any(begin, begin + bytes))
      machine.findings.add("memory is unmapped that is registered, pinned or of a device");
  }
  return static_cast<int>(::syscall(SYS_munmap, address, bytes));
}
