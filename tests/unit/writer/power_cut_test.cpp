#include <gtest/gtest.h>

#include "tests/unit/writer/power_cuts.hpp"

namespace peaknet::test {
namespace {

TEST(PowerCut, EveryAcknowledgedEventIsInOneReadableFile) { expect_to_survive_power_cuts(3, 100); }

}  // namespace
}  // namespace peaknet::test
