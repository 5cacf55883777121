// Settings: what the environment asks of the simulated machine, read once at the first call of the runtime.
//
// Errors: a variable that cannot be read ends the process with a line on stderr: a test that believes it has set a
// fault must not pass without one.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace peaknet::gpusim {

// "N", the N-th operation of the process, or "TEXT:N", the N-th whose description contains TEXT ("threshold:40");
// operations are described as kernels by their name and as "upload", "download", "copy", "record", "wait", "host";
// calls as "device N: " and the function ("a copy" for the copies, "a launch" for the kernels).
struct Trigger {
  std::string text;
  std::uint64_t count = 0;  // 0: never
};

// How long the hardware would take; zero: as long as it takes here, with naps that the seed chooses.
struct Timing {
  double up_gbps = 0, down_gbps = 0;                       // of a copy engine each way
  std::vector<std::pair<std::string, double>> kernels_ms;  // by a part of the kernel's name; others take no time
  bool any() const { return up_gbps > 0 || down_gbps > 0 || !kernels_ms.empty(); }
};

struct Settings {
  std::vector<std::string> kernels;            // GPUSIM_KERNELS=a.so:b.so, libraries of translated kernels
  std::uint64_t seed = 1;                      // GPUSIM_SEED, of the order in which streams are served
  int devices = 1;                             // GPUSIM_DEVICES
  std::uint64_t memory = 4ULL << 30;           // GPUSIM_MEMORY_MIB, of each device
  int capability = 90;                         // GPUSIM_CAPABILITY, ten times the major number and the minor one
  int count_error = 0;                         // GPUSIM_COUNT_ERROR, what cudaGetDeviceCount answers
  std::chrono::microseconds delay{50};         // GPUSIM_DELAY_US, mean nap of an operation
  std::chrono::microseconds late{3000};        // GPUSIM_LATE_US, how long a broken device may still touch memory
  Trigger sticky, hang;                        // GPUSIM_STICKY_AT, GPUSIM_HANG_AT
  Trigger block;                               // GPUSIM_BLOCK_AT, of the calls: "device 1: cudaEventQuery:40"
  bool exit_waits = false;                     // GPUSIM_EXIT_WAITS=1: so does exit() for all that hangs
  bool registers = true;                       // GPUSIM_NO_REGISTER=1: every cudaHostRegister fails
  std::uint64_t largest_registration = ~0ULL;  // GPUSIM_REGISTER_MIB: larger ones fail
  bool pins = true;                            // GPUSIM_NO_PINNED=1: every cudaHostAlloc fails
  int poison = 0xee;                           // GPUSIM_POISON, what fresh device memory holds
  bool statistics = false;                     // GPUSIM_STATS=1, a summary at exit
  Timing timing;  // GPUSIM_COPY_GBPS_UP, GPUSIM_COPY_GBPS_DOWN, GPUSIM_KERNEL_MS=name:ms,...
};

Settings settings_from_environment();

}  // namespace peaknet::gpusim
