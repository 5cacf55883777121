// Whatever a test of this program does with HDF5 it does under a Guard: the feed's threads share files, and not every
// library is thread-safe.
#include <gtest/gtest.h>

#include "hdf5/guard.hpp"
#include "tests/unit/hdf5/guard_watch.hpp"

namespace peaknet::feed {
namespace {

class EachHdf5CallIsGuarded : public ::testing::Environment {
 public:
  void SetUp() override {
    hdf5::take_for_not_thread_safe();
    test::watch_hdf5_calls();
  }
  void TearDown() override {
    const auto calls = test::hdf5_calls();
    EXPECT_EQ(calls.unguarded, 0U) << "of " << calls.all << ", the first:\n" << calls.first_unguarded;
  }
};

const auto* const environment = ::testing::AddGlobalTestEnvironment(new EachHdf5CallIsGuarded);

}  // namespace
}  // namespace peaknet::feed
