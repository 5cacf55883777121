// kernel_abi: what translated kernels (ptx2cpp.py) and those who run them (execute.hpp) know of each other.
//
// A translated kernel is one function, called for one thread. A kernel with barriers or warp operations is a coroutine
// without a stack: its registers live in memory of the caller, it returns at each such instruction and is entered again
// behind it.
#pragma once

#include <cstdint>

#include "tests/gpusim/warp_trace.hpp"

namespace peaknet::gpusim {

struct Launch;
struct Thread;

// Memory that the launch may touch, and what it has touched of it.
struct Window {
  std::uint64_t begin = 1, end = 0;  // empty
  char* data = nullptr;              // where the first byte lies in this process
  std::uint8_t* written = nullptr;   // a byte each, has anybody written it? null: unknown
  std::uint64_t read_low = ~0ULL, read_high = 0, write_low = ~0ULL, write_high = 0;
  bool holds(std::uint64_t address, std::uint32_t bytes) const { return address >= begin && address + bytes <= end; }
  char* at(std::uint64_t address) const { return data + (address - begin); }
};

// Who watches a launch.
class Monitor {
 public:
  virtual ~Monitor() = default;
  // The window around these bytes. Throws Fault: there is none, the launch is over.
  virtual Window* window(const Launch& launch, const Thread& thread, std::uint64_t address, std::uint32_t bytes,
                         bool write) = 0;
  // The launch goes on.
  virtual void complain(const Launch& launch, const Thread& thread, const char* what, std::uint64_t address) = 0;
  // Throws Fault.
  [[noreturn]] virtual void fail(const Launch& launch, const Thread& thread, const char* what,
                                 std::uint64_t address) = 0;
};

struct SharedByte {  // who touched it last, and between which barriers
  static constexpr std::uint32_t kNobody = ~0U, kSeveral = ~1U;
  std::uint32_t writer = kNobody, write_epoch = ~0U, reader = kNobody, read_epoch = ~0U;
};
struct SharedArray {
  std::uint32_t begin, bytes;
};

struct Launch {
  std::uint32_t grid[3], block[3], at[3];  // at: the block that runs
  const char* params;
  std::uint32_t param_bytes;
  char* shared;
  SharedByte* shared_state;  // of each byte
  const SharedArray* shared_arrays;
  std::uint32_t shared_array_count;
  std::uint32_t epoch;  // barriers that this block has passed
  Monitor* monitor;
  mutable Window* last;  // a guess; never null
};

// What a lane does together with others of its warp, at the instruction at which it waits.
struct WarpOperation {
  enum class Kind : std::uint8_t { ballot, any, all, sync, up, down, butterfly, index } kind;
  std::uint32_t mask;  // lanes that take part
  std::uint32_t value;
  std::uint32_t b = 0, c = 0;  // of a shuffle, as PTX names them
};

struct Thread {
  std::uint32_t id[3];
  std::uint32_t number;  // in its block
  std::uint32_t lane;
  WarpTrace* trace;
  WarpOperation waits_for{};
  std::uint32_t result = 0;                         // of the warp operation
  bool in_range = false;                            // of a shuffle
  std::uint32_t divisions = 0, wide_divisions = 0;  // of integers, of 64-bit ones among them
};

enum class Step : std::uint8_t { done, barrier, warp };

struct Parameter {
  std::uint32_t offset, bytes;
};
struct Kernel {
  const char* name;
  // `registers`: register_bytes of zeros at the first call; the first four bytes say where it goes on.
  Step (*run)(const Launch& launch, Thread& thread, void* registers);
  std::uint64_t register_bytes;
  const Parameter* parameters;
  std::uint32_t parameter_count, parameter_bytes;
  const SharedArray* shared_arrays;
  std::uint32_t shared_array_count, shared_bytes;
  std::uint32_t accesses;             // loads and stores of global memory in its text
  std::uint32_t wide_division_sites;  // divisions of 64-bit integers in its text
};

// What a library of translated kernels exports.
using KernelTable = const Kernel*(unsigned* count);  // "gpusim_kernels"

}  // namespace peaknet::gpusim
