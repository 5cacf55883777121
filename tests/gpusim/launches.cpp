#include "tests/gpusim/launches.hpp"

#include <cxxabi.h>
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "tests/gpusim/api.hpp"

namespace peaknet::gpusim {
namespace {

constexpr std::uint64_t kMostThreads = 1024, kMostSharedBytes = 48 * 1024;  // of a block

std::string short_name(const char* name) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> text(abi::__cxa_demangle(name, nullptr, nullptr, &status), std::free);
  std::string whole = text ? text.get() : name;
  constexpr std::string_view kUnnamed = "(anonymous namespace)";
  for (std::size_t at; (at = whole.find(kUnnamed)) != std::string::npos;) whole.erase(at, kUnnamed.size());
  const std::size_t arguments = whole.find('(', whole.starts_with("void ") ? 5 : 0);
  whole.resize(std::min(arguments, whole.size()));
  const std::size_t templates = std::min(whole.find('<'), whole.size());
  const std::size_t scope = whole.rfind("::", templates);
  return scope == std::string::npos ? whole : whole.substr(scope + 2);
}

bool fits(const LaunchShape& shape, std::uint64_t shared_bytes) {
  const std::uint64_t threads = std::uint64_t{shape.block[0]} * shape.block[1] * shape.block[2];
  return threads > 0 && threads <= kMostThreads && shape.block[2] <= 64 && shape.grid[0] > 0 && shape.grid[1] > 0 &&
         shape.grid[2] > 0 && shape.grid[0] <= 0x7fffffffU && shape.grid[1] <= 65535 && shape.grid[2] <= 65535 &&
         shared_bytes <= kMostSharedBytes;
}

// The memory of the machine, for one launch on one device. What it gave out is held until the launch is over.
class LaunchMemory final : public MemoryMap {
 public:
  LaunchMemory(Machine& machine, int device) : machine_(machine), device_(device) {}

  Region resolve(std::uint64_t address, std::uint32_t bytes, bool write) override {
    std::shared_ptr<Memory> found;
    {
      const std::lock_guard hold(machine_.mutex);
      found = machine_.memory.hold(address);
    }
    std::array<char, 96> place{};
    std::snprintf(place.data(), place.size(), "%s of %u bytes at %#lx", write ? "store" : "load", bytes, address);
    if (!found) throw Fault{std::string(place.data()) + ", where there is no memory"};
    if (address + bytes > found->end) throw Fault{std::string(place.data()) + " beyond its end"};
    if (found->of_device() && found->owner != device_) throw Fault{std::string(place.data()) + ", of another device"};
    held_.push_back(found);
    return {found->begin, found->end, found->at(found->begin), found->of_device() ? found->written.data() : nullptr};
  }
  void complain(const std::string& kernel, const std::string& text) override {
    machine_.findings.add(short_name(kernel.c_str()) + ": " + text);
  }

 private:
  Machine& machine_;
  int device_;
  std::vector<std::shared_ptr<Memory>> held_;
};

std::chrono::nanoseconds time_of(const Settings& settings, const std::string& name) {
  for (const auto& [part, milliseconds] : settings.timing.kernels_ms) {
    if (name.find(part) != std::string::npos)
      return std::chrono::nanoseconds(static_cast<std::int64_t>(1e6 * milliseconds));
  }
  return {};
}

}  // namespace

Kernels& Kernels::the() {
  static Kernels* one = new Kernels;  // stubs register before main() and are used after it
  return *one;
}

void Kernels::enter(const void* stub, const char* name) {
  const std::lock_guard hold(mutex_);
  names_[stub] = name;
}

void Kernels::load(Machine& machine) {
  if (std::exchange(loaded_, true)) return;
  for (const std::string& path : machine.settings.kernels) {
    void* library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    auto* table = library == nullptr ? nullptr : reinterpret_cast<KernelTable*>(::dlsym(library, "gpusim_kernels"));
    if (table == nullptr) {
      std::fprintf(stderr, "gpusim: no kernels in %s: %s\n", path.c_str(), ::dlerror());
      ::_exit(98);
    }
    unsigned count = 0;
    const Kernel* all = table(&count);
    for (unsigned i = 0; i < count; ++i) translated_[all[i].name] = &all[i];
  }
}

const Kernel* Kernels::find(Machine& machine, const void* stub) {
  const std::lock_guard hold(mutex_);
  load(machine);
  const auto name = names_.find(stub);
  const auto kernel = name == names_.end() ? translated_.end() : translated_.find(name->second);
  if (kernel != translated_.end()) return kernel->second;
  machine.findings.add("no translation of the kernel " + (name == names_.end() ? "?" : name->second));
  return nullptr;
}

