#include "feed/recording.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "feed/input_files.hpp"
#include "tests/support/instance.hpp"
#include "tests/unit/feed/files.hpp"
#include "tests/unit/feed/reader.hpp"
#include "tests/unit/feed/seeds.hpp"

namespace peaknet::feed {
namespace {

using test::must;
using Bytes = std::vector<std::byte>;
namespace fs = std::filesystem;

Bytes text(const std::string& characters) {
  const auto bytes = std::as_bytes(std::span(characters));
  return {bytes.begin(), bytes.end()};
}

std::string file_text(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST(Recording, EachMessageIsAFileAsItCameAndTheListSaysWhen) {
  const auto folder = test::temporary_file("recording of messages");
  auto recording = must(Recording::open({.prefix = folder + "/mfx", .rank = 3, .sync = true}));
  const auto npz = text("PK\x03\x04 one"), other = text("what is this");
  ASSERT_TRUE(recording->keep(npz, 1001).ok());
  ASSERT_TRUE(recording->keep(text("\x89HDF\r\n\x1a\n two"), 1002).ok());
  ASSERT_TRUE(recording
                  ->keep(text("m\xa7"
                              "dtype"),
                         1003)
                  .ok());
  ASSERT_TRUE(recording->keep(other, 1004).ok());
  EXPECT_TRUE(recording->flush().ok());
  EXPECT_EQ(recording->files(), 4U);
  EXPECT_EQ(recording->bytes(), npz.size() + 12 + 7 + other.size());
  EXPECT_EQ(test::read_file(folder + "/mfx_r3_0.npz"), npz);
  EXPECT_EQ(test::read_file(folder + "/mfx_r3_3.bin"), other);
  EXPECT_EQ(file_text(folder + "/mfx_r3.lst"),
            "mfx_r3_0.npz\t1001\nmfx_r3_1.h5\t1002\nmfx_r3_2.cbor\t1003\nmfx_r3_3.bin\t1004\n");
  const auto files = must(input_files({recording->list()}));
  EXPECT_EQ(files[1].path, folder + "/mfx_r3_1.h5");
  EXPECT_EQ(files[1].received_ns, 1002);
}

TEST(Recording, GoesOnWhereAnEarlierOneWasKilled) {
  const auto folder = test::temporary_file("recording that was killed");
  {
    auto recording = must(Recording::open({.prefix = folder + "/mfx"}));
    ASSERT_TRUE(recording->keep(text("one"), 1001).ok());
  }
  // Killed between the file and its line, in the middle of a file, and with half a line (a power cut).
  std::ofstream(folder + "/mfx_r0_1.bin") << "two";
  std::ofstream(folder + "/mfx_r0_2.bin.part") << "thr";
  std::ofstream(folder + "/mfx_r0.lst", std::ios::app) << "mfx_r0_1.b";
  std::ofstream(folder + "/mfx_r1_9.bin") << "of another rank";
  auto recording = must(Recording::open({.prefix = folder + "/mfx"}));
  EXPECT_EQ(recording->files(), 2U);
  EXPECT_EQ(recording->bytes(), 6U);
  ASSERT_TRUE(recording->keep(text("three"), 3003).ok());
  const auto files = must(input_files({recording->list()}));
  ASSERT_EQ(files.size(), 3U);
  EXPECT_EQ(files[0].received_ns, 1001);
  EXPECT_TRUE(files[1].path.ends_with("mfx_r0_1.bin"));
  EXPECT_GT(files[1].received_ns.value_or(0), 1'700'000'000'000'000'000);  // the file's own time
  EXPECT_TRUE(files[2].path.ends_with("mfx_r0_2.bin"));
  EXPECT_EQ(test::read_file(files[2].path), text("three"));
  EXPECT_FALSE(fs::exists(folder + "/mfx_r0_2.bin.part"));
}

TEST(Recording, AFolderThatCannotBeMadeIsAnError) {
  const auto file = test::temporary_file("a file");
  std::ofstream(file) << "x";
  EXPECT_EQ(Recording::open({.prefix = file + "/mfx"}).error().id, "record.cannot-write");
}

}  // namespace
}  // namespace peaknet::feed
