// What a test asks of the simulated machine it runs on (simulator.hpp has the names).
#include "tests/gpusim/api.hpp"
#include "tests/gpusim/launches.hpp"

using namespace peaknet::gpusim;

GPUSIM_API std::uint64_t gpusim_findings() { return Machine::the().findings.count(); }
GPUSIM_API std::uint64_t gpusim_take_findings() { return Machine::the().findings.take(); }

GPUSIM_API void gpusim_break_after(const char* text, std::uint64_t count) {
  Machine& machine = Machine::the();
  const std::lock_guard lock(machine.mutex);
  machine.break_after(text, count);
}

GPUSIM_API void gpusim_hang_after(const char* text, std::uint64_t count) {
  Machine& machine = Machine::the();
  const std::lock_guard lock(machine.mutex);
  machine.hang_after(text, count);
}

GPUSIM_API void gpusim_block_after(const char* text, std::uint64_t count) {
  Machine& machine = Machine::the();
  const std::lock_guard lock(machine.mutex);
  machine.block_after(text, count);
}

GPUSIM_API void gpusim_free_hung() {
  Machine& machine = Machine::the();
  const std::lock_guard lock(machine.mutex);
  machine.free_hung();
}

GPUSIM_API std::uint64_t gpusim_counted(const char* what) {
  Machine& machine = Machine::the();
  const std::lock_guard lock(machine.mutex);
  const auto found = machine.counts.find(what);
  return found == machine.counts.end() ? 0 : found->second;
}

GPUSIM_API void gpusim_reset() {
  Machine& machine = Machine::the();
  const std::lock_guard lock(machine.mutex);
  machine.reset();
}

GPUSIM_API void gpusim_visit_kernels(void (*visit)(void* who, const char* name, const KernelTotals& totals),
                                     void* who) {
  for (const auto& [name, totals] : Kernels::the().totals()) visit(who, name.c_str(), totals);
}
