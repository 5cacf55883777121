#include "tests/gpusim/warp_trace.hpp"

#include <gtest/gtest.h>

namespace peaknet::gpusim {
namespace {

TEST(WarpTrace, rounds_of_an_instruction_are_told_apart_lane_by_lane) {
  WarpTrace trace(2);
  for (std::uint32_t lane = 0; lane < kWarp; ++lane) {
    for (std::uint64_t round = 0; round < 3 + lane % 2; ++round)  // odd lanes go round once more
      trace.note(0, lane, 4096 * round + 4 * lane, 4, false);
    trace.note(1, lane, 2 * lane, 2, true);
  }
  Traffic loads, stores;
  trace.finish(loads, stores);
  EXPECT_EQ(loads.instructions, 4U);
  EXPECT_EQ(loads.sectors, 16U);
  EXPECT_EQ(loads.least, 14U);  // 3 times 128 bytes, and 64 bytes that lie in 4 sectors
  EXPECT_EQ(stores.instructions, 1U);
  EXPECT_EQ(stores.sectors, 2U);
  EXPECT_EQ(stores.least, 2U);
  trace.finish(loads, stores);
  EXPECT_EQ(loads.instructions, 4U) << "it was empty again";
}

TEST(WarpTrace, bytes_that_several_lanes_touch_count_once) {
  WarpTrace trace(1);
  for (std::uint32_t lane = 0; lane < kWarp; ++lane)
    trace.note(0, lane, 1000 + 8 * (lane % 4) + lane % 2 * 4, 8, false);
  Traffic loads, stores;
  trace.finish(loads, stores);
  EXPECT_EQ(loads.bytes, 28U);  // from 1000, 1012, 1016 and 1028 on, eight each; 1012 and 1016 share four
  EXPECT_EQ(loads.sectors, 2U);
  EXPECT_EQ(loads.least, 1U);
}

}  // namespace
}  // namespace peaknet::gpusim
