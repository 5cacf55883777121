// The long forms of the writer's promises: 200 kills, 500 power cuts, 1000 full disks. PEAKNET_SOAK_TIMES multiplies
// them (a night: 10).
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/unit/writer/full_disks.hpp"
#include "tests/unit/writer/kill_storm.hpp"
#include "tests/unit/writer/power_cuts.hpp"

namespace peaknet::test {
namespace {

using config::Compression;
using config::Images;

TEST(DurabilitySoak, TwoHundredKillsLoseAndDoubleNothing) {
  expect_to_survive({"One", 1001, 1, 0, 70, Compression::none, Images::hits});
  expect_to_survive({"Compressed", 1002, 1, 0, 65, Compression::bitshuffle_lz4, Images::hits, true});
  expect_to_survive({"Three", 1003, 3, 0, 65, Compression::none, Images::hits});
}

int times() {
  const char* asked = std::getenv("PEAKNET_SOAK_TIMES");
  return asked == nullptr ? 1 : std::atoi(asked);
}

TEST(DurabilitySoak, FiveHundredPowerCutsLoseNothingThatWasAcknowledged) {
  expect_to_survive_power_cuts(500 * times(), 2000);
}

TEST(DurabilitySoak, AThousandFullDisksLoseAndDoubleNothing) { expect_to_survive_full_disks(1000 * times(), 3000); }

}  // namespace
}  // namespace peaknet::test
