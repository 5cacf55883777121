// What the lanes of a warp do together: who has come to a warp operation, and what each gets from it.
//
// Threads: one at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "tests/gpusim/kernel_abi.hpp"

namespace peaknet::gpusim {

// A thread of the block that runs.
struct Running {
  enum class State : std::uint8_t { ready, at_barrier, at_warp_operation, done } state = State::ready;
  Thread thread{};
  std::vector<std::uint64_t> registers{};  // the first four bytes: where it waits
  std::uint32_t place() const { return registers.empty() ? 0 : static_cast<std::uint32_t>(registers.front()); }
};

using Complaint = std::function<void(const Thread& thread, const char* what)>;

// Lets those lanes go on that wait for one operation and are all there. `give_up`: nothing else of the block can move,
// so those go on too who wait for a lane that does not come, which is a complaint. True: somebody goes on.
bool complete_warp_operations(std::span<Running> warp, bool give_up, const Complaint& complain);

}  // namespace peaknet::gpusim
