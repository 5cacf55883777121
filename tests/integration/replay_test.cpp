// What the feed promises beyond its frames: the same run replayed twice gives the same files, and a sender's new run
// has files of its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>
#include <zmq.hpp>

#include "tests/integration/system.hpp"
#include "tests/unit/feed/messages.hpp"
#include "tests/unit/feed/packing.hpp"

namespace peaknet::test {
namespace {

// Everything in the CXI files of a run of `feed` in a fresh instance, but for what says when and where it was made.
std::string content_of(const std::vector<std::string>& feed, const std::filesystem::path& recording) {
  System system({.model = "builtin:threshold=150", .min_num_peak = 1});
  system.start_daemon();
  system.start_writer();
  auto fed = system.feed(feed);
  EXPECT_EQ(fed.wait(), Exit::code(0)) << fed.err();
  EXPECT_EQ(system.ctl({"stop"}).wait(), Exit::code(0));
  EXPECT_EQ(system.stats().at("frames").at("imbalance"), 0);
  std::filesystem::remove_all(recording);
  std::filesystem::create_directories(recording);
  std::vector<std::string> command{"/usr/bin/python3", source_dir() + "/tests/integration/cxi_content.py"};
  for (const auto& file : system.files()) {
    command.push_back(file.string());
    std::filesystem::copy(file, recording);
  }
  auto content = Child::start(command);
  EXPECT_EQ(content.wait(), Exit::code(0)) << content.err();
  return content.out();
}

TEST(Replay, TheSameRunReplayedTwiceGivesTheSameContent) {
  if (Child::start({"/usr/bin/python3", "-c", "import h5py"}).wait() != Exit::code(0)) GTEST_SKIP() << "no h5py";
  const auto base = std::filesystem::temp_directory_path() / ("peaknet-replay-" + std::to_string(getpid()));
  const auto first_files = base / "first", again_files = base / "again";
  // The run: simulated once, its CXI files kept. Replayed from those, twice.
  const auto simulated =
      content_of({"simulate", "--frames", "120", "--hit-fraction", "0.7", "--crystal", "--seed", "11"}, base / "run");
  EXPECT_THAT(simulated, testing::HasSubstr("/entry_1/result_1/peakXPosRaw"));
  const std::vector<std::string> replay{"replay", (base / "run").string(), "--dataset", "/entry_1/data_1/data"};
  const std::string first = content_of(replay, first_files), again = content_of(replay, again_files);
  EXPECT_FALSE(first.empty());
  EXPECT_EQ(first, again);
  std::filesystem::remove_all(base);
}

// As lclstreamer's Simplon dialect has it: a start, images, an end; the run stands in each of them.
TEST(Replay, ASendersNewRunHasFilesListAndMasterOfItsOwnWithoutAWordToTheDaemon) {
  System system({.model = "builtin:threshold=150", .min_num_peak = 1});
  system.start_daemon();
  system.start_writer();
  const std::string address = "ipc://" + (system.folder() / "feed.sock").string();
  auto feed = system.launch("peaknet-feed", {"listen", "--endpoint", "bind " + address, "--count", "9"});
  zmq::context_t context;
  zmq::socket_t push(context, zmq::socket_type::push);
  push.connect(address);
  std::vector<std::byte> pixels(std::size_t{128} * 128 * sizeof(std::uint16_t));
  for (const std::size_t peak : {20, 60, 100}) pixels[(peak * 128 + peak) * sizeof(std::uint16_t) + 1] = std::byte{4};
  const auto packed = pack_bitshuffle(pixels, sizeof(std::uint16_t), 4096);
  const auto send = [&](const std::vector<std::byte>& message) {
    push.send(zmq::buffer(message), zmq::send_flags::none);
  };
  const std::map<std::uint64_t, std::size_t> images = {{211, 4}, {212, 5}};
  for (const auto& [run, count] : images) {
    send(CborWriter().text("type", "start").number("run_id", run).message());
    for (std::size_t i = 0; i < count; ++i) {
      send(CborWriter()
               .text("type", "image")
               .number("run_id", run)
               .bytes("compressed_data", packed)
               .text("image_dtype", "uint16")
               .message());
    }
    send(CborWriter().text("type", "end").number("run_id", run).message());
  }
  ASSERT_EQ(feed.wait(), Exit::code(0)) << feed.err();
  ASSERT_EQ(system.ctl({"stop"}).wait(), Exit::code(0));
  EXPECT_EQ(system.stats().at("frames").at("imbalance"), 0);

  const auto files = system.files();
  ASSERT_EQ(files.size(), 2U);
  EXPECT_EQ(system.frames_in_files().size(), 9U);
  for (const auto& [run, count] : images) {
    // "..._run0001.211_chunk0000_20261121_..._w1.cxi", and beside it the run's list and master.
    const std::string of_run = "." + std::to_string(run);
    const auto file = std::find_if(files.begin(), files.end(), [&](const auto& path) {
      return path.filename().string().find(of_run + "_") != std::string::npos;
    });
    ASSERT_NE(file, files.end()) << run;
    const std::string name = file->filename().string();
    const std::string stem = name.substr(0, name.find(of_run) + of_run.size());
    EXPECT_TRUE(std::filesystem::exists(system.output() / (stem + "_master.cxi"))) << stem;
    std::ifstream list(system.output() / (stem + ".lst"));
    std::string line;
    EXPECT_TRUE(std::getline(list, line));
    EXPECT_EQ(line, file->string());
    EXPECT_FALSE(std::getline(list, line)) << line;
  }
}

// Whoever looks after a feed need not have its terminal.
TEST(Listen, AFeedThatTakesNothingIsSeenWhereverOperatorsLook) {
  System system;
  system.start_daemon();
  const auto address = "ipc://" + (system.folder() / "feed.sock").string();
  auto feed = system.launch("peaknet-feed", {"listen", "--endpoint", "bind " + address, "--count", "5"});
  zmq::context_t context;
  zmq::socket_t push(context, zmq::socket_type::push);
  push.connect(address);
  for (const std::string text : {"no image", "neither", "nor this", "PK\x03\x04 and no more", ""})
    push.send(zmq::buffer(text.data(), text.size()));
  EXPECT_EQ(feed.wait(), Exit::code(65));
  EXPECT_THAT(feed.err(), testing::HasSubstr("[listen.nothing-taken]"));

  std::map<std::string, int> causes;
  const auto errors = system.ctl_json({"errors"});
  for (const auto& cause : errors.at("errors")) causes[cause.at("id")] = cause.at("count");
  EXPECT_THAT(causes, testing::UnorderedElementsAre(
                          testing::Pair("dialect.unknown", 3), testing::Pair("npz.truncated", 1),
                          testing::Pair("message.empty", 1), testing::Pair("listen.nothing-taken", 1)));
  auto metrics = system.ctl({"stats", "--prom"});
  ASSERT_EQ(metrics.wait(), Exit::code(0));
  EXPECT_THAT(metrics.out(), testing::HasSubstr(",id=\"dialect.unknown\"} 3"));
  auto check = system.ctl({"status", "--check"});
  EXPECT_EQ(check.wait(), Exit::code(7));
  EXPECT_THAT(check.out(), testing::AllOf(testing::HasSubstr("a feed could not take"),
                                          testing::HasSubstr("dialect.unknown (3 in all)"),
                                          testing::HasSubstr("peaknetctl errors")));
  // Another run begins anew.
  auto stop = system.ctl({"stop"});
  ASSERT_EQ(stop.wait(), Exit::code(0)) << stop.err();
  ASSERT_EQ(system.ctl({"start", "--no-writer"}).wait(), Exit::code(0));
  auto next = system.ctl({"status", "--check"});
  next.wait();
  EXPECT_THAT(next.out(), testing::Not(testing::HasSubstr("a feed could not take")));
}

}  // namespace
}  // namespace peaknet::test
