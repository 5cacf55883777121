// peaknet-feed as people and scripts use it: options, counts, exit codes, signals.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <zmq.hpp>

#include "base/fatal.hpp"
#include "shm/errors.hpp"
#include "shm/models.hpp"
#include "tests/support/child.hpp"
#include "tests/unit/feed/file_seeds.hpp"
#include "tests/unit/feed/files.hpp"
#include "tests/unit/feed/messages.hpp"
#include "tests/unit/feed/mutate.hpp"
#include "tests/unit/feed/packing.hpp"
#include "tests/unit/feed/processes.hpp"
#include "tests/unit/feed/reader.hpp"

namespace peaknet::test {
namespace {

using shm::FullPolicy;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr shm::Geometry kFrames{64, 1, 40, 48, PixelType::uint16};
constexpr std::size_t kPixels = std::size_t{40} * 48;

std::string program() {
  const char* folder = std::getenv("PEAKNET_BIN_DIR");
  return std::string(folder == nullptr ? "." : folder) + "/peaknet-feed";
}

Child start(const std::string& instance, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), program());
  arguments.insert(arguments.end(), {"--set", "instance=" + instance});
  return Child::start(arguments);
}

std::string three_images() {
  return FileWriter(temporary_file("three.cxi"))
      .add("/entry_1/data_1/data", {3, 40, 48}, counting<std::uint16_t>(3 * kPixels))
      .add("/LCLS/photon_energy_eV", {3}, std::vector<double>{9500, 9501, 9502})
      .path();
}

TEST(FeedProgram, ReplayPutsAFileIntoThePoolAndEndsWithItsCounts) {
  const TestInstance instance({.geometry = kFrames});
  auto feed = start(instance.name(),
                    {"replay", three_images(), "--repeat", "2", "--blank-between", "1", "--json", "--preload"});
  ASSERT_EQ(feed.wait(), Exit::code(0)) << feed.err();
  EXPECT_THAT(feed.err(), HasSubstr("replay: 11 frames committed, 0 refused, 0 failed"));
  const auto json = nlohmann::json::parse(feed.out());
  EXPECT_EQ(json.at("schema"), "peaknet.feed/1");
  EXPECT_EQ(json.at("committed"), 11);
  EXPECT_EQ(json.at("refused"), 0);
  EXPECT_TRUE(json.at("failed").empty());
  EXPECT_GT(json.at("rate").get<double>(), 0.0);
  EXPECT_GT(json.at("seconds").get<double>(), 0.0);
  const auto arrived = Reader(instance).take();
  ASSERT_EQ(arrived.size(), 11U);
  EXPECT_DOUBLE_EQ(arrived[2].info.photon_energy_ev, 9501.0);
  EXPECT_BALANCED(instance);
}

