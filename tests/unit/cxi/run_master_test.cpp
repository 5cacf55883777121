#include "cxi/run_master.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <fstream>
#include <iostream>

#include "cxi/reader.hpp"
#include "cxi/values.hpp"
#include "tests/support/instance.hpp"
#include "tests/unit/cxi/few_descriptors.hpp"
#include "tests/unit/cxi/samples.hpp"

namespace peaknet::writer {
namespace {

using test::must;
using test::sample_facts;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class RunMasterTest : public ::testing::Test {
 protected:
  std::string finish(int chunk, std::uint64_t first, std::uint64_t events,
                     const FileFacts& facts = sample_facts()) const {
    return test::finish_file(folder_.path(), "1", chunk, first, events, facts).filename();
  }
  std::vector<std::string> texts(const char* name) const {
    const H5Handle file(H5Fopen(master_.path().c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
    return read_texts(file.get(), name).value_or(std::vector<std::string>());
  }
  void expect_events(std::uint64_t first, std::uint64_t count) const {
    const auto reader = must(CxiReader::open(master_.path()));
    ASSERT_EQ(reader.events(), count);
    for (std::uint64_t i = 0; i < count; ++i)
      EXPECT_EQ(test::difference(master_.path(), i, first + i, sample_facts()), "") << i;
  }

  test::TempFolder folder_;
  RunMaster master_{folder_.path(), "p_run1"};
};

TEST_F(RunMasterTest, ItTakesTheRowsOfTheMasterBeforeAndOpensNewFilesAlone) {
  const auto a = finish(0, 0, 3), b = finish(1, 3, 2);
  must(master_.make({a, b}));
  // What is in the way of whoever opens the files again: they are no HDF5 any more, and their images come back later.
  for (const auto& name : {a, b}) {
    std::filesystem::rename(folder_.path() / name, folder_.path() / (name + ".aside"));
    std::ofstream(folder_.path() / name) << "not to be opened";
  }
  const auto c = finish(2, 5, 4);
  must(master_.make({a, b, c}));
  for (const auto& name : {a, b}) std::filesystem::rename(folder_.path() / (name + ".aside"), folder_.path() / name);
  expect_events(0, 9);
  EXPECT_TRUE(master_.shows({a, b, c}));
  EXPECT_FALSE(master_.shows({a, b}));
  EXPECT_FALSE(master_.shows({a, b, c, "p_run1_chunk0009_20261121_101500_000009_w3.cxi"}));
}

TEST_F(RunMasterTest, AFileThatWasFinishedLateIsInItsPlace) {
  const auto a = finish(0, 0, 2), b = finish(1, 2, 3), c = finish(2, 5, 2);
  must(master_.make({a, c}));
  must(master_.make({a, b, c}));
  expect_events(0, 7);
}

TEST_F(RunMasterTest, AFileThatIsGoneIsNamedAndItsEventsAreNotShown) {
  const auto a = finish(0, 0, 2), b = finish(1, 2, 3), c = finish(2, 5, 2);
  must(master_.make({a, b}));
  EXPECT_THAT(texts("/entry_1/peaknet/files/gone"), ElementsAre());
  std::filesystem::remove(folder_.path() / a);
  must(master_.make({b, c}));
  expect_events(2, 5);
  EXPECT_THAT(texts("/entry_1/peaknet/files/gone"), ElementsAre(a));
  must(master_.make({b, c}));
  EXPECT_THAT(texts("/entry_1/peaknet/files/gone"), ElementsAre(a)) << "it is remembered";
  must(master_.make({finish(0, 0, 2), b, c}));
  EXPECT_THAT(texts("/entry_1/peaknet/files/gone"), ElementsAre()) << "it came back";
}

TEST_F(RunMasterTest, OneThatIsDamagedOrOfAnotherVersionIsMadeFromTheFilesAlone) {
  const auto a = finish(0, 0, 2), b = finish(1, 2, 3);
  must(master_.make({a}));
  std::filesystem::resize_file(master_.path(), std::filesystem::file_size(master_.path()) / 2);
  must(master_.make({a, b}));
  expect_events(0, 5);
  std::ofstream(master_.path()) << "no HDF5";
  EXPECT_FALSE(master_.shows({a, b}));
  must(master_.make({a, b}));
  expect_events(0, 5);
}

// HDF5 shows fill values where a file of a master cannot be opened; our reader says so.
TEST_F(RunMasterTest, OurReaderTellsWhichFileOfAnEventIsGone) {
  const auto a = finish(0, 0, 2), b = finish(1, 2, 3);
  must(master_.make({a, b}));
  std::filesystem::remove(folder_.path() / a);
  const auto reader = must(CxiReader::open(master_.path()));
  EXPECT_TRUE(reader.has_images());
  EXPECT_EQ(test::difference(master_.path(), 2, 2, sample_facts()), "");
  const auto read = reader.read(1);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().id, "cxi.not-readable");
  EXPECT_THAT(read.error().what, HasSubstr(a));
}

// Other processes read it while it is made again and again: each sees a whole one, and more events each time.
TEST_F(RunMasterTest, WhoeverReadsItMeanwhileSeesAWholeOne) {
  FilesInTime names{finish(0, 0, 2)};
  must(master_.make(names));
  for (int chunk = 1; chunk < 8; ++chunk) {
    const auto held = must(CxiReader::open(master_.path()));
    names.insert(finish(chunk, 2 * static_cast<std::uint64_t>(chunk), 2));
    must(master_.make(names));
    EXPECT_EQ(held.events(), 2U * static_cast<std::uint64_t>(chunk)) << "the one that was opened stays as it was";
    expect_events(0, 2 * static_cast<std::uint64_t>(chunk) + 2);
  }
}

TEST_F(RunMasterTest, WithFewerDescriptorsThanFilesNoImageIsZeroAndOurReaderHasAll) {
  FilesInTime names;
  test::add_copies(folder_.path(), 60, names);
  must(master_.make(names));
  const std::string seen = test::read_with_descriptors(master_.path(), 120, 32);
  std::cout << seen;
  rlimit all{};
  ::getrlimit(RLIMIT_NOFILE, &all);
  const rlimit few{32, all.rlim_max};
  ::setrlimit(RLIMIT_NOFILE, &few);
  const auto reader = must(CxiReader::open(master_.path()));
  for (std::size_t i = 0; i < reader.events(); ++i) {
    const auto event = must(reader.read(i));
    EXPECT_EQ(event.pixels, test::sample_image(i % 2, sample_facts())) << i;
  }
  ::setrlimit(RLIMIT_NOFILE, &all);
  if (seen == "skipped") GTEST_SKIP() << "h5py is not there";
  EXPECT_THAT(seen, HasSubstr("0 are zero"));
}

}  // namespace
}  // namespace peaknet::writer
