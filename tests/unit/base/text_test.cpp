#include "base/text.hpp"

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace peaknet {
namespace {

const std::array<std::string, 4> kVerbs = {"start", "stop", "stats", "status"};

TEST(Nearest, finds_the_word_that_was_meant) {
  EXPECT_EQ(nearest("strat", kVerbs), "start");
  EXPECT_EQ(nearest("sttatus", kVerbs), "status");
  EXPECT_EQ(nearest("stp", kVerbs), "stop");
}

TEST(Nearest, guesses_nothing_from_a_word_that_is_far_from_all) {
  EXPECT_EQ(nearest("rebuffer", kVerbs), "");
  EXPECT_EQ(nearest("anything", {}), "");
}

TEST(HumanBytes, uses_the_unit_that_fits) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(1023), "1023 B");
  EXPECT_EQ(human_bytes(1536), "1.50 KiB");
  EXPECT_EQ(human_bytes(3ULL << 30), "3.00 GiB");
}

TEST(PlainName, is_what_can_be_part_of_a_file_name) {
  for (const char* good : {"a", "run_0217", "x.y-z", "0"}) EXPECT_TRUE(is_plain_name(good, 16)) << good;
  for (const char* bad : {"", ".hidden", "-x", "a/b", "a b", "a\n", "\xc3\xa4", "seventeen_letters"}) {
    EXPECT_FALSE(is_plain_name(bad, 16)) << bad;
  }
}

}  // namespace
}  // namespace peaknet