cudaError_t Kernels::launch(Machine& machine, const void* stub, const LaunchShape& shape, void** arguments,
                            std::size_t shared_bytes, Stream& stream) {
  if (stream.device != Machine::thread().device) {
    machine.findings.add("a kernel is launched on a stream of another device than the current one");
    return cudaErrorInvalidResourceHandle;
  }
  const Kernel* kernel = find(machine, stub);
  if (kernel == nullptr) return cudaErrorNoKernelImageForDevice;
  if (!fits(shape, shared_bytes + kernel->shared_bytes)) return cudaErrorInvalidConfiguration;
  std::vector<char> params(kernel->parameter_bytes);
  for (std::uint32_t i = 0; i < kernel->parameter_count; ++i)
    std::memcpy(params.data() + kernel->parameters[i].offset, arguments[i], kernel->parameters[i].bytes);
  Operation operation{.kind = Operation::Kind::kernel, .what = short_name(kernel->name), .unit = Unit::compute};
  operation.takes = time_of(machine.settings, operation.what);
  operation.run = [&machine, kernel, shape, params = std::move(params), device = stream.device,
                   seed = machine.random()] {
    LaunchMemory memory(machine, device);
    LaunchReport report = execute(*kernel, shape, params, memory, seed);
    the().add(*kernel, report);
    return std::move(report.touched);
  };
  return machine.put(stream, std::move(operation));
}

void Kernels::add(const Kernel& kernel, const LaunchReport& report) {
  const std::lock_guard hold(mutex_);
  totals_[short_name(kernel.name)].add(kernel, report);
}

std::map<std::string, KernelTotals> Kernels::totals() const {
  const std::lock_guard hold(mutex_);
  return totals_;
}

}  // namespace peaknet::gpusim

using namespace peaknet::gpusim;

namespace {

thread_local struct {
  dim3 grid, block;
  std::size_t shared_bytes;
  cudaStream_t stream;
} configuration;

cudaError_t launch(const void* stub, dim3 grid, dim3 block, void** arguments, std::size_t shared_bytes,
                   cudaStream_t handle) {
  const Call call("a launch");
  if (call.refused()) return say(call.code);
  if (handle == nullptr) {
    call.machine.findings.add("a kernel is launched on the default stream");
    return say(cudaErrorInvalidResourceHandle);
  }
  const LaunchShape shape{{grid.x, grid.y, grid.z}, {block.x, block.y, block.z}};
  return say(Kernels::the().launch(call.machine, stub, shape, arguments, shared_bytes, *stream_of(handle)));
}

}  // namespace

// What nvcc puts into a program around `kernel<<<...>>>(...)`.
GPUSIM_API void** __cudaRegisterFatBinary(void* /*binary*/) {
  static void* handle = nullptr;
  return &handle;
}
GPUSIM_API void __cudaRegisterFatBinaryEnd(void** /*handle*/) {}
GPUSIM_API void __cudaUnregisterFatBinary(void** /*handle*/) {}
GPUSIM_API void __cudaRegisterFunction(void** /*handle*/, const char* stub, char* /*function*/, const char* name,
                                       int /*threads*/, void* /*thread_id*/, void* /*block_id*/, void* /*block*/,
                                       void* /*grid*/, int* /*warps*/) {
  Kernels::the().enter(stub, name);
}
GPUSIM_API unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, std::size_t shared_bytes, CUstream_st* stream) {
  configuration = {grid, block, shared_bytes, stream};
  return 0;
}
GPUSIM_API cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, std::size_t* shared_bytes, void* stream) {
  *grid = configuration.grid;
  *block = configuration.block;
  *shared_bytes = configuration.shared_bytes;
  *static_cast<cudaStream_t*>(stream) = configuration.stream;
  return cudaSuccess;
}
GPUSIM_API cudaError_t __cudaGetKernel(cudaKernel_t* kernel, const void* stub) {
  *kernel = reinterpret_cast<cudaKernel_t>(const_cast<void*>(stub));
  return cudaSuccess;
}
GPUSIM_API cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void** arguments,
                                          std::size_t shared_bytes, cudaStream_t stream) {
  return launch(kernel, grid, block, arguments, shared_bytes, stream);
}
GPUSIM_API cudaError_t cudaLaunchKernel(const void* stub, dim3 grid, dim3 block, void** arguments,
                                        std::size_t shared_bytes, cudaStream_t stream) {
  return launch(stub, grid, block, arguments, shared_bytes, stream);
}
