#include "feed/hdf5_rehearsal.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <memory>

#include "feed/hdf5_source.hpp"
#include "feed/replay_inputs.hpp"
#include "tests/unit/feed/files.hpp"
#include "tests/unit/feed/reader.hpp"

namespace peaknet::feed {
namespace {

using std::chrono::milliseconds;
using test::counting;
using test::FileWriter;
using test::temporary_file;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

constexpr shm::Geometry kImage{8, 1, 20, 30, PixelType::uint16};
constexpr std::size_t kPixels = std::size_t{20} * 30;

std::string sound_file(const std::string& name) {
  return FileWriter(temporary_file(name))
      .add("/data", {2, 20, 30}, counting<std::uint16_t>(2 * kPixels), {.chunk = {1, 20, 30}, .gzip = 1})
      .path();
}

// A library that some files end: by their names.
Status fragile(const std::string& path, const shm::Geometry&) {
  if (path.find("crash") != std::string::npos) std::raise(SIGSEGV);
  if (path.find("abort") != std::string::npos) std::abort();
  for (; path.find("endless") != std::string::npos;) pause();
  return {};
}

TEST(Hdf5Rehearsal, AFileThatEndsTheLibraryIsRefusedByItsNameAndTheNextOneIsLookedAt) {
  Hdf5Rehearsal rehearsal(fragile, milliseconds(200));
  for (const std::string name : {"crash.h5", "abort.h5", "endless.h5"}) {
    const auto seen = rehearsal.look(name, kImage);
    ASSERT_FALSE(seen.ok()) << name;
    EXPECT_EQ(seen.error().id, "file.unreadable");
    EXPECT_THAT(
        seen.error().text(),
        AllOf(HasSubstr(name), HasSubstr(name == "endless.h5" ? "run without end" : "crash"), HasSubstr("--skip-bad")));
    EXPECT_TRUE(rehearsal.look("sound.h5", kImage).ok());
  }
}

TEST(Hdf5Rehearsal, AReplayGoesOnWithoutAFileThatEndsTheLibrary) {
  Hdf5Rehearsal rehearsal(fragile, milliseconds(200));
  FeedCounters tally;
  Refusals refusals(tally, nullptr);
  const std::vector<std::string> files = {sound_file("first.h5"), sound_file("crash.h5"), sound_file("last.h5")};
  const auto open = [&](BadFrames bad) {
    ReplayReading reading;
    reading.bad = bad;
    reading.rehearsal = &rehearsal;
    return ReplayInputs(std::move(reading), kImage, make_decoder({}), tally, refusals).open(files);
  };
  const auto ended = open(BadFrames::end);
  ASSERT_FALSE(ended.ok());
  EXPECT_THAT(ended.error().what, HasSubstr("crash.h5"));
  const auto sources = test::must(open(BadFrames::skip));
  ASSERT_EQ(sources.size(), 2U);
  EXPECT_EQ(test::fill(*sources[1], 1).pixels<std::uint16_t>().size(), kPixels);
  EXPECT_THAT(tally.counts().failed, ElementsAre(Pair("file.unreadable", 1)));
}

TEST(Hdf5Rehearsal, WhatOpeningAFileSaysIsSaidInTheSameWords) {
  Hdf5Rehearsal rehearsal("", false);
  EXPECT_TRUE(rehearsal.look(sound_file("sound.h5"), kImage).ok());
  const auto no_images = FileWriter(temporary_file("facts.h5")).add<double>("/energy", {2}, {1, 2}).path();
  const std::string no_file = temporary_file("absent.h5"), text = temporary_file("text.h5");
  std::ofstream(text) << "no HDF5 file";
  for (const std::string& path : {no_images, no_file, text, sound_file("other shape.h5")}) {
    const shm::Geometry frames =
        path.find("other") == std::string::npos ? kImage : shm::Geometry{8, 3, 7, 5, PixelType::uint16};
    const auto seen = rehearsal.look(path, frames);
    const auto opened = Hdf5Source::open(path, "", frames, Narrowing::refuse);
    ASSERT_FALSE(seen.ok()) << path;
    ASSERT_FALSE(opened.ok()) << path;
    EXPECT_EQ(seen.error().text(), opened.error().text());
  }
}

// The fields of a chunk's place, of a filter's own and of a header: whatever a replay asks for is asked for there.
TEST(Hdf5Rehearsal, ChunksOfEveryKindAndVirtualDatasetsAreLookedThrough) {
  const auto parts = FileWriter(temporary_file("parts.h5"))
                         .add("/chunks", {3, 20, 30}, counting<std::uint16_t>(3 * kPixels), {.chunk = {2, 7, 30}})
                         .add("/header", {20, 30}, counting<std::uint16_t>(kPixels), {.compact = true})
                         .add("/whole", {3, 20, 30}, counting<std::uint16_t>(3 * kPixels))
                         .path();
  for (const std::string dataset : {"/chunks", "/header", "/whole"}) {
    Hdf5Rehearsal rehearsal(dataset, false);
    EXPECT_TRUE(rehearsal.look(parts, kImage).ok()) << dataset;
    const auto source = test::must(Hdf5Source::open(parts, dataset, kImage, Narrowing::refuse));
    source->look_through();
    EXPECT_EQ(test::fill(*source, 0).pixels<std::uint16_t>(), counting<std::uint16_t>(kPixels)) << dataset;
  }
}

}  // namespace
}  // namespace peaknet::feed
