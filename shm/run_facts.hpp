// RunFacts: what was said of a run when it began, in the control segment (RunFactsRecord), so that whoever names or
// describes its files has it. What was not said is absent: no number is not the number 0.
//
// Threads: one thread of the daemon enters, anybody reads. After a crash: what was entered is there; a record that was
// being written is none.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "shm/layout.hpp"

namespace peaknet::shm {

inline constexpr std::uint32_t kMaxRunNumber = 2'147'483'647;
inline constexpr std::size_t kMaxProposal = 31, kMaxUserText = 127;  // bytes

struct RunFacts {
  std::optional<std::uint32_t> number;  // that the facility gave it
  std::string proposal, user;           // "": not said
  bool operator==(const RunFacts&) const = default;
  bool any() const { return number || !proposal.empty() || !user.empty(); }
};

// Of the run with that ordinal (RunRecord), which each run has, also one of which nothing was said. Said once more, it
// takes the place of what was said before.
void enter_run_facts(ControlLayout& layout, std::uint64_t ordinal, const std::string& run, const RunFacts& facts);

// Of the newest run of that id. Nothing in them: nothing was said, or kRunFacts others came after it.
RunFacts run_facts_of(const ControlLayout& layout, const std::string& run);

}  // namespace peaknet::shm
