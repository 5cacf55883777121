// execute: one launch of a translated kernel (ptx2cpp.py), thread by thread, on the processor. It knows nothing of a
// runtime: what memory there is, is asked of a MemoryMap.
//
// Blocks, warps and lanes run in an order that a seed chooses. Warps are 32 neighbouring threads. Checked: bounds,
// alignment, memory that nobody has written, races in shared memory between two barriers, threads that leave while
// others wait, threads of a block at different barriers, warp operations whose mask names a lane that does not come or
// leaves out one that does.
//
// Threads: a launch belongs to the thread that calls; several may run at once if the MemoryMap allows it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "tests/gpusim/access.hpp"
#include "tests/gpusim/kernel_abi.hpp"

namespace peaknet::gpusim {

struct LaunchShape {
  std::uint32_t grid[3] = {1, 1, 1}, block[3] = {1, 1, 1};
};

// A piece of memory that a kernel may touch.
struct Region {
  std::uint64_t begin = 0, end = 0;
  char* data = nullptr;             // where its first byte lies in this process
  std::uint8_t* written = nullptr;  // a byte each, has anybody written it? A launch marks what it writes. null: unknown
};

class MemoryMap {
 public:
  virtual ~MemoryMap() = default;
  // The region around these bytes; it stays for the launch. Throws Fault: there is none, the launch is over.
  virtual Region resolve(std::uint64_t address, std::uint32_t bytes, bool write) = 0;
  // A finding that the launch survives. Once for each kind in a launch, with the first place.
  virtual void complain(const std::string& kernel, const std::string& text) = 0;
};

struct LaunchReport {
  std::vector<Range> touched{};  // for each region, from the first byte to the last
  Traffic loads{}, stores{};     // of global memory
  std::uint64_t threads = 0;
  // Integer divisions, and those of 64 bits among them, of the thread that executed most. nvcc puts a 32-bit division
  // beside a 64-bit one for small numbers; wide_division_sites of the Kernel says how many 64-bit ones its text has.
  std::uint32_t most_divisions = 0, most_wide_divisions = 0;
};

// Throws Fault.
LaunchReport execute(const Kernel& kernel, const LaunchShape& shape, std::span<const char> params, MemoryMap& memory,
                     std::uint64_t seed);

}  // namespace peaknet::gpusim
