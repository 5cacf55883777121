// Which operation may be asked for while which goes on: the one table of the daemon. Pure; any thread.
#pragma once

#include <array>
#include <cstdint>

#include "daemon/supervisor/operations/operation.hpp"

namespace peaknet::supervisor {

enum class Rule : std::uint8_t {
  together,  // both go on
  busy,      // what is asked for is refused at once; what goes on continues
  first,     // what is asked for comes first: the other makes way, or it waits for the other's end
  state,     // the state of the run decides (run_control.hpp), which is the trace of the other
};

namespace exclusion {
inline constexpr Rule T = Rule::together, B = Rule::busy, F = Rule::first, S = Rule::state;
inline constexpr std::array<std::array<Rule, kOperationKinds>, kOperationKinds> kTable = {{
    // goes on:         start drain rebuffer model_load pool_migration reload
    /* start          */ {{S, S, T, T, T, T}},
    /* drain          */ {{S, S, T, T, F, T}},
    /* rebuffer       */ {{T, T, T, T, B, T}},
    /* model_load     */ {{T, T, T, T, B, T}},
    /* pool_migration */ {{S, S, B, B, B, B}},
    /* reload         */ {{T, T, B, B, B, B}},
}};
}  // namespace exclusion

constexpr Rule rule_for(OperationKind asked, OperationKind goes_on) {
  return exclusion::kTable[static_cast<std::size_t>(asked)][static_cast<std::size_t>(goes_on)];
}

}  // namespace peaknet::supervisor
