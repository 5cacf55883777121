// Real PULL and PUSH sockets, as lclstreamer uses them, into a real pool.
#include "feed/listen.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <sstream>
#include <thread>

#include "shm/errors.hpp"
#include "tests/unit/feed/files.hpp"
#include "tests/unit/feed/messages.hpp"
#include "tests/unit/feed/packing.hpp"
#include "tests/unit/feed/reader.hpp"
#include "tests/unit/feed/stream.hpp"

namespace peaknet::feed {
namespace {

using shm::Counter;
using test::Listening;
using test::must;
using test::NpzWriter;
using test::Sender;
using test::TestInstance;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

constexpr shm::Geometry kFrames{32, 1, 16, 24, PixelType::float32};
constexpr std::size_t kPixels = std::size_t{16} * 24;
using Bytes = std::vector<std::byte>;

// `events` images whose every pixel is `value`, and 0.127 nm.
Bytes message(float value, std::uint64_t events = 2, bool deflate = false) {
  return NpzWriter(deflate)
      .add<float>("detector_data", {events, 1, 16, 24}, std::vector<float>(events * kPixels, value))
      .add<double>("photon_wavelength", {events}, std::vector<double>(events, 0.127))
      .bytes();
}

TEST(Listen, EventsOfAllMessagesArriveOneASlot) {
  const TestInstance instance({.geometry = kFrames});
  Listening listening(instance, {.endpoints = {}, .count = 9});
  Sender sender(listening.address());
  for (int i = 0; i < 4; ++i) sender.send(message(static_cast<float>(i), 2, i % 2 == 1));
  sender.send(message(4.0F, 1));  // a rank's last, partial batch
  const Counts counts = listening.end();
  EXPECT_EQ(counts.committed, 9U);
  EXPECT_EQ(counts.messages, 5U);
  EXPECT_TRUE(counts.failed.empty());
  const auto arrived = test::Reader(instance).take();
  ASSERT_EQ(arrived.size(), 9U);
  for (std::size_t i = 0; i < 9; ++i) {
    EXPECT_EQ(arrived[i].pixels<float>(), std::vector<float>(kPixels, static_cast<float>(i / 2)));
    EXPECT_EQ(arrived[i].info.event_id, i);
    EXPECT_EQ(arrived[i].info.user[0], i / 2);
    EXPECT_EQ(arrived[i].info.user[1], i % 2);
    EXPECT_NEAR(arrived[i].info.photon_energy_ev, 9762.5, 0.5);
  }
  EXPECT_BALANCED(instance);
}

TEST(Listen, DeflatedMessagesArriveWholeWhetherSlotsAreFreeSideBySideOrNot) {
  constexpr shm::Geometry kPages{14, 1, 32, 32, PixelType::float32};  // an image is a page
  const TestInstance instance({.geometry = kPages});
  Listening listening(instance, {.endpoints = {}, .count = 300}, 2);
  Sender sender(listening.address());
  std::jthread sending([&] {
    for (int i = 0; i < 100; ++i) {
      sender.send(NpzWriter(true)
                      .add<float>("detector_data", {3, 1, 32, 32},
                                  std::vector<float>(std::size_t{3} * 32 * 32, static_cast<float>(i)))
                      .bytes());
    }
  });
  std::map<float, int> events;
  test::Reader reader(instance);
  for (int arrived = 0; arrived < 300;) {
    for (const auto& frame : reader.take()) {
      const auto pixels = frame.pixels<float>();
      EXPECT_EQ(pixels, std::vector<float>(32 * 32, pixels[0]));
      ++events[pixels[0]];
      ++arrived;
    }
  }
  EXPECT_EQ(listening.end().committed, 300U);
  EXPECT_EQ(events.size(), 100U);
  EXPECT_TRUE(std::all_of(events.begin(), events.end(), [](const auto& event) { return event.second == 3; }));
  EXPECT_BALANCED(instance);
}

TEST(Listen, BadMessagesAreCountedByCauseKeptForPeopleAndTheNextIsServed) {
  const TestInstance instance({.geometry = kFrames});
  const auto folder = test::temporary_file("quarantine");
  ListenOptions options;
  options.count = 9;
  options.quarantine = folder;
  Listening listening(instance, options);
  Sender sender(listening.address());
  sender.send({});
  sender.send(Bytes(100, std::byte{7}));
  sender.send(message(1.0F));
  auto flipped = message(2.0F);
  flipped[300] ^= std::byte{4};
  sender.send(flipped);
  sender.send(NpzWriter().add<float>("other", {1}, {1.0F}).bytes());
  sender.send(NpzWriter().add<float>("detector_data", {1, 1, 16, 25}, std::vector<float>(400)).bytes());
  Bytes simplon(20, std::byte{0});
  std::memcpy(simplon.data(),
              "m\xa7"
              "dtypeeimage",
              13);
  sender.send(simplon);
  sender.send(message(3.0F, 1));
  const Counts counts = listening.end();
  EXPECT_EQ(counts.committed, 3U);
  EXPECT_THAT(counts.failed, UnorderedElementsAre(Pair("message.empty", 1), Pair("dialect.unknown", 1),
                                                  Pair("npz.damaged", 1), Pair("message.missing-field", 1),
                                                  Pair("frame.shape", 1), Pair("simplon.damaged", 1)));
  EXPECT_EQ(test::Reader(instance).take().size(), 3U);
  for (const auto& [cause, n] : counts.failed)
    EXPECT_TRUE(std::filesystem::exists(folder + "/" + cause + ".0.bin")) << cause;
  EXPECT_EQ(test::read_file(folder + "/npz.damaged.0.bin"), flipped);
}

TEST(Listen, ADecoderThatThrowsCostsItsMessageAlone) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizers end a program that asks for this much memory";
#endif
  const TestInstance instance({.geometry = kFrames});
  ListenOptions options;
  options.count = 3;
  DecodeOptions decode;
  decode.limits.unpacked_bytes = std::size_t{1} << 62;
  decode.limits.events = std::uint64_t{1} << 50;
  Listening listening(instance, options, 1, decode);
  Sender sender(listening.address());
  // More memory than there is addresses for, which the limits of this feed would allow.
  const std::uint64_t events = std::uint64_t{1} << 48;
  const auto member = NpzWriter::npy(NpzWriter::header("<f4", {events, 1, 16, 24}), Bytes(1000));
  const std::uint64_t head = member.size() - 1000;
  sender.send(NpzWriter(true).add_member("detector_data.npy", member, head + events * 4 * kPixels).bytes());
  sender.send(message(3.0F));
  const Counts counts = listening.end();
  EXPECT_EQ(counts.committed, 2U);
  EXPECT_THAT(counts.failed, ElementsAre(Pair("decoder.threw", 1)));
}

TEST(Listen, AFolderForBadMessagesThatCannotBeMadeEndsItBeforeItBegins) {
  ListenOptions options;
  options.endpoints = {"bind tcp://127.0.0.1:*"};
  options.quarantine = "/proc/no/such";
  EXPECT_EQ(Listener::open(options, {1, {}}).error().id, "rejected.folder");
}

TEST(Listen, AMessageOfSeveralPartsIsRefusedAsAWhole) {
  const TestInstance instance({.geometry = kFrames});
  Listening listening(instance, {.endpoints = {}, .count = 1});
  Sender sender(listening.address());
  sender.send(message(1.0F), zmq::send_flags::sndmore);
  sender.send(message(2.0F), zmq::send_flags::sndmore);
  sender.send(message(3.0F));
  sender.send(message(4.0F, 1));
  const Counts counts = listening.end();
  EXPECT_THAT(counts.failed, ElementsAre(Pair("message.multipart", 1)));
  EXPECT_EQ(counts.committed, 1U);
}

// What is logged while this lives.
class Log {
 public:
  Log() : before_(spdlog::default_logger()) {
    spdlog::set_default_logger(
        std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(text_)));
  }
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;
  ~Log() { spdlog::set_default_logger(before_); }
  int times(const std::string& id) const {
    int found = 0;
    const std::string text = text_.str();
    for (auto at = text.find(id); at != std::string::npos; at = text.find(id, at + 1)) ++found;
    return found;
  }

