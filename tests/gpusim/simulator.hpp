// simulator: what a test says to the simulated CUDA runtime that it runs under, and asks of it. A test that may also
// run on a GPU asks simulated() first.
//
// Threads: any. Errors: under another runtime each function but simulated() throws std::logic_error.
#pragma once

#include <dlfcn.h>

#include <cstdint>
#include <stdexcept>
#include <string>

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
inline void free_hung() { simulator<void()>("gpusim_free_hung")(); }
// Devices as at the begin of a process, by the environment (settings.hpp) as it is now; the program has none any more.
inline void reset() { simulator<void()>("gpusim_reset")(); }
// How often something happened that the summary of GPUSIM_STATS names: "events made", "registrations", ...
inline std::uint64_t counted(const char* what) { return simulator<std::uint64_t(const char*)>("gpusim_counted")(what); }

}  // namespace peaknet::gpusim
