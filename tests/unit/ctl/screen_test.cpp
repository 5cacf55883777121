#include "ctl/screen.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace peaknet::ctl {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> keys(std::string typed) {
  std::vector<std::string> taken;
  while (!typed.empty()) taken.push_back(take_key(typed));
  return taken;
}

TEST(Screen, keys_typed_at_once_come_one_after_another_and_none_is_lost) {
  EXPECT_THAT(keys("oq"), ElementsAre("o", "q"));
  EXPECT_THAT(keys("d\x1b[Bk\x1b[6~\x1bOAe"), ElementsAre("d", "\x1b[B", "k", "\x1b[6~", "\x1bOA", "e"));
  EXPECT_THAT(keys("\x1b[1;5Aq"), ElementsAre("\x1b[1;5A", "q")) << "with its parameters";
}

TEST(Screen, an_escape_sequence_that_is_cut_off_is_a_key_of_its_own) {
  EXPECT_THAT(keys("\x1b"), ElementsAre("\x1b"));
  EXPECT_THAT(keys("q\x1b["), ElementsAre("q", "\x1b["));
  EXPECT_THAT(keys("\x1bO"), ElementsAre("\x1bO"));
}

}  // namespace
}  // namespace peaknet::ctl
