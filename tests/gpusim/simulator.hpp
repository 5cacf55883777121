// simulator: what a test says to the simulated CUDA runtime that it runs under, and asks of it. A test that may also
// run on a GPU asks simulated() first.
//
// Threads: any. Errors: under another runtime each function but simulated() throws std::logic_error.
#pragma once

#include <dlfcn.h>

#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>

#include "tests/gpusim/kernel_totals.hpp"

namespace peaknet::gpusim {

template <class Function>
Function* simulator(const char* name) {
  void* symbol = ::dlsym(RTLD_DEFAULT, name);
  if (symbol == nullptr) throw std::logic_error(std::string(name) + ": this is no simulated CUDA runtime");
  return reinterpret_cast<Function*>(symbol);
}

inline bool simulated() { return ::dlsym(RTLD_DEFAULT, "gpusim_findings") != nullptr; }
inline std::uint64_t findings() { return simulator<std::uint64_t()>("gpusim_findings")(); }
// Those so far, which then do not fail the process: for a test that provokes one.
inline std::uint64_t take_findings() { return simulator<std::uint64_t()>("gpusim_take_findings")(); }
// The device breaks down, or the stream hangs for ever, at the `count`-th operation from now on whose description
// contains `text` (settings.hpp).
inline void break_after(const char* text, std::uint64_t count) {
  simulator<void(const char*, std::uint64_t)>("gpusim_break_after")(text, count);
}
inline void hang_after(const char* text, std::uint64_t count) {
  simulator<void(const char*, std::uint64_t)>("gpusim_hang_after")(text, count);
}
// A call of the runtime does not return, and then no other on that device: the `count`-th from now on whose description
// contains `text`.
inline void block_after(const char* text, std::uint64_t count) {
  simulator<void(const char*, std::uint64_t)>("gpusim_block_after")(text, count);
}
inline void free_hung() { simulator<void()>("gpusim_free_hung")(); }
// Devices as at the begin of a process, by the environment (settings.hpp) as it is now; the program has none any more.
inline void reset() { simulator<void()>("gpusim_reset")(); }
// How often something happened that the summary of GPUSIM_STATS names: "events made", "registrations", ...
inline std::uint64_t counted(const char* what) { return simulator<std::uint64_t(const char*)>("gpusim_counted")(what); }
// What the kernels have done since the begin of the process, by their names: "fill<unsigned short, float>".
inline std::map<std::string, KernelTotals> kernel_totals() {
  std::map<std::string, KernelTotals> all;
  using Visit = void(void* who, const char* name, const KernelTotals& totals);
  Visit* const visit = [](void* who, const char* name, const KernelTotals& totals) {
    static_cast<std::map<std::string, KernelTotals>*>(who)->emplace(name, totals);
  };
  simulator<void(Visit*, void*)>("gpusim_visit_kernels")(visit, &all);
  return all;
}

}  // namespace peaknet::gpusim
