// The long forms of the writer's promises: 200 kills, 50 power cuts.
#include <gtest/gtest.h>

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

TEST(DurabilitySoak, FiftyPowerCutsLoseNothingThatWasAcknowledged) { expect_to_survive_power_cuts(50, 2000); }

}  // namespace
}  // namespace peaknet::test