 private:
  std::ostringstream text_;
  std::shared_ptr<spdlog::logger> before_;
};

TEST(Listen, ThatNobodyHasComeIsSaidOnce) {
  const TestInstance instance({.geometry = kFrames});
  const Log log;
  ListenOptions options;
  options.idle = std::chrono::milliseconds(200);
  options.patience = std::chrono::milliseconds(1);
  Listening(instance, options).end();
  EXPECT_EQ(log.times("[listen.no-sender]"), 1);
}

TEST(Listen, ThatMessagesCarryNoEnergyIsSaidOnceAndTheirImagesAreTaken) {
  const TestInstance instance({.geometry = kFrames});
  const Log log;
  Listening listening(instance, {.endpoints = {}, .count = 5});
  Sender sender(listening.address());
  sender.send(message(1.0F, 1));
  EXPECT_EQ(log.times("[message.no-energy]"), 0);
  for (int i = 0; i < 2; ++i)
    sender.send(NpzWriter().add<float>("detector_data", {2, 1, 16, 24}, std::vector<float>(2 * kPixels)).bytes());
  EXPECT_EQ(listening.end().committed, 5U);
  EXPECT_EQ(log.times("[message.no-energy]"), 1);
  EXPECT_EQ(log.times("[listen.no-sender]"), 0);
}

