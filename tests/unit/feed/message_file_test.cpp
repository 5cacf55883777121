#include "feed/message_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "feed/replay_source.hpp"
#include "tests/support/instance.hpp"
#include "tests/unit/feed/reader.hpp"
#include "tests/unit/feed/seeds.hpp"

namespace peaknet::feed {
namespace {

using test::fill;
using test::must;
using ::testing::HasSubstr;

std::string write(const std::string& name, const std::vector<std::byte>& bytes) {
  const auto path = test::temporary_file(name);
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  return path;
}

TEST(MessageFile, EveryDialectIsReplayedAsItWouldBeReceived) {
  const auto reader = std::make_shared<MessageReader>(make_decoder({}));
  const auto decoder = make_decoder({});
  std::vector<std::unique_ptr<FrameSource>> files;
  std::vector<test::Arrived> expected;
  for (const auto& seed : test::seeds()) {
    const auto path = write("run_r0_" + std::to_string(files.size()) + "." + seed.dialect, seed.message);
    EXPECT_EQ(begins_as_message(path), seed.dialect != "hdf5");
    files.push_back(must(MessageFileSource::open({path}, test::kSeedFrames, reader)));
    const auto frames = must(decoder->open(seed.message, test::kSeedFrames));
    for (std::uint64_t i = 0; i < frames->size(); ++i) expected.push_back(fill(*frames, i));
  }
  // All of them twice, through one reader that has one of them open at a time.
  ReplaySource replay(std::move(files), 2, 0);
  ASSERT_EQ(replay.size(), 2 * expected.size());
  for (std::uint64_t i = 0; i < replay.size(); ++i) {
    const auto frame = fill(replay, i);
    const auto& same = expected[i % expected.size()];
    EXPECT_EQ(frame.image, same.image) << i;
    EXPECT_EQ(frame.info.timestamp, same.info.timestamp) << i;
    EXPECT_EQ(frame.info.event_id, same.info.event_id) << i;
    EXPECT_EQ(frame.info.source_run_id(), same.info.source_run_id()) << i;
  }
}

TEST(MessageFile, AFileThatIsNoMessageIsNamed) {
  const auto reader = std::make_shared<MessageReader>(make_decoder({}));
  const auto path = write("no message", std::vector<std::byte>(100, std::byte{7}));
  EXPECT_FALSE(begins_as_message(path));
  const auto opened = MessageFileSource::open({path}, test::kSeedFrames, reader);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().id, "dialect.unknown");
  EXPECT_THAT(opened.error().text(), HasSubstr(path));
  EXPECT_EQ(MessageFileSource::open({"/no/such/file"}, test::kSeedFrames, reader).error().id, "input.absent");
}

TEST(MessageFile, AFileThatShrinksBetweenCostsItsFramesAndNothingElse) {
  const auto reader = std::make_shared<MessageReader>(make_decoder({}));
  const auto seeds = test::seeds();
  const auto first = must(MessageFileSource::open({write("first", seeds[0].message)}, test::kSeedFrames, reader));
  const auto second = must(MessageFileSource::open({write("second", seeds[1].message)}, test::kSeedFrames, reader));
  write("first", {});
  EXPECT_EQ(test::fill_error(*first, 0).id, "message.empty");
  EXPECT_NO_THROW(fill(*second, 0));
}

}  // namespace
}  // namespace peaknet::feed
