// WarpTrace: the loads and stores of one warp in global memory, as the memory system of a GPU sees them: an instruction
// is executed by all lanes of a warp at once and asks for the 32-byte sectors that its lanes touch together.
//
// Lanes are interpreted one after the other here; what belongs together is the n-th time that each of them executes the
// same instruction. Lanes that left a loop early are missing from its later rounds, as on a GPU.
//
// Threads: one at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace peaknet::gpusim {

constexpr std::uint32_t kWarp = 32;    // lanes
constexpr std::uint64_t kSector = 32;  // bytes

// Of one direction. `least` is what the same bytes would take if each instruction of a warp found its own side by side
// from the begin of a sector on: the sum over the instructions of their different bytes / 32, rounded up. So
// sectors / least is 1 where each warp reads or writes whole sectors, and 8 where each lane reads 4 bytes of its own.
struct Traffic {
  std::uint64_t instructions = 0;  // executed by a warp
  std::uint64_t sectors = 0;
  std::uint64_t least = 0;
  std::uint64_t bytes = 0;  // different ones, summed over the instructions
  Traffic& operator+=(const Traffic& other) {
    instructions += other.instructions;
    sectors += other.sectors;
    least += other.least;
    bytes += other.bytes;
    return *this;
  }
};

class WarpTrace {
 public:
  // `instructions`: loads and stores that the kernel has; they are numbered from 0.
  explicit WarpTrace(std::uint32_t instructions) : of_(instructions) {}

  void note(std::uint32_t instruction, std::uint32_t lane, std::uint64_t address, std::uint32_t bytes, bool write) {
    Instruction& here = of_[instruction];
    const std::uint32_t round = here.rounds[lane]++;
    if (round >= here.used) {
      if (round >= here.rows.size()) here.rows.emplace_back();
      here.rows[round].lanes = 0;
      here.used = round + 1;
      here.bytes = bytes;
      here.write = write;
    }
    here.rows[round].address[lane] = address;
    here.rows[round].lanes |= 1U << lane;
  }
  // The warp is done: adds up what it did, and is empty again.
  void finish(Traffic& loads, Traffic& stores);

 private:
  struct Row {  // one instruction, executed once
    std::uint32_t lanes = 0;
    std::array<std::uint64_t, kWarp> address;
  };
  struct Instruction {
    std::vector<Row> rows;
    std::size_t used = 0;
    std::array<std::uint32_t, kWarp> rounds{};
    std::uint32_t bytes = 0;
    bool write = false;
  };
  static Traffic traffic_of(const Row& row, std::uint32_t bytes);

  std::vector<Instruction> of_;
};

}  // namespace peaknet::gpusim
