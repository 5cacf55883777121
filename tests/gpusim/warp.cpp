#include "tests/gpusim/warp.hpp"

#include <bit>

namespace peaknet::gpusim {
namespace {

using Kind = WarpOperation::Kind;

// Lanes that wait at the same place with the same mask as `first`.
std::uint32_t company_of(std::span<Running> warp, const Running& first) {
  std::uint32_t lanes = 0;
  for (const Running& other : warp) {
    if (other.state == Running::State::at_warp_operation && other.place() == first.place() &&
        other.thread.waits_for.mask == first.thread.waits_for.mask)
      lanes |= 1U << other.thread.lane;
  }
  return lanes;
}

// The lane that a shuffle reads from, and whether that one lies in its segment (PTX ISA, shfl.sync).
std::uint32_t source_of(const Thread& thread, bool& in_range) {
  const WarpOperation& shuffle = thread.waits_for;
  const std::uint32_t lane = thread.lane;
  const std::uint32_t by = shuffle.b & 31U, clamp = shuffle.c & 31U, segment = shuffle.c >> 8U & 31U;
  const std::uint32_t lowest = lane & segment, highest = lowest | (clamp & ~segment);
  std::uint32_t from = lane;
  if (shuffle.kind == Kind::up) {
    from = lane - by;
    in_range = static_cast<std::int32_t>(from) >= static_cast<std::int32_t>(highest);
  } else {
    from = shuffle.kind == Kind::down        ? lane + by
           : shuffle.kind == Kind::butterfly ? lane ^ by
                                             : lowest | (by & ~segment);
    in_range = from <= highest;
  }
  return in_range ? from : lane;
}

void complete(std::span<Running> warp, std::uint32_t lanes, const Complaint& complain) {
  std::uint32_t votes = 0;
  for (std::uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
    const auto lane = static_cast<std::uint32_t>(std::countr_zero(rest));
    if (warp[lane].thread.waits_for.value != 0) votes |= 1U << lane;
  }
  for (std::uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
    Running& one = warp[static_cast<std::uint32_t>(std::countr_zero(rest))];
    Thread& thread = one.thread;
    one.state = Running::State::ready;
    switch (thread.waits_for.kind) {
      case Kind::ballot:
        thread.result = votes;
        break;
      case Kind::any:
        thread.result = votes != 0 ? 1 : 0;
        break;
      case Kind::all:
        thread.result = votes == lanes ? 1 : 0;
        break;
      case Kind::sync:
        break;
      default:
        const std::uint32_t from = source_of(thread, thread.in_range);
        if ((lanes >> from & 1U) == 0) complain(thread, "a shuffle reads from a lane that does not take part");
        thread.result = from < warp.size() ? warp[from].thread.waits_for.value : 0;
    }
  }
}

}  // namespace

bool complete_warp_operations(std::span<Running> warp, bool give_up, const Complaint& complain) {
  const std::uint32_t there = warp.size() == kWarp ? ~0U : (1U << warp.size()) - 1;
  bool moved = false;
  for (Running& first : warp) {
    if (first.state != Running::State::at_warp_operation) continue;
    const std::uint32_t lanes = company_of(warp, first);
    const std::uint32_t wanted = first.thread.waits_for.mask & there;
    if ((wanted & ~lanes) != 0) {
      if (!give_up) continue;
      complain(first.thread, "a lane that the mask of a warp operation names does not come");
    }
    if ((lanes & ~wanted) != 0)
      complain(first.thread, "a lane takes part in a warp operation whose mask leaves it out");
    complete(warp, lanes, complain);
    moved = true;
  }
  return moved;
}

}  // namespace peaknet::gpusim
