#include "feed/decoders/rehearsal.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <stdexcept>

namespace peaknet::feed {
namespace {

using std::chrono::milliseconds;

TEST(Rehearsal, TellsHowTheWorkEndsAndNothingOfItIsSeenHere) {
  int seen = 0;
  EXPECT_EQ(rehearse([&] { seen = 1; }, milliseconds(60'000)), Rehearsal::ended);
  EXPECT_EQ(rehearse([] { throw std::runtime_error("thrown"); }, milliseconds(60'000)), Rehearsal::ended);
  EXPECT_EQ(rehearse([] { std::raise(SIGSEGV); }, milliseconds(60'000)), Rehearsal::crashed);
  EXPECT_EQ(rehearse([] { std::abort(); }, milliseconds(60'000)), Rehearsal::crashed);
  EXPECT_EQ(rehearse([] { pause(); }, milliseconds(20)), Rehearsal::hung);
  EXPECT_EQ(seen, 0);
}

}  // namespace
}  // namespace peaknet::feed
