// How long LibTorch's threads spin before they sleep, when they wait for each other on the processor.
//
// Without a bound they spin for a good part of a scheduler's turn, and beside one other busy process nearly all of the
// processor's time is spinning (docs/benchmarks.md, threads). libgomp reads the variable when it is loaded, before
// main(), and has no call for it; so a program that was started without it starts itself again with it. Under systemd
// the unit sets it.
//
// Errors: if the program cannot be started again it goes on as it is: it is slower beside other work, and right.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <system_error>

namespace peaknet {

// Call it first in main(). The process keeps its id and everything that it has open.
inline void bound_openmp_spin(char** argv) {
  constexpr const char* kRounds = "10000";
  if (std::getenv("GOMP_SPINCOUNT") != nullptr || std::getenv("OMP_WAIT_POLICY") != nullptr) return;
  std::error_code failed;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", failed);
  if (failed || ::setenv("GOMP_SPINCOUNT", kRounds, 0) != 0) return;
  ::execv(program.c_str(), argv);
}

}  // namespace peaknet
