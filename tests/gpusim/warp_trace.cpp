#include "tests/gpusim/warp_trace.hpp"

#include <algorithm>

namespace peaknet::gpusim {

Traffic WarpTrace::traffic_of(const Row& row, std::uint32_t bytes) {
  std::array<std::uint64_t, kWarp> begins;
  std::size_t count = 0;
  for (std::uint32_t lane = 0; lane < kWarp; ++lane) {
    if ((row.lanes >> lane & 1U) != 0) begins[count++] = row.address[lane];
  }
  const auto end = begins.begin() + static_cast<std::ptrdiff_t>(count);
  if (!std::is_sorted(begins.begin(), end)) std::sort(begins.begin(), end);
  Traffic traffic{1, 0, 0, 0};
  std::uint64_t reached = 0;      // behind the last byte that is counted
  std::uint64_t next_sector = 0;  // behind the last sector that is counted
  for (auto begin = begins.begin(); begin != end; ++begin) {
    const std::uint64_t last = *begin + bytes;
    traffic.bytes += last - std::min(last, std::max(*begin, reached));
    const std::uint64_t first_sector = std::max(*begin / kSector, next_sector);
    const std::uint64_t behind = (last + kSector - 1) / kSector;
    traffic.sectors += behind - std::min(behind, first_sector);
    reached = std::max(reached, last);
    next_sector = std::max(next_sector, behind);
  }
  traffic.least = (traffic.bytes + kSector - 1) / kSector;
  return traffic;
}

void WarpTrace::finish(Traffic& loads, Traffic& stores) {
  for (Instruction& instruction : of_) {
    for (std::size_t i = 0; i < instruction.used; ++i)
      (instruction.write ? stores : loads) += traffic_of(instruction.rows[i], instruction.bytes);
    instruction.used = 0;
    instruction.rounds.fill(0);
  }
}

}  // namespace peaknet::gpusim
