// peaknet-feed record, and what replay makes of its files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <zmq.hpp>

#include "base/fatal.hpp"
#include "tests/support/child.hpp"
#include "tests/unit/feed/files.hpp"
#include "tests/unit/feed/messages.hpp"
#include "tests/unit/feed/packing.hpp"
#include "tests/unit/feed/reader.hpp"

namespace peaknet::test {
namespace {

using ::testing::HasSubstr;

constexpr shm::Geometry kFrames{64, 1, 40, 48, PixelType::uint16};
constexpr std::size_t kPixels = std::size_t{40} * 48;
using Bytes = std::vector<std::byte>;

std::string program() {
  const char* folder = std::getenv("PEAKNET_BIN_DIR");
  return std::string(folder == nullptr ? "." : folder) + "/peaknet-feed";
}

Child start(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), program());
  return Child::start(arguments);
}

Bytes npz(std::uint64_t events, std::uint16_t first) {
  std::vector<std::uint16_t> pixels(events * kPixels);
  std::vector<std::uint64_t> times(events);
  for (std::uint64_t i = 0; i < events; ++i) {
    std::fill_n(pixels.begin() + static_cast<std::ptrdiff_t>(i * kPixels), kPixels, std::uint16_t(first + i));
    times[i] = (std::uint64_t{1'700'000'000} << 32) + first + i;
  }
  return NpzWriter(true)
      .add<std::uint16_t>("detector_data", {events, 1, 40, 48}, pixels)
      .add<std::uint64_t>("timestamp", {events}, times)
      .add<double>("photon_wavelength", {events}, std::vector<double>(events, 0.127))
      .bytes();
}

Bytes simplon(std::uint64_t number, std::uint16_t value) {
  return CborWriter()
      .text("type", "image")
      .number("run_id", 7)
      .bytes("compressed_data",
             pack_bitshuffle(bytes_of(std::vector<std::uint16_t>(kPixels, value)), sizeof(std::uint16_t), 4096))
      .text("image_dtype", "uint16")
      .number("message_id", number)
      .message();
}

// Of every dialect that needs no library to be written here.
std::vector<Bytes> stream() {
  const auto file = FileWriter(temporary_file("message.h5"))
                        .add("/data/data", {2, 40, 48}, counting<std::uint16_t>(2 * kPixels))
                        .path();
  return {npz(2, 1), simplon(1, 40), read_file(file), npz(1, 3), simplon(2, 41)};
}

// One peaknet-feed with a stream sent to it, until it has so many messages.
std::string send_to(Child& feed, const std::string& address, const std::vector<Bytes>& messages) {
  zmq::context_t context;
  zmq::socket_t push(context, zmq::socket_type::push);
  push.set(zmq::sockopt::sndtimeo, 20'000);
  push.connect(address);
  for (const auto& message : messages) push.send(zmq::buffer(message.data(), message.size()));
  EXPECT_EQ(feed.wait(), Exit::code(0)) << feed.err();
  return feed.out();
}

TEST(RecordProgram, AReplayOfTheRecordingIsWhatListeningGives) {
  const TestInstance direct({.geometry = kFrames}), replayed({.geometry = kFrames});
  const auto messages = stream();
  const auto address = "ipc://" + temporary_file("direct.sock");
  auto listen =
      start({"listen", "--endpoint", "bind " + address, "--count", "7", "--set", "instance=" + direct.name()});
  send_to(listen, address, messages);

  const auto folder = temporary_file("recorded");
  auto record = start({"record", "--endpoint", "bind " + address + ".2", "--prefix", folder + "/mfx", "--count",
                       std::to_string(messages.size()), "--json"});
  const auto json = nlohmann::json::parse(send_to(record, address + ".2", messages));
  EXPECT_EQ(json.at("mode"), "record");
  EXPECT_EQ(json.at("stored"), messages.size());
  auto replay = start({"replay", folder + "/mfx_r0.lst", "--set", "instance=" + replayed.name(), "--json"});
  ASSERT_EQ(replay.wait(), Exit::code(0)) << replay.err();
  EXPECT_EQ(nlohmann::json::parse(replay.out()).at("missing"), 0);

  const auto as_listened = Reader(direct).take(), as_replayed = Reader(replayed).take();
  ASSERT_EQ(as_listened.size(), 7U);
  ASSERT_EQ(as_replayed.size(), 7U);
  for (std::size_t i = 0; i < 7; ++i) {
    EXPECT_EQ(as_listened[i].image, as_replayed[i].image) << i;
    EXPECT_EQ(as_listened[i].info.timestamp, as_replayed[i].info.timestamp) << i;
    EXPECT_EQ(as_listened[i].info.source_run_id(), as_replayed[i].info.source_run_id()) << i;
    const double a = as_listened[i].info.photon_energy_ev, b = as_replayed[i].info.photon_energy_ev;
    EXPECT_TRUE(a == b || (std::isnan(a) && std::isnan(b))) << a << " " << b;
  }
}

TEST(RecordProgram, OriginalTimingKeepsThePausesBetweenMessages) {
  const TestInstance instance({.geometry = kFrames});
  const auto folder = temporary_file("paused");
  std::filesystem::create_directories(folder);
  for (const auto& [name, first] : std::initializer_list<std::pair<const char*, std::uint16_t>>{{"0", 1}, {"1", 5}}) {
    const auto bytes = npz(2, first);
    std::ofstream(folder + "/mfx_r0_" + name + ".npz", std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  }
  std::ofstream(folder + "/mfx_r0.lst") << "mfx_r0_0.npz\t1700000000000000000\nmfx_r0_1.npz\t1700000000400000000\n";
  const auto begin = std::chrono::steady_clock::now();
  auto replay = start({"replay", folder + "/mfx_r0.lst", "--original-timing", "--set", "instance=" + instance.name()});
  ASSERT_EQ(replay.wait(), Exit::code(0)) << replay.err();
  EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(400));
  const auto frames = Reader(instance).take();
  ASSERT_EQ(frames.size(), 4U);
  // Without the list the events' own times count: nanoseconds apart, so at once. A rate and original timing exclude
  // each other, and frames without times have none.
  auto folder_replay = start({"replay", folder, "--original-timing", "--set", "instance=" + instance.name()});
  EXPECT_EQ(folder_replay.wait(), Exit::code(0)) << folder_replay.err();
  auto both = start({"replay", folder, "--original-timing", "--rate", "5", "--set", "instance=" + instance.name()});
  EXPECT_EQ(both.wait(), Exit::code(kExitUsage));
  const auto timeless = FileWriter(temporary_file("timeless.cxi"))
                            .add("/entry_1/data_1/data", {1, 40, 48}, counting<std::uint16_t>(kPixels))
                            .path();
  auto none = start({"replay", timeless, "--original-timing", "--set", "instance=" + instance.name()});
  EXPECT_EQ(none.wait(), Exit::code(kExitData));
  EXPECT_THAT(none.err(), HasSubstr("[replay.no-time]"));
}

TEST(RecordProgram, FilesThatAreNotThereAreMissingByTheirNumbers) {
  const TestInstance instance({.geometry = kFrames});
  const auto folder = temporary_file("with gaps");
  std::filesystem::create_directories(folder);
  for (const char* name : {"r0_0", "r0_1", "r0_4", "r1_0"}) {
    const auto bytes = npz(1, 1);
    std::ofstream(folder + "/mfx_" + name + ".npz", std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  }
  auto replay = start({"replay", folder, "--json", "--set", "instance=" + instance.name()});
  ASSERT_EQ(replay.wait(), Exit::code(0)) << replay.err();
  const auto json = nlohmann::json::parse(replay.out());
  EXPECT_EQ(json.at("committed"), 4);
  EXPECT_EQ(json.at("missing"), 2);
  EXPECT_THAT(replay.err(), HasSubstr("2 messages missing by their senders' numbers"));
}

TEST(RecordProgram, ListenCountsWhatASimplonSenderLeftOut) {
  const TestInstance instance({.geometry = kFrames});
  const auto address = "ipc://" + temporary_file("gaps.sock");
  auto listen = start(
      {"listen", "--endpoint", "bind " + address, "--count", "4", "--json", "--set", "instance=" + instance.name()});
  const auto json =
      nlohmann::json::parse(send_to(listen, address, {simplon(1, 1), simplon(2, 2), simplon(5, 5), simplon(6, 6)}));
  EXPECT_EQ(json.at("missing"), 2);
  EXPECT_EQ(json.at("unclear_sequences"), 0);
}

// A disk of 1 MiB: a tmpfs in a namespace of its own.
TEST(RecordProgram, AFullDiskHoldsTheSendersAndRoomLetsThemGoOn) {
  auto allowed = Child::start({"/usr/bin/unshare", "-rm", "true"});
  if (allowed.wait() != Exit::code(0)) GTEST_SKIP() << "no file system may be mounted here";
  const auto folder = temporary_file("small disk");
  std::filesystem::create_directories(folder);
  const auto address = "ipc://" + temporary_file("full.sock");
  // The disk, the recorder, and "rm" of the first file when the test says so (through a fifo).
  const auto fifo = temporary_file("room.fifo");
  auto record = Child::start({"/usr/bin/unshare", "-rm", "/bin/sh", "-c",
                              "mount -t tmpfs -o size=1m none \"$1\" && mkfifo \"$4\" || exit 3; { read -r word < "
                              "\"$4\"; rm \"$1\"/m_r0_0.bin; } & exec \"$2\" record --endpoint \"bind $3\" --prefix "
                              "\"$1\"/m --count 3 --json",
                              "sh", folder, program(), address, fifo});
  zmq::context_t context;
  zmq::socket_t push(context, zmq::socket_type::push);
  push.set(zmq::sockopt::sndtimeo, 20'000);
  push.connect(address);
  const Bytes message(400'000, std::byte{5});
  for (int i = 0; i < 3; ++i) push.send(zmq::buffer(message.data(), message.size()));
  ASSERT_TRUE(eventually([&] { return record.err().find("the senders wait") != std::string::npos; })) << record.err();
  EXPECT_THAT(record.err(), HasSubstr("[record.no-space]"));
  EXPECT_FALSE(record.wait_for(std::chrono::milliseconds(50)));
  std::ofstream(fifo) << "room\n";
  ASSERT_EQ(record.wait(), Exit::code(0)) << record.err();
  EXPECT_THAT(record.err(), HasSubstr("there is room again"));
  EXPECT_EQ(nlohmann::json::parse(record.out()).at("stored"), 3);
}

}  // namespace
}  // namespace peaknet::test