TEST(Listen, TheStreamsOfDectrisAreRefusedByTheirNames) {
  const TestInstance instance({.geometry = kFrames});
  Listening listening(instance, {.endpoints = {}, .count = 2});
  Sender sender(listening.address());
  const auto bytes = [](const std::string& text) {
    return test::bytes_of(std::vector<char>(text.begin(), text.end()));
  };
  sender.send(bytes("{\"htype\": \"dimage-1.0\", \"series\": 1}"), zmq::send_flags::sndmore);
  sender.send(bytes("{\"htype\": \"dimage_d-1.0\"}"), zmq::send_flags::sndmore);
  sender.send(message(1.0F));
  sender.send(
      bytes("\xd9\xd9\xf7\xa2"
            "dtypeeimage"));
  sender.send(message(1.0F, 1));
  const Counts counts = listening.end();
  EXPECT_THAT(counts.failed, UnorderedElementsAre(Pair("message.dectris-1", 1), Pair("dialect.dectris-2", 1)));
  EXPECT_EQ(counts.committed, 1U);
}

TEST(Listen, EachRefusalIsCountedInTheInstanceByItsCause) {
  const TestInstance instance({.geometry = kFrames});
  Listening listening(instance, {.endpoints = {}, .count = 6});
  Sender sender(listening.address());
  for (int i = 0; i < 4; ++i) sender.send(Bytes(100, std::byte{7}));
  sender.send({});
  sender.send(message(1.0F, 1));
  listening.end();
  std::map<std::string, std::uint64_t> causes;
  for (const auto& kind : shm::read_errors(instance.control_segment())) causes[kind.id] = kind.count;
  EXPECT_THAT(causes, UnorderedElementsAre(Pair("dialect.unknown", 4), Pair("message.empty", 1)));
}

TEST(Listen, OneEventThatDoesNotFitCostsThatEventAlone) {
  shm::Geometry integers = kFrames;
  integers.pixel_type = PixelType::uint16;
  const TestInstance instance({.geometry = integers});
  Listening listening(instance, {.endpoints = {}, .count = 3});
  Sender sender(listening.address());
  std::vector<float> values(3 * kPixels, 5.0F);
  values[kPixels + 7] = 0.5F;
  sender.send(NpzWriter().add<float>("detector_data", {3, 1, 16, 24}, values).bytes());
  const Counts counts = listening.end();
  EXPECT_EQ(counts.committed, 2U);
  EXPECT_THAT(counts.failed, ElementsAre(Pair("frame.value", 1)));
  EXPECT_EQ(instance.total(Counter::aborted), 1U);
}