TEST(FeedProgram, ReplayTakesMessagesOfTheFileHandlerFromAFolder) {
  const TestInstance instance({.geometry = kFrames});
  const auto folder = temporary_file("run 12");
  std::filesystem::create_directories(folder);
  const auto write = [&](const std::string& name, std::uint64_t events, std::uint16_t value) {
    const auto bytes =
        NpzWriter(true)
            .add<std::uint16_t>("images", {events, 1, 40, 48}, std::vector<std::uint16_t>(events * kPixels, value))
            .add<double>("photon_wavelength", {events}, std::vector<double>(events, 1.27))
            .bytes();
    std::ofstream(folder + "/" + name, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  };
  write("run_r0_10.npz", 1, 3);  // a partial last batch
  write("run_r0_9.npz", 2, 2);
  write("run_r0_0.npz", 2, 1);
  auto feed = start(instance.name(), {"replay", folder, "--image-field", "images", "--set",
                                      "feed.wavelength_unit=angstrom", "--preload"});
  ASSERT_EQ(feed.wait(), Exit::code(0)) << feed.err();
  const auto arrived = Reader(instance).take();
  std::vector<std::uint16_t> values;
  for (const auto& frame : arrived) {
    values.push_back(frame.pixels<std::uint16_t>().back());
    EXPECT_NEAR(frame.info.photon_energy_ev, 9762.5, 0.5);
  }
  EXPECT_EQ(values, (std::vector<std::uint16_t>{1, 1, 2, 2, 3}));
  auto none = start(instance.name(), {"replay", folder + "/none.lst"});
  EXPECT_EQ(none.wait(), Exit::code(kExitData));
  EXPECT_THAT(none.err(), HasSubstr("[input.absent]"));
}

TEST(FeedProgram, ListenEndsWithItsSendersRunAndKeepsWhatItCannotRead) {
  const TestInstance instance({.geometry = kFrames});
  const auto folder = temporary_file("bad messages");
  const auto address = "ipc://" + temporary_file("feed.sock");
  auto feed = start(instance.name(),
                    {"listen", "--endpoint", "bind " + address, "--end-with-run", "--keep-rejected", folder, "--json"});
  zmq::context_t context;
  zmq::socket_t push(context, zmq::socket_type::push);
  push.connect(address);
  for (const auto& message :
       {CborWriter().text("type", "start").number("run_id", 7).message(), std::vector<std::byte>(9, std::byte{1}),
        CborWriter()
            .text("type", "image")
            .number("run_id", 7)
            .bytes("compressed_data",
                   pack_bitshuffle(bytes_of(counting<std::uint16_t>(kPixels)), sizeof(std::uint16_t), 4096))
            .text("image_dtype", "uint16")
            .message(),
        CborWriter().text("type", "end").number("run_id", 7).message()}) {
    push.send(zmq::buffer(message.data(), message.size()));
  }
  ASSERT_EQ(feed.wait(), Exit::code(0)) << feed.err();
  const auto json = nlohmann::json::parse(feed.out());
  EXPECT_EQ(json.at("committed"), 1);
  EXPECT_EQ(json.at("messages"), 4);
  EXPECT_EQ(json.at("failed").at("dialect.unknown"), 1);
  EXPECT_EQ(read_file(folder + "/dialect.unknown.0.bin"), std::vector<std::byte>(9, std::byte{1}));
  const auto arrived = Reader(instance).take();
  ASSERT_EQ(arrived.size(), 1U);
  EXPECT_EQ(arrived[0].pixels<std::uint16_t>(), counting<std::uint16_t>(kPixels));
  EXPECT_EQ(arrived[0].info.source_run_id(), "7");
}

TEST(FeedProgram, ListenThatCouldUseNothingSaysSoWithItsExitCode) {
  const TestInstance instance({.geometry = kFrames});
  const auto address = "ipc://" + temporary_file("nothing.sock");
  auto feed = start(instance.name(), {"listen", "--endpoint", "bind " + address, "--count", "2"});
  zmq::context_t context;
  zmq::socket_t push(context, zmq::socket_type::push);
  push.connect(address);
  for (int i = 0; i < 2; ++i) push.send(zmq::str_buffer("no dialect"));
  EXPECT_EQ(feed.wait(), Exit::code(kExitData));
  EXPECT_THAT(feed.err(), AllOf(HasSubstr("of 2 messages none could be used"), HasSubstr("[listen.nothing-taken]")));
}

TEST(FeedProgram, SkipBadCountsWhatItCannotTakeAndGoesOn) {
  const TestInstance instance({.geometry = kFrames});
  auto values = counting<std::int32_t>(2 * kPixels);
  values[3] = 70000;
  const auto large = FileWriter(temporary_file("large.h5")).add("/data", {2, 40, 48}, values).path();
  const auto none = temporary_file("no hdf5.h5");
  std::ofstream(none) << "text";
  auto strict = start(instance.name(), {"replay", large});
  EXPECT_EQ(strict.wait(), Exit::code(kExitData));
  auto feed = start(instance.name(), {"replay", large, none, three_images(), "--skip-bad", "--json"});
  ASSERT_EQ(feed.wait(), Exit::code(0)) << feed.err();
  const auto json = nlohmann::json::parse(feed.out());
  EXPECT_EQ(json.at("committed"), 4);
  EXPECT_EQ(json.at("failed").at("frame.value"), 1);
  EXPECT_EQ(json.at("failed").at("file.unreadable"), 1);
}

TEST(FeedProgram, GapsOfAnEigerDoNotRefuseItsFrames) {
  const TestInstance instance({.geometry = kFrames});
  auto values = counting<std::int64_t>(kPixels);
  values[7] = 0xffffffff;
  const auto eiger =
      FileWriter(temporary_file("eiger.h5"))
          .add_as("/data", {40, 48}, H5T_STD_U32LE, std::vector<std::uint32_t>(values.begin(), values.end()))
          .path();
  auto feed = start(instance.name(), {"replay", eiger, "--json"});
  ASSERT_EQ(feed.wait(), Exit::code(0)) << feed.err();
  EXPECT_EQ(nlohmann::json::parse(feed.out()).at("pixels_without_count"), 1);
  const auto arrived = Reader(instance).take();
  ASSERT_EQ(arrived.size(), 1U);
  EXPECT_EQ(arrived[0].pixels<std::uint16_t>()[7], 65535);
}

TEST(FeedProgram, OptionsMayComeBeforeTheFilesAndAConfigurationFileIsRead) {
  const TestInstance instance({.geometry = kFrames});
  const auto config = temporary_file("feed.yaml");
  std::ofstream(config) << "instance: " << instance.name() << "\n";
  auto feed = Child::start({program(), "replay", "--config", config, "--set", "log.level=warn", "--dataset",
                            "/entry_1/data_1/data", three_images(), three_images()});
  ASSERT_EQ(feed.wait(), Exit::code(0)) << feed.err();
  EXPECT_EQ(Reader(instance).take().size(), 6U);
}

TEST(FeedProgram, AFrameOfAnotherShapeIsRefusedAndNothingIsHarmed) {
  const TestInstance instance({.geometry = {8, 1, 40, 50, PixelType::uint16}});
  auto feed = start(instance.name(), {"replay", three_images()});
  EXPECT_EQ(feed.wait(), Exit::code(kExitData));
  EXPECT_THAT(feed.err(), AllOf(HasSubstr("[3,40,48]"), HasSubstr("[1,40,50]"), HasSubstr("pool.shape"),
                                HasSubstr("[frame.shape]")));
  EXPECT_EQ(instance.slots_in(shm::SlotState::free), 8U);
  EXPECT_BALANCED(instance);
}

TEST(FeedProgram, WithoutADaemonItSaysSoAndWithWaitItWaits) {
  const auto name = TestInstance::unique_name();
  auto feed = start(name, {"simulate", "--frames", "1"});
  EXPECT_EQ(feed.wait(), Exit::code(kExitUnavailable));
  EXPECT_THAT(feed.err(), HasSubstr("start peaknetd"));

  TestInstance instance({.geometry = kFrames, .with_pool = false});
  auto waiting = start(instance.name(), {"simulate", "--frames", "3", "--wait", "60"});
  EXPECT_FALSE(waiting.wait_for(std::chrono::milliseconds(300)));
  instance.next_epoch(kFrames);
  EXPECT_EQ(waiting.wait(), Exit::code(0)) << waiting.err();
}

TEST(FeedProgram, WrongArgumentsAndAWrongConfigurationHaveTheirOwnCodes) {
  auto none = Child::start({program()});
  EXPECT_EQ(none.wait(), Exit::code(kExitUsage));
  auto unknown = Child::start({program(), "simulate", "--frames", "1", "--nonsense"});
  EXPECT_EQ(unknown.wait(), Exit::code(kExitUsage));
  EXPECT_THAT(unknown.err(), HasSubstr("--nonsense"));
  auto fraction = Child::start({program(), "simulate", "--frames", "1", "--hit-fraction", "2"});
  EXPECT_EQ(fraction.wait(), Exit::code(kExitUsage));
  auto key = Child::start({program(), "simulate", "--frames", "1", "--set", "pool.slotz=3"});
  EXPECT_EQ(key.wait(), Exit::code(kExitConfig));
  EXPECT_THAT(key.err(), HasSubstr("pool.slots"));
  auto help = Child::start({program(), "replay", "--help"});
  EXPECT_EQ(help.wait(), Exit::code(0));
  EXPECT_THAT(help.out(), AllOf(HasSubstr("--blank-between"), HasSubstr("--config")));
  auto version = Child::start({program(), "--version"});
  EXPECT_EQ(version.wait(), Exit::code(0));
}

TEST(FeedProgram, SimulateWithSeveralProducersCountsWhatThePoolRefuses) {
  const TestInstance instance({.geometry = kFrames, .full = FullPolicy::drop_newest});
  const auto truth = temporary_file("truth.csv");
  auto feed = start(instance.name(), {"simulate", "--frames", "100", "--producers", "3", "--hit-fraction", "1",
                                      "--json", "--truth", truth});
  ASSERT_EQ(feed.wait(), Exit::code(0)) << feed.err();
  const auto json = nlohmann::json::parse(feed.out());
  EXPECT_EQ(json.at("committed"), 64);
  EXPECT_EQ(json.at("refused"), 36);
  EXPECT_EQ(read_file(truth).front(), std::byte{'f'});
}

TEST(FeedProgram, ATermSignalEndsItCleanlyWithItsCounts) {
  const TestInstance instance({.geometry = kFrames});  // nobody takes frames: it soon waits for a slot
  for (const char* mode : {"replay", "simulate", "listen"}) {
    std::vector<std::string> arguments{mode, "--json"};
    if (arguments[0] == "replay") arguments.insert(arguments.end(), {three_images(), "--repeat", "0"});
    if (arguments[0] == "simulate") arguments.insert(arguments.end(), {"--frames", "1000000", "--rate", "10"});
    if (arguments[0] == "listen") arguments.insert(arguments.end(), {"--endpoint", "bind tcp://127.0.0.1:*"});
    auto feed = start(instance.name(), arguments);
    EXPECT_FALSE(feed.wait_for(std::chrono::milliseconds(300)));
    feed.signal(SIGTERM);
    EXPECT_EQ(feed.wait(), Exit::code(0)) << feed.err();
    EXPECT_EQ(nlohmann::json::parse(feed.out()).at("mode"), mode);
    EXPECT_EQ(instance.slots_in(shm::SlotState::filling), 0U);
  }
  EXPECT_BALANCED(instance);
}

TEST(FeedProgram, ATermSignalEndsItCleanlyWhileItWaitsForPeaknetdToo) {
  auto feed = start(TestInstance::unique_name(), {"simulate", "--frames", "3", "--wait", "60", "--json"});
  EXPECT_FALSE(feed.wait_for(std::chrono::milliseconds(300)));
  feed.signal(SIGTERM);
  EXPECT_EQ(feed.wait(), Exit::code(0)) << feed.err();
  EXPECT_EQ(nlohmann::json::parse(feed.out()).at("committed"), 0);
}

TEST(FeedProgram, ListenTakesMessagesFromTheConfiguredEndpoint) {
  const TestInstance instance({.geometry = kFrames});
  const std::string socket = "ipc://" + temporary_file("wire");
  auto feed =
      start(instance.name(), {"listen", "--count", "4", "--json", "--set", "feed.endpoints=[\"bind " + socket + "\"]"});
  zmq::context_t context;
  zmq::socket_t push(context, zmq::socket_type::push);
  push.connect(socket);
  const auto good =
      NpzWriter(true).add<std::uint16_t>("detector_data", {2, 1, 40, 48}, counting<std::uint16_t>(2 * kPixels)).bytes();
  push.send(zmq::buffer(good.data(), good.size()));
  push.send(zmq::str_buffer("nonsense"));
  push.send(zmq::buffer(good.data(), good.size()));
  ASSERT_EQ(feed.wait(), Exit::code(0)) << feed.err();
  EXPECT_THAT(feed.err(), HasSubstr("listening on ipc://"));
  const auto json = nlohmann::json::parse(feed.out());
  EXPECT_EQ(json.at("committed").get<int>() + json.at("failed").value("dialect.unknown", 0),
            4 + (json.at("committed") == 4 ? 1 : 0));
  EXPECT_EQ(json.at("failed").at("dialect.unknown"), 1);
  EXPECT_THAT(feed.err(), HasSubstr("6e 6f 6e 73"));
}

// A process that is forked off beside threads inherits what they hold: locks of the allocator, of a library.
TEST(FeedProgram, TheProcessesForHdf5AreMadeBeforeAnyThread) {
  const TestInstance instance({.geometry = kFrames});
  for (const std::string mode : {"listen", "replay"}) {
    std::vector<std::string> arguments = {mode, "--endpoint", "bind tcp://127.0.0.1:*", "--threads", "3"};
    if (mode == "replay") arguments = {mode, three_images(), "--repeat", "0", "--rate", "10"};
    const std::size_t expected = mode == "listen" ? 3 : 2;
    for (bool numbers_began_anew = true; numbers_began_anew;) {
      auto feed = start(instance.name(), arguments);
      const auto ready = [&] {
        return mode == "listen" ? feed.err().find("listening on") != std::string::npos
                                : instance.total(shm::Counter::committed) > 0;
      };
      ASSERT_TRUE(eventually(ready)) << feed.err();
      const auto made = children_of(feed.pid());
      auto threads = numbers_in("/proc/" + std::to_string(feed.pid()) + "/task");
      std::erase(threads, feed.pid());
      ASSERT_EQ(made.size(), expected) << mode;
      ASSERT_FALSE(threads.empty());
      EXPECT_EQ(feed.kill(), Exit::signal(SIGKILL));
      const auto anew = [&](pid_t number) { return number < feed.pid(); };
      numbers_began_anew =
          std::any_of(made.begin(), made.end(), anew) || std::any_of(threads.begin(), threads.end(), anew);
      if (numbers_began_anew) continue;
      EXPECT_LT(*std::max_element(made.begin(), made.end()), *std::min_element(threads.begin(), threads.end())) << mode;
    }
  }
}

TEST(FeedProgram, WhatAKilledFeedHadReceivedFromItsSendersIsCounted) {
  const TestInstance instance({.geometry = {4, 1, 40, 48, PixelType::uint16}});
  const auto daemon = instance.consumer(shm::Queue::q1);
  const auto address = "ipc://" + temporary_file("killed.sock");
  auto feed = start(instance.name(), {"listen", "--endpoint", "bind " + address, "--label", "tender feed"});
  zmq::context_t context;
  zmq::socket_t push(context, zmq::socket_type::push);
  push.connect(address);
  const auto message =
      NpzWriter().add<std::uint16_t>("detector_data", {2, 1, 40, 48}, counting<std::uint16_t>(2 * kPixels)).bytes();
  for (int i = 0; i < 9; ++i) push.send(zmq::buffer(message), zmq::send_flags::none);
  // Nobody takes frames: two messages fill the pool, one waits for a slot, two in the queue, one for room in it. The
  // others are ZeroMQ's still.
  const auto held = [&] {
    std::uint64_t messages = 0;
    for (const auto& record : instance.layout().participants)
      if (record.role.load() == shm::Role::producer) messages += record.held.load();
    return messages;
  };
  ASSERT_TRUE(eventually([&] { return instance.total(shm::Counter::committed) == 4 && held() == 4; })) << held();
  EXPECT_EQ(feed.kill(), Exit::signal(SIGKILL));
  daemon->participant().recover_dead();
  EXPECT_EQ(instance.total(shm::Counter::messages_lost), 4U);
  EXPECT_EQ(held(), 0U);
  const auto errors = shm::read_errors(instance.control_segment());
  ASSERT_EQ(errors.size(), 1U);
  EXPECT_THAT(errors[0].text, AllOf(HasSubstr("tender feed"), HasSubstr("4 messages")));
  EXPECT_BALANCED(instance);
}

// Masked: the first two pixels. Each row: the pixels of a frame that begin so, and what the pool has instead.
template <class Number>
struct AtBadPixels {
  hid_t stored;
  std::string descr;
  std::vector<Number> begin;
  std::vector<std::uint16_t> taken;
};

std::string mask_of_two() {
  std::vector<std::uint8_t> bad(kPixels);
  bad[0] = bad[1] = 1;
  return FileWriter(temporary_file("two bad.h5")).add("/bad", {40, 48}, bad).path() + ":/bad";
}

template <class Number>
void expect_taken(const TestInstance& instance, const AtBadPixels<Number>& row) {
  SCOPED_TRACE(row.descr);
  std::vector<Number> image(kPixels, Number{5});
  std::copy(row.begin.begin(), row.begin.end(), image.begin());
  const auto path = FileWriter(temporary_file("masked.h5")).add_as("/data", {1, 40, 48}, row.stored, image).path();
  const std::vector<std::string> mask{"--set", "preprocess.bad_pixels=" + mask_of_two()};
  auto replay = start(instance.name(), {"replay", path, mask[0], mask[1], "--json"});
  ASSERT_EQ(replay.wait(), Exit::code(0)) << replay.err();
  EXPECT_EQ(nlohmann::json::parse(replay.out()).at("pixels_without_count"), 2);

  const auto address = "ipc://" + temporary_file("masked.sock");
  auto listen = start(instance.name(), {"listen", "--endpoint", "bind " + address, "--count", "1", mask[0], mask[1]});
  auto raw = bytes_of(image);
  if (row.descr.front() == '>') {
    for (std::size_t i = 0; i < raw.size(); i += sizeof(Number))
      std::reverse(raw.begin() + static_cast<std::ptrdiff_t>(i),
                   raw.begin() + static_cast<std::ptrdiff_t>(i + sizeof(Number)));
  }
  zmq::context_t context;
  zmq::socket_t push(context, zmq::socket_type::push);
  push.connect(address);
  const auto message =
      NpzWriter()
          .add_member("detector_data.npy", NpzWriter::npy(NpzWriter::header(row.descr, {1, 1, 40, 48}), raw))
          .bytes();
  push.send(zmq::buffer(message), zmq::send_flags::none);
  ASSERT_EQ(listen.wait(), Exit::code(0)) << listen.err();

  const auto arrived = Reader(instance).take();
  ASSERT_EQ(arrived.size(), 2U);
  for (const auto& frame : arrived) {
    const auto pixels = frame.pixels<std::uint16_t>();
    EXPECT_EQ(std::vector<std::uint16_t>(pixels.begin(), pixels.begin() + 3), row.taken);
  }
}

TEST(FeedProgram, WhatStandsAtABadPixelOfTheConfigurationRefusesNoFrame) {
  const TestInstance instance({.geometry = kFrames});
  expect_taken<std::uint32_t>(instance, {H5T_STD_U32LE, "<u4", {70000, 0xffffffffU}, {65535, 65535, 5}});
  expect_taken<std::uint32_t>(instance, {H5T_STD_U32BE, ">u4", {70000, 0xfffffffeU}, {65535, 65535, 5}});
  expect_taken<std::int32_t>(instance, {H5T_STD_I32LE, "<i4", {-30000, 1 << 20}, {0, 65535, 5}});
  expect_taken<std::int32_t>(instance, {H5T_STD_I32BE, ">i4", {-7, -2147483647}, {0, 0, 5}});
  expect_taken<float>(instance, {H5T_IEEE_F32LE, "<f4", {1e9F, -0.5F}, {65535, 0, 5}});
  expect_taken<float>(instance, {H5T_IEEE_F32BE, ">f4", {std::nanf(""), HUGE_VALF}, {0, 65535, 5}});
  expect_taken<double>(instance, {H5T_IEEE_F64BE, ">f8", {1e300, -1e9}, {65535, 0, 5}});
}

TEST(FeedProgram, BesideTheBadPixelsAValueThatDoesNotFitIsRefusedWithItsCountAndPlace) {
  const TestInstance instance({.geometry = kFrames});
  std::vector<std::int32_t> image(kPixels, 5);
  image[0] = image[48 + 3] = image[48 + 4] = 70000;
  const auto path = FileWriter(temporary_file("beside.h5")).add("/data", {1, 40, 48}, image).path();
  auto replay = start(instance.name(), {"replay", path, "--set", "preprocess.bad_pixels=" + mask_of_two()});
  EXPECT_EQ(replay.wait(), Exit::code(kExitData));
  EXPECT_THAT(replay.err(), AllOf(HasSubstr("panel 0, y 1, x 3 has the int32 value 70000"),
                                  HasSubstr("as 1 other pixels"), HasSubstr("[frame.value]")));
  auto absent = start(instance.name(), {"replay", path, "--set", "preprocess.bad_pixels=/nowhere.h5:/bad"});
  EXPECT_EQ(absent.wait(), Exit::code(kExitConfig));
  EXPECT_THAT(absent.err(), HasSubstr("[preprocess.unreadable]"));
}

// An input of feed_files_fuzz that ends in HDF5 1.10.8 with a signal.
std::string crashing_file() {
  constexpr std::uint32_t kInput = 101'826;
  const auto seeds = file_seeds();
  const auto& seed = seeds[kInput % seeds.size()];
  std::mt19937 random(kInput);
  const auto& file = seed.files[random() % seed.files.size()];
  const auto bytes = mutate(file.bytes, random, random() % 4 == 0 ? Length::changes : Length::stays);
  const auto path = temporary_file("crashing.h5");
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  return path;
}

TEST(FeedProgram, AFileThatCrashesTheHdf5LibraryIsRefusedByItsNameAndTheOthersArePlayed) {
  const TestInstance instance({.geometry = {64, 1, 16, 16, PixelType::uint16}});
  const auto crashing = crashing_file();
  const auto sound =
      FileWriter(temporary_file("sound.h5")).add("/data", {2, 16, 16}, counting<std::uint16_t>(512)).path();
  auto alone = start(instance.name(), {"replay", crashing});
  EXPECT_EQ(alone.wait(), Exit::code(kExitData)) << alone.err();
  EXPECT_THAT(alone.err(), AllOf(HasSubstr(crashing), HasSubstr("[file.unreadable]")));
  auto beside = start(instance.name(), {"replay", crashing, sound, "--skip-bad", "--json"});
  EXPECT_EQ(beside.wait(), Exit::code(0)) << beside.err();
  EXPECT_EQ(nlohmann::json::parse(beside.out()).at("committed"), 2);
}

TEST(FeedProgram, AMasterThatSaysMoreImagesThanItHasIsTold) {
  const TestInstance instance({.geometry = kFrames});
  const std::string details = "/entry/instrument/detector/detectorSpecific/";
  const auto master = FileWriter(temporary_file("short_master.h5"))
                          .add("/entry/data/data_000001", {2, 40, 48}, counting<std::uint16_t>(2 * kPixels))
                          .add<std::uint32_t>(details + "nimages", {}, {5})
                          .add<std::uint32_t>(details + "ntrigger", {}, {2})
                          .path();
  auto feed = start(instance.name(), {"replay", master});
  EXPECT_EQ(feed.wait(), Exit::code(0)) << feed.err();
  EXPECT_THAT(feed.err(), HasSubstr("series has 10 images, and shows 2"));
}

TEST(FeedProgram, APipeIsRefusedAndNotWaitedFor) {
  const TestInstance instance({.geometry = kFrames});
  const auto pipe = temporary_file("pipe.h5");
  std::filesystem::remove(pipe);
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  for (const std::string& path : {pipe, std::string("/dev/zero")}) {
    auto feed = start(instance.name(), {"replay", "--messages", path});
    EXPECT_EQ(feed.wait(), Exit::code(kExitData)) << feed.err();
    EXPECT_THAT(feed.err(),
                AllOf(HasSubstr(path), HasSubstr("a pipe, a socket or a device"), HasSubstr("[input.absent]")));
  }
}

// What CrystFEL writes for the event of a file that has one.
TEST(FeedProgram, AnEventWithoutANumberIsRefusedWhereTheFileHasSeveral) {
  const TestInstance instance({.geometry = kFrames});
  const auto list = temporary_file("several.lst");
  std::ofstream(list) << three_images() << " //\n";
  auto several = start(instance.name(), {"replay", list});
  EXPECT_EQ(several.wait(), Exit::code(kExitData));
  EXPECT_THAT(several.err(), AllOf(HasSubstr("the only event"), HasSubstr("[input.list]")));
  const auto one =
      FileWriter(temporary_file("one.cxi")).add("/data", {40, 48}, counting<std::uint16_t>(kPixels)).path();
  std::ofstream(list) << one << " //\n";
  auto only = start(instance.name(), {"replay", list, "--json"});
  EXPECT_EQ(only.wait(), Exit::code(0)) << only.err();
  EXPECT_EQ(nlohmann::json::parse(only.out()).at("committed"), 1);
}

TEST(FeedProgram, ATimeOrAUnitThatCannotBeToldIsUnknownAndNotInSilence) {
  const TestInstance instance({.geometry = kFrames});
  const auto facts = [&](const std::string& name) {
    FileWriter writer(temporary_file(name));
    writer.add("/entry_1/data_1/data", {2, 40, 48}, counting<std::uint16_t>(2 * kPixels));
    return writer;
  };
  auto early = facts("early.h5");
  early.add<double>("/LCLS/detector_1/timestamp", {2}, {1.7e9, -5.0});
  auto feed = start(instance.name(), {"replay", early.path()});
  EXPECT_EQ(feed.wait(), Exit::code(0)) << feed.err();
  EXPECT_THAT(feed.err(), HasSubstr("/LCLS/detector_1/timestamp of " + temporary_file("early.h5") +
                                    ": 1 of 2 values (the first: 1) are no times"));
  auto odd = facts("odd.h5");
  odd.add<double>("/LCLS/photon_energy_eV", {1}, {9500.0}).add_units("/LCLS/photon_energy_eV", "keV/c");
  auto unit = start(instance.name(), {"replay", odd.path()});
  EXPECT_EQ(unit.wait(), Exit::code(0)) << unit.err();
  EXPECT_THAT(unit.err(), AllOf(HasSubstr("keV/c"), HasSubstr("unknown")));
  auto below = facts("below.h5");
  below.add<double>("/LCLS/photon_energy_eV", {1}, {-9500.0});
  auto negative = start(instance.name(), {"replay", below.path()});
  EXPECT_EQ(negative.wait(), Exit::code(0)) << negative.err();
  EXPECT_THAT(negative.err(), AllOf(HasSubstr("-9500"), HasSubstr("unknown")));
  const auto arrived = Reader(instance).take();
  ASSERT_EQ(arrived.size(), 6U);
  EXPECT_NE(arrived[0].info.timestamp, 0U);
  EXPECT_EQ(arrived[1].info.timestamp, 0U);
  EXPECT_TRUE(std::isnan(arrived[2].info.photon_energy_ev));
  EXPECT_TRUE(std::isnan(arrived[4].info.photon_energy_ev));
}

TEST(FeedProgram, AnotherMaskThanThatOfTheNetworkIsSaid) {
  const TestInstance instance({.geometry = kFrames});
  shm::enter_model(instance.layout(), {"m", "", "builtin", "", "any", "0123456789abcdef"});
  const auto path =
      FileWriter(temporary_file("other.h5")).add("/data", {1, 40, 48}, counting<std::uint16_t>(kPixels)).path();
  auto other = start(instance.name(), {"replay", path, "--set", "preprocess.bad_pixels=" + mask_of_two()});
  EXPECT_EQ(other.wait(), Exit::code(0)) << other.err();
  EXPECT_THAT(other.err(), AllOf(HasSubstr("0123456789abcdef"), HasSubstr("[preprocess.other-mask]")));
}

TEST(FeedProgram, ListenWithoutEndpointsIsAMatterOfConfiguration) {
  const TestInstance instance({.geometry = kFrames});
  auto feed = start(instance.name(), {"listen"});
  EXPECT_EQ(feed.wait(), Exit::code(kExitConfig));
  EXPECT_THAT(feed.err(), HasSubstr("feed.endpoints"));
  auto bad = start(instance.name(), {"listen", "--endpoint", "bind tcp://256.0.0.1:1"});
  EXPECT_EQ(bad.wait(), Exit::code(kExitUnavailable));
}

TEST(FeedProgram, SimulateTakesBurstsCrystalsDamageAndASmallerDetector) {
  const TestInstance instance({.geometry = kFrames});
  const auto truth = temporary_file("damaged.csv");
  const auto begin = std::chrono::steady_clock::now();
  auto feed = start(instance.name(), {"simulate", "--total-samples", "12", "--rate", "40", "--batch", "6", "--crystal",
                                      "--hit-fraction", "1", "--shape", "1,36,44", "--dead-fraction", "0.05",
                                      "--saturation", "500", "--truth", truth, "--json"});
  ASSERT_EQ(feed.wait(), Exit::code(0)) << feed.err();
  EXPECT_EQ(nlohmann::json::parse(feed.out()).at("committed"), 12);
  // Two bursts of six: the second is due 6/40 s after the first, the twelfth frame not later than the seventh.
  EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(150));
  const auto frames = Reader(instance).take();
  ASSERT_EQ(frames.size(), 12U);
  for (const auto& frame : frames) {
    const auto pixels = frame.pixels<std::uint16_t>();
    EXPECT_LE(*std::max_element(pixels.begin(), pixels.end()), 500);
    EXPECT_EQ(frame.info.original_height, 36U);
    EXPECT_EQ(pixels.back(), 0);
  }
  for (const char* bad : {"2,36,44", "1,41,48", "1,0,48"}) {
    auto refused = start(instance.name(), {"simulate", "--frames", "1", "--shape", bad});
    EXPECT_EQ(refused.wait(), Exit::code(kExitData)) << bad;
    EXPECT_THAT(refused.err(), HasSubstr("[frame.shape]"));
  }
}

}  // namespace
}  // namespace peaknet::test
