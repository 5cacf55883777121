// A stream recorded through real sockets.
#include "feed/record.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

#include "feed/input_files.hpp"
#include "tests/support/child.hpp"
#include "tests/unit/feed/files.hpp"
#include "tests/unit/feed/reader.hpp"
#include "tests/unit/feed/stream.hpp"

namespace peaknet::feed {
namespace {

using test::must;
using test::Sender;
using ::testing::ElementsAre;
using ::testing::Pair;
using Bytes = std::vector<std::byte>;

class Recordings {
 public:
  explicit Recordings(RecordOptions options) {
    options.endpoints = {"bind tcp://127.0.0.1:*"};
    recorder_ = must(Recorder::open(options));
    thread_ = std::jthread([this] { error_ = recorder_->run(stop_.get_token()); });
  }
  std::string address() const { return recorder_->addresses().front(); }
  std::string list() const { return recorder_->list(); }
  void stop() { stop_.request_stop(); }
  RecordCounts end() {
    thread_.join();
    return recorder_->counts();
  }
  RecordCounts so_far() const { return recorder_->counts(); }
  const std::optional<Error>& error() const { return error_; }

 private:
  std::stop_source stop_;
  std::optional<Error> error_;
  std::unique_ptr<Recorder> recorder_;
  std::jthread thread_;
};

TEST(Record, KeepsWhatComesUntilItIsStoppedAndDrains) {
  const auto folder = test::temporary_file("all that comes");
  Recordings recording({.endpoints = {}, .recording = {.prefix = folder + "/mfx"}});
  Sender sender(recording.address());
  for (int i = 0; i < 20; ++i) sender.send(Bytes(1000, std::byte(i)));
  sender.send(Bytes(3, std::byte{1}), zmq::send_flags::sndmore);
  sender.send(Bytes(3, std::byte{2}));
  ASSERT_TRUE(test::eventually([&] { return recording.so_far().messages == 21; }));
  recording.stop();
  const auto counts = recording.end();
  EXPECT_FALSE(recording.error());
  EXPECT_EQ(counts.stored, 20U);
  EXPECT_EQ(counts.bytes, 20'000U);
  EXPECT_THAT(counts.failed, ElementsAre(Pair("message.multipart", 1)));
  const auto files = must(input_files({recording.list()}));
  ASSERT_EQ(files.size(), 20U);
  for (std::size_t i = 0; i < files.size(); ++i) {
    EXPECT_EQ(test::read_file(files[i].path), Bytes(1000, std::byte(i)));
    EXPECT_GE(files[i].received_ns, files[i == 0 ? 0 : i - 1].received_ns);
  }
}

TEST(Record, EndsAtItsLimitsAndCountsWhatWasOnItsWay) {
  const auto folder = test::temporary_file("so much and no more");
  for (const auto& options :
       {RecordOptions{.endpoints = {}, .recording = {.prefix = folder + "/a"}, .most_messages = 3},
        RecordOptions{.endpoints = {}, .recording = {.prefix = folder + "/b"}, .most_bytes = 2500}}) {
    Recordings recording(options);
    Sender sender(recording.address());
    for (int i = 0; i < 5; ++i) sender.send(Bytes(1000, std::byte(i)));
    const auto counts = recording.end();
    EXPECT_EQ(counts.stored, 3U);
    EXPECT_EQ(counts.messages, 3 + (counts.failed.contains("record.limit") ? counts.failed.at("record.limit") : 0));
    EXPECT_FALSE(recording.error());
    EXPECT_EQ(must(input_files({recording.list()})).size(), 3U);
    // The limit is that of the recording: started again it takes nothing.
    Recordings again(options);
    EXPECT_EQ(again.end().stored, 0U);
  }
}

TEST(Record, ASilenceEndsItWhereThatIsAsked) {
  const auto folder = test::temporary_file("silence");
  Recordings recording(
      {.endpoints = {}, .recording = {.prefix = folder + "/mfx"}, .idle = std::chrono::milliseconds(50)});
  EXPECT_EQ(recording.end().messages, 0U);
}

TEST(Record, ADiskThatFailsEndsItWithItsError) {
  const auto folder = test::temporary_file("a disk that fails");
  Recordings recording({.endpoints = {}, .recording = {.prefix = folder + "/mfx"}});
  // Where the first file is to be, there is a folder that cannot be replaced.
  std::filesystem::create_directories(folder + "/mfx_r0_0.bin/full");
  Sender sender(recording.address());
  sender.send(Bytes(10, std::byte{1}));
  const auto counts = recording.end();
  EXPECT_EQ(counts.stored, 0U);
  EXPECT_THAT(counts.failed, ElementsAre(Pair("record.cannot-write", 1)));
  ASSERT_TRUE(recording.error());
  EXPECT_EQ(recording.error()->id, "record.cannot-write");
  EXPECT_FALSE(std::filesystem::exists(folder + "/mfx_r0_0.bin.part"));
}

}  // namespace
}  // namespace peaknet::feed
