// The writer uses HDF5 from three threads: the one that takes frames, the one that finishes a file, the one that keeps
// the run's lists and masters. With a library that is not thread-safe each call has to be made under a Guard.
#include <gtest/gtest.h>

#include "cxi/reader.hpp"
#include "hdf5/guard.hpp"
#include "tests/unit/cxi/samples.hpp"
#include "tests/unit/hdf5/guard_watch.hpp"
#include "tests/unit/writer/stage.hpp"

namespace peaknet::writer {
namespace {

class WriterHdf5 : public ::testing::TestWithParam<config::Compression> {};

TEST_P(WriterHdf5, IsCalledUnderAGuardByEveryThread) {
  hdf5::take_for_not_thread_safe();
  test::Stage stage;
  test::TempFolder folder;
  auto settings = stage.settings(folder.path());
  settings.output.compression = GetParam();
  settings.output.segmentation = true;
  settings.output.events_per_file = 5;
  test::watch_hdf5_calls();
  {
    test::WriterThread writer(settings);
    for (std::uint64_t i = 0; i < 60; ++i) ASSERT_TRUE(stage.feed({.number = i}));
    ASSERT_TRUE(stage.close_files());
    writer.stop();
    EXPECT_EQ(writer.failure(), "");
  }
  const auto files = test::finished_files(folder.path());
  EXPECT_EQ(files.size(), 12U);
  for (const auto& path : files) {
    const auto reader = CxiReader::open(path);
    ASSERT_TRUE(reader) << reader.error().text();
    for (std::size_t event = 0; event < reader->events(); ++event) EXPECT_TRUE(reader->read(event));
    (void)reader->no_data();
  }
  EXPECT_EQ(test::audit_problems(folder.path()), "");
  const auto calls = test::hdf5_calls();
  if (calls.all == 0) GTEST_SKIP() << "this HDF5 does not let a test see its calls";
  EXPECT_EQ(calls.unguarded, 0U) << "of " << calls.all << ", the first:\n" << calls.first_unguarded;
}

INSTANTIATE_TEST_SUITE_P(Stored, WriterHdf5,
                         ::testing::Values(config::Compression::none, config::Compression::bitshuffle_lz4),
                         [](const auto& which) {
                           return which.param == config::Compression::none ? "Plain" : "Compressed";
                         });

}  // namespace
}  // namespace peaknet::writer
