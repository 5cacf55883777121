// The state word: the whole truth about one slot, in one 64-bit atomic.
//
//   bits 63..20  sequence   order stamp of the claim that filled the slot; never used twice by one instance
//   bits 19..16  attempts   how often the frame was taken from an owner that died (redelivery)
//   bits 15..4   owner      participant that may touch the slot's bytes now; 0 where nobody owns it
//   bits  3..0   state
//
// Every operation on a slot is one compare-exchange of this word, with the full old word expected. The owner is inside
// the word, so a process may die between any two instructions and whoever looks later knows what it held. A word is
// never the same twice: the sequence is new with every claim.
//
// The life of a slot (docs/design.md, section 4):
//   FREE -> FILLING -> READY (waits in Q1) -> INFERRING -> DONE (waits in Q2) -> WRITING -> FREE
//   READY -> FILLING (policy drop_oldest);  INFERRING | WRITING -> QUARANTINED (took its owner down too often) -> FREE
//   FILLING -> FREE, INFERRING -> READY, WRITING -> DONE when the owner died or gave the frame back
#pragma once

#include <cstdint>

namespace peaknet::shm {

enum class SlotState : std::uint8_t {
  free = 0,
  filling = 1,
  ready = 2,
  inferring = 3,
  done = 4,
  writing = 5,
  quarantined = 6,
};
inline constexpr int kSlotStates = 7;
inline constexpr std::uint32_t kMaxAttempts = 3;  // a frame that took down three owners goes to QUARANTINED
inline constexpr std::uint64_t kMaxSequence = (std::uint64_t{1} << 44) - 1;

constexpr const char* name(SlotState state) {
  constexpr const char* kNames[kSlotStates] = {"free", "filling", "ready",      "inferring",
                                               "done", "writing", "quarantined"};
  return static_cast<int>(state) < kSlotStates ? kNames[static_cast<int>(state)] : "impossible";
}

struct StateWord {
  std::uint64_t sequence = 0;
  std::uint32_t attempts = 0;
  std::uint32_t owner = 0;
  SlotState state = SlotState::free;

  constexpr std::uint64_t pack() const {
    return sequence << 20 | std::uint64_t{attempts & 15U} << 16 | std::uint64_t{owner & 0xfffU} << 4 |
           static_cast<std::uint64_t>(state);
  }
  static constexpr StateWord unpack(std::uint64_t word) {
    return {word >> 20, static_cast<std::uint32_t>(word >> 16 & 15U), static_cast<std::uint32_t>(word >> 4 & 0xfffU),
            static_cast<SlotState>(word & 15U)};
  }
  // A slot that a living owner holds; nobody else may change the word.
  constexpr bool held() const {
    return state == SlotState::filling || state == SlotState::inferring || state == SlotState::writing;
  }
};

}  // namespace peaknet::shm
