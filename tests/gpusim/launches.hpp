// Kernels of the program: its own host stubs register them by name, and the translated ones (GPUSIM_KERNELS) are looked
// up by it and put on a stream.
#pragma once

#include <map>
#include <string>

#include "tests/gpusim/kernel_totals.hpp"
#include "tests/gpusim/machine.hpp"

namespace peaknet::gpusim {

class Kernels {
 public:
  static Kernels& the();
  // A host function of the program is a kernel's stub. Also before main().
  void enter(const void* stub, const char* name);
  // Put on the stream; the machine's mutex is held. Errors as the runtime's; no translation of it is a finding.
  cudaError_t launch(Machine& machine, const void* stub, const LaunchShape& shape, void** arguments,
                     std::size_t shared_bytes, Stream& stream);
  // By the name of the function, without its namespace and arguments: "fill<unsigned short, float>".
  std::map<std::string, KernelTotals> totals() const;

 private:
  Kernels() = default;
  void load(Machine& machine);
  const Kernel* find(Machine& machine, const void* stub);
  void add(const Kernel& kernel, const LaunchReport& report);

  mutable std::mutex mutex_;
  std::map<const void*, std::string> names_;
  std::map<std::string, const Kernel*> translated_;
  std::map<std::string, KernelTotals> totals_;
  bool loaded_ = false;
};

}  // namespace peaknet::gpusim