TEST(Listen, SeveralEndpointsBoundAndConnectedAreOneStream) {
  const TestInstance instance({.geometry = kFrames});
  Sender server("tcp://127.0.0.1:*", true);
  Listening listening(instance, {.endpoints = {"bind tcp://127.0.0.1:*", "connect " + server.address()}, .count = 4});
  Sender client(listening.address());
  client.send(message(1.0F));
  server.send(message(2.0F));
  EXPECT_EQ(listening.end().committed, 4U);
}

TEST(Listen, DecoderThreadsShareTheMessagesAndEveryEventArrivesOnce) {
  const TestInstance instance({.geometry = kFrames});
  Listening listening(instance, {.endpoints = {}, .count = 200}, 3);
  std::jthread sending([address = listening.address()] {
    std::vector<std::jthread> ranks;
    for (int rank = 0; rank < 4; ++rank) {
      ranks.emplace_back([&address, rank] {
        Sender sender(address);
        for (int i = 0; i < 25; ++i) sender.send(message(static_cast<float>(100 * rank + i), 2, true));
      });
    }
  });
  test::Reader reader(instance);
  std::map<float, int> seen;
  std::map<std::uint64_t, int> ids;
  for (std::size_t got = 0; got < 200;) {
    for (const auto& frame : reader.take()) {
      ++seen[frame.pixels<float>().front()];
      ++ids[frame.info.event_id];
      ++got;
    }
    std::this_thread::yield();
  }
  EXPECT_EQ(listening.end().committed, 200U);
  EXPECT_EQ(seen.size(), 100U);
  for (const auto& [value, times] : seen) EXPECT_EQ(times, 2) << value;
  EXPECT_EQ(ids.size(), 200U);
  EXPECT_EQ(ids.rbegin()->first, 199U);
  EXPECT_BALANCED(instance);
}

TEST(Listen, AFullPoolHoldsTheSendersAndNothingIsLost) {
  shm::Geometry few = kFrames;
  few.slots = 2;
  const TestInstance instance({.geometry = few});
  Listening listening(instance, {.endpoints = {}, .count = 80});
  std::jthread sending([address = listening.address()] {
    Sender sender(address);
    for (int i = 0; i < 40; ++i) sender.send(message(static_cast<float>(i)));
  });
  listening.until([](const Counts& counts) { return counts.committed == 2; });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_LE(listening.so_far().messages, 5U);  // one done, one in work, two in the queue, one in the hand
  test::Reader reader(instance);
  std::size_t got = 0;
  while (got < 80) got += reader.take().size();
  EXPECT_EQ(listening.end().committed, 80U);
}

TEST(Listen, AFullPoolThatRefusesIsCounted) {
  shm::Geometry few = kFrames;
  few.slots = 4;
  const TestInstance instance({.geometry = few, .full = shm::FullPolicy::drop_newest});
  Listening listening(instance, {.endpoints = {}, .count = 10});
  Sender sender(listening.address());
  for (int i = 0; i < 5; ++i) sender.send(message(1.0F));
  const Counts counts = listening.end();
  EXPECT_EQ(counts.committed, 4U);
  EXPECT_EQ(counts.refused, 6U);
  EXPECT_EQ(instance.total(Counter::refused_full), 6U);
}

TEST(Listen, AStopDeliversWhatWasReceived) {
  const TestInstance instance({.geometry = kFrames});
  Listening listening(instance, {});
  Sender sender(listening.address());
  for (int i = 0; i < 10; ++i) sender.send(message(1.0F));
  listening.until([](const Counts& counts) { return counts.messages == 10; });
  listening.stop();
  EXPECT_EQ(listening.end().committed, 20U);
  EXPECT_FALSE(listening.error());
}

