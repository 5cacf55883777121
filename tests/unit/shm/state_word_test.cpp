#include "shm/state_word.hpp"

#include <gtest/gtest.h>

#include <random>

namespace peaknet::shm {
namespace {

TEST(StateWord, every_field_survives_packing) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 10000; ++i) {
    const StateWord word{random() & kMaxSequence, static_cast<std::uint32_t>(random() & 15U),
                         static_cast<std::uint32_t>(random() & 0xfffU), static_cast<SlotState>(random() % kSlotStates)};
    const StateWord back = StateWord::unpack(word.pack());
    ASSERT_EQ(back.sequence, word.sequence);
    ASSERT_EQ(back.attempts, word.attempts);
    ASSERT_EQ(back.owner, word.owner);
    ASSERT_EQ(back.state, word.state);
  }
}

TEST(StateWord, no_field_reaches_into_its_neighbour) {
  EXPECT_EQ((StateWord{kMaxSequence, 0, 0, SlotState::free}.pack()), ~std::uint64_t{0} << 20);
  EXPECT_EQ((StateWord{0, 15, 0, SlotState::free}.pack()), std::uint64_t{0xf0000});
  EXPECT_EQ((StateWord{0, 0, 0xfff, SlotState::free}.pack()), std::uint64_t{0xfff0});
  EXPECT_EQ((StateWord{0, 99, 0xfffff, SlotState::ready}.pack() >> 20), 0U) << "too large values are cut, not carried";
}

TEST(StateWord, fresh_memory_is_a_free_slot) {
  const StateWord word = StateWord::unpack(0);
  EXPECT_EQ(word.state, SlotState::free);
  EXPECT_FALSE(word.held());
}

TEST(StateWord, exactly_the_owned_states_are_held) {
  for (int state = 0; state < kSlotStates; ++state) {
    const StateWord word{1, 0, 1, static_cast<SlotState>(state)};
    const bool owned =
        word.state == SlotState::filling || word.state == SlotState::inferring || word.state == SlotState::writing;
    EXPECT_EQ(word.held(), owned) << name(word.state);
  }
  EXPECT_STREQ(name(static_cast<SlotState>(9)), "impossible");
}

}  // namespace
}  // namespace peaknet::shm
