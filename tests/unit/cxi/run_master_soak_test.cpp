// A run of 1500 files: its master is made again and again while they come, and read with 256 descriptors.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <iostream>

#include "cxi/run_master.hpp"
#include "tests/support/instance.hpp"
#include "tests/unit/cxi/few_descriptors.hpp"
#include "tests/unit/cxi/samples.hpp"

namespace peaknet::writer {
namespace {

TEST(RunOf1500Files, HasAMasterAllAlongWhoseColumnsAreWholeAndNoImageIsZero) {
  const test::TempFolder folder;
  const RunMaster master(folder.path(), "p_run1");
  FilesInTime names;
  for (std::size_t files = 100; files <= 1500; files += 100) {
    test::add_copies(folder.path(), files, names);
    const auto begun = std::chrono::steady_clock::now();
    test::must(master.make(names));
    const std::chrono::duration<double, std::milli> taken = std::chrono::steady_clock::now() - begun;
    const std::string seen = test::read_with_descriptors(master.path(), 2 * files, 256);
    if (seen == "skipped") GTEST_SKIP() << "h5py is not there";
    std::cout << "master of " << files << " files in " << taken.count() << " ms; " << seen;
    EXPECT_THAT(seen, ::testing::HasSubstr("0 are zero"));
  }
}

}  // namespace
}  // namespace peaknet::writer