TEST(Listen, AStopWithAFullPoolCountsWhatItCouldNotDeliver) {
  shm::Geometry few = kFrames;
  few.slots = 3;
  const TestInstance instance({.geometry = few});
  Listening listening(instance, {.endpoints = {}, .count = 0, .idle = {}, .drain = std::chrono::milliseconds(50)});
  Sender sender(listening.address());
  sender.send(message(1.0F));
  sender.send(message(2.0F));
  sender.send(message(3.0F));
  listening.until([](const Counts& counts) { return counts.messages == 3 && counts.committed == 3; });
  listening.stop();
  const Counts counts = listening.end();
  EXPECT_EQ(counts.committed, 3U);
  EXPECT_THAT(counts.failed,
              ElementsAre(Pair("feed.stopped", 2)));  // an event of the second message, and the third message
  EXPECT_EQ(instance.slots_in(shm::SlotState::filling), 0U);
}

TEST(Listen, ASecondStopDoesNotWait) {
  shm::Geometry few = kFrames;
  few.slots = 2;
  const TestInstance instance({.geometry = few});
  Listening listening(instance, {.endpoints = {}, .count = 0, .idle = {}, .drain = std::chrono::hours(1)});
  Sender sender(listening.address());
  sender.send(message(1.0F, 3));
  listening.until([](const Counts& counts) { return counts.committed == 2; });
  listening.stop();
  listening.now();
  EXPECT_THAT(listening.end().failed, ElementsAre(Pair("feed.stopped", 1)));
}

TEST(Listen, SilenceEndsItWhereThatIsAskedFor) {
  const TestInstance instance({.geometry = kFrames});
  Listening listening(instance, {.endpoints = {}, .count = 0, .idle = std::chrono::milliseconds(100)});
  Sender sender(listening.address());
  sender.send(message(1.0F));
  EXPECT_EQ(listening.end().committed, 2U);
}

TEST(Listen, APoolThatIsGoneEndsItWithTheReason) {
  TestInstance instance({.geometry = kFrames});
  Listening listening(instance, {});
  Sender sender(listening.address());
  sender.send(message(1.0F));
  listening.until([](const Counts& counts) { return counts.committed == 2; });
  instance.layout().header.state.store(shm::SegmentState::removed);
  instance.pool().header().header.state.store(shm::SegmentState::retired);
  std::filesystem::remove("/dev/shm" + shm::control_segment_name(instance.name()));
  sender.send(message(2.0F));
  const Counts counts = listening.end();
  ASSERT_TRUE(listening.error());
  EXPECT_EQ(listening.error()->id, "instance.removed");
  EXPECT_THAT(counts.failed, ElementsAre(Pair("instance.removed", 2)));
}

TEST(Listen, EndpointsThatCannotBeOpenedAreNamed) {
  EXPECT_EQ(Listener::open({}, {1, {}}).error().id, "config.bad-value");
  EXPECT_THAT(Listener::open({}, {1, {}}).error().text(), HasSubstr("feed.endpoints"));
  ListenOptions options;
  options.endpoints = {"bind tcp://127.0.0.1:*"};
  const auto first = must(Listener::open(options, {1, {}}));
  options.endpoints = {"bind " + first->addresses().front()};
  const auto second = Listener::open(options, {1, {}});
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().id, "listen.cannot-open");
  EXPECT_THAT(second.error().text(), HasSubstr(first->addresses().front()));
}

TEST(Listen, ASenderThatGoesOnDoesNotKeepItFromItsEnd) {
  const TestInstance instance({.geometry = kFrames, .full = shm::FullPolicy::drop_oldest});
  ListenOptions options;
  options.count = 4;
  options.drain = std::chrono::milliseconds(100);
  Listening listening(instance, options);
  std::jthread endless([address = listening.address()](const std::stop_token& over) {
    Sender sender(address);
    const auto bytes = message(1.0F);
    while (!over.stop_requested()) sender.send(bytes, zmq::send_flags::dontwait);
  });
  EXPECT_GE(listening.end().committed, 4U);
  EXPECT_BALANCED(instance);
}

}  // namespace
}  // namespace peaknet::feed
