// All that is known of an event: event codes, a spectrum and the state of a laser, from a stream as lclstreamer sends
// it and from producers in C, C++ and Python, through shared memory into chunk and master, bit for bit.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>
#include <zmq.hpp>

#include "shm/producer.hpp"
#include "tests/integration/system.hpp"
#include "tests/support/instance.hpp"
#include "tests/unit/feed/files.hpp"
#include "tests/unit/feed/messages.hpp"
#include "tests/unit/feed/packing.hpp"

namespace peaknet::test {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kPerMessage = 4, kPixels = 128 * 128;
const std::string kSanitizer = PEAKNET_SANITIZER;

System::Options with_columns() {
  return {.model = "builtin:threshold=150",
          .min_num_peak = 1,
          .more = {"feed:", "  columns:", "    - {name: laser_on, from: evr.laser, dtype: uint8}",
                   "    - {name: event_codes, from: timing.codes, dtype: uint8, length: 256}",
                   "    - {name: spectrum, from: \"fee:hist\", dtype: float32, length: 2048, unit: eV, "
                   "dataset: /LCLS/fee/spectrum}"}};
}

// As columns_check.py has them.
std::vector<std::uint8_t> codes_of(std::uint64_t event) {
  std::vector<std::uint8_t> codes(256);
  for (std::size_t i = 0; i < codes.size(); ++i) codes[i] = (event * 7 + i) % 3 == 0 ? 1 : 0;
  return codes;
}
std::vector<float> spectrum_of(std::uint64_t event) {
  std::vector<float> spectrum(2048);
  for (std::size_t i = 0; i < spectrum.size(); ++i) {
    const auto bits = static_cast<std::uint32_t>(0x3f800000U + event * 4096 + i);
    std::memcpy(&spectrum[i], &bits, sizeof bits);
  }
  return spectrum;
}
bool laser_is_known(std::uint64_t event) { return event / 4 % 4 != 3; }
void draw_spots(std::uint16_t* image) {
  for (const std::size_t spot : {20, 60, 100}) image[spot * 128 + spot] = 1024;
}

// The fields of one message, whose events are numbered from `first` on.
struct Batch {
  explicit Batch(std::uint64_t first) : images(kPerMessage * kPixels) {
    for (std::uint64_t event = first; event < first + kPerMessage; ++event) {
      draw_spots(images.data() + (event - first) * kPixels);
      const auto all_codes = codes_of(event);
      codes.insert(codes.end(), all_codes.begin(), all_codes.end());
      const auto all_samples = spectrum_of(event);
      spectra.insert(spectra.end(), all_samples.begin(), all_samples.end());
      laser.push_back(static_cast<std::int64_t>(event % 2));
    }
    known = laser_is_known(first);
  }
  std::vector<std::uint16_t> images;
  std::vector<std::uint8_t> codes;
  std::vector<float> spectra;
  std::vector<std::int64_t> laser;  // of another type than the column
  bool known = false;
};

std::vector<std::byte> npz(const Batch& batch) {
  NpzWriter writer;
  writer.add<std::uint16_t>("detector_data", {kPerMessage, 1, 128, 128}, batch.images)
      .add<std::uint8_t>("timing.codes", {kPerMessage, 256}, batch.codes)
      .add<float>("fee:hist", {kPerMessage, 2048}, batch.spectra);
  if (batch.known) writer.add<std::int64_t>("evr.laser", {kPerMessage}, batch.laser);
  return writer.bytes();
}
std::vector<std::byte> fast_binary(const Batch& batch) {
  FastBinaryWriter writer;
  writer.add("data/data", "<u2", {kPerMessage, 1, 128, 128}, bytes_of(batch.images))
      .add("data/timing.codes", "|u1", {kPerMessage, 256}, bytes_of(batch.codes))
      .add("fee:hist", "<f4", {kPerMessage, 2048}, bytes_of(batch.spectra), 1,
           pack_blosc(bytes_of(batch.spectra), 4, "lz4"));
  if (batch.known) writer.add("evr.laser", "<i8", {kPerMessage}, bytes_of(batch.laser));
  return writer.message();
}
std::vector<std::byte> hdf5(const Batch& batch, const fs::path& folder) {
  FileWriter writer((folder / "message.h5").string());
  writer.add("/data/data", {kPerMessage, 1, 128, 128}, batch.images, {.chunk = {1, 1, 128, 128}})
      .add("/timing.codes", {kPerMessage, 256}, batch.codes, {.chunk = {1, 256}, .gzip = 4})
      .add("/data/fee:hist", {kPerMessage, 2048}, batch.spectra, {.chunk = {1, 2048}, .shuffle = true, .gzip = 1});
  if (batch.known) writer.add("/evr.laser", {kPerMessage}, batch.laser, {.chunk = {1}});
  return writer.bytes();
}
std::vector<std::byte> message_of(std::uint64_t number, const fs::path& folder) {
  const Batch batch(number * kPerMessage);
  if (number % 3 == 0) return npz(batch);
  return number % 3 == 1 ? fast_binary(batch) : hdf5(batch, folder);
}

bool has_h5py() { return Child::start({"/usr/bin/python3", "-c", "import h5py"}).wait() == Exit::code(0); }

// What columns_check.py prints; "" if it is not content.
std::string checked(const std::string& what, const std::vector<fs::path>& files) {
  std::vector<std::string> command{"/usr/bin/python3", source_dir() + "/tests/integration/columns_check.py", what};
  for (const auto& file : files) command.push_back(file.string());
  auto check = Child::start(command);
  EXPECT_EQ(check.wait(), Exit::code(0)) << check.err();
  return check.out();
}
std::vector<fs::path> masters(const System& system) {
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(system.output())) {
    if (entry.path().string().ends_with("_master.cxi")) found.push_back(entry.path());
  }
  return found;
}

void feed_stream(System& system, std::uint64_t messages) {
  const std::string address = "ipc://" + (system.folder() / "feed.sock").string();
  auto feed = system.launch(
      "peaknet-feed", {"listen", "--endpoint", "bind " + address, "--count", std::to_string(messages * kPerMessage)});
  zmq::context_t context;
  zmq::socket_t push(context, zmq::socket_type::push);
  push.connect(address);
  for (std::uint64_t i = 0; i < messages; ++i)
    push.send(zmq::buffer(message_of(i, system.folder())), zmq::send_flags::none);
  ASSERT_EQ(feed.wait(), Exit::code(0)) << feed.err();
  EXPECT_THAT(feed.err(), testing::HasSubstr("'evr.laser'")) << "a column that is not in some messages is told";
}

void produce(const System& system, std::vector<std::string> command, std::uint64_t frames, std::uint64_t first) {
  command.insert(command.end(), {system.instance(), std::to_string(frames), std::to_string(first)});
  auto child = Child::start(
      command, {.environment = {"PYTHONPATH=" + source_dir() + "/shm/python:" + source_dir() + "/tests/integration",
                                "PYTHONDONTWRITEBYTECODE=1", "PEAKNET_SHM_LIBRARY=" PEAKNET_SHM_LIBRARY}});
  EXPECT_EQ(child.wait(), Exit::code(0)) << child.err();
}

void produce_in_cpp(const System& system, std::uint64_t frames, std::uint64_t first) {
  const auto producer = must(shm::Producer::attach(system.instance(), {.label = "columns"}));
  for (std::uint64_t event = first; event < first + frames; ++event) {
    auto frame = must(producer->claim(std::chrono::seconds(30)));
    const auto image = frame.pixels<std::uint16_t>();
    std::fill(image.begin(), image.end(), std::uint16_t{0});
    draw_spots(image.data());
    frame.info().event_id = event;
    must(frame.columns().set("event_codes", std::span<const std::uint8_t>(codes_of(event))));
    must(frame.columns().set("spectrum", std::span<const float>(spectrum_of(event))));
    if (laser_is_known(event)) must(frame.columns().set("laser_on", static_cast<std::uint8_t>(event % 2)));
    must(frame.commit());
  }
}

TEST(Columns, FromAStreamAndFromProducersToChunkAndMasterBitForBit) {
  if (!has_h5py()) GTEST_SKIP() << "no h5py";
  System system(with_columns());
  system.start_daemon();
  system.start_writer();
  feed_stream(system, 20);
  auto rebuffered = system.ctl({"rebuffer", "--slots", "40"});  // the columns are those of the next pool, too
  EXPECT_EQ(rebuffered.wait(), Exit::code(0)) << rebuffered.err();
  produce(system, {PEAKNET_COLUMNS_PRODUCER}, 60, 1000);
  produce_in_cpp(system, 40, 2000);
  std::uint64_t all = 80 + 60 + 40;
  if (kSanitizer.empty()) {
    produce(system, {"/usr/bin/python3", source_dir() + "/tests/integration/columns_producer.py"}, 20, 3000);
    all += 20;
  }
  ASSERT_EQ(system.ctl({"stop"}).wait(), Exit::code(0));
  EXPECT_EQ(system.stats().at("frames").at("imbalance"), 0);
  EXPECT_EQ(checked("numbered", system.files()), std::to_string(all) + "\n");
  ASSERT_EQ(masters(system).size(), 1U);
  EXPECT_EQ(checked("numbered", masters(system)), std::to_string(all) + "\n");
  const auto errors = system.ctl_json({"errors"}).dump();
  EXPECT_THAT(errors, testing::HasSubstr("columns.absent"));
  EXPECT_THAT(errors, testing::Not(testing::HasSubstr("columns.other-frame")));

  // Our own files and masters, replayed by whoever names the same columns.
  System again(with_columns());
  again.start_daemon();
  again.start_writer();
  auto replay = again.feed({"replay", masters(system).front().string()});
  ASSERT_EQ(replay.wait(), Exit::code(0)) << replay.err();
  ASSERT_EQ(again.ctl({"stop"}).wait(), Exit::code(0));
  EXPECT_EQ(checked("content", again.files()), checked("content", system.files()));
  EXPECT_THAT(again.ctl_json({"errors"}).dump(), testing::Not(testing::HasSubstr("columns.")));
}

TEST(Columns, OfAWriterThatIsKilledAreInTheFilesThatAreMadeFromItsLedgers) {
  if (!has_h5py()) GTEST_SKIP() << "no h5py";
  System system(with_columns());
  system.start_daemon();
  system.start_writer({"output.durable_ms=1"});
  produce(system, {PEAKNET_COLUMNS_PRODUCER}, 30, 1000);
  ASSERT_TRUE(eventually([&] { return system.stats().at("frames").at("written") == 30; }, std::chrono::seconds(60)));
  system.writer().kill();
  ASSERT_FALSE(system.unfinished().empty());
  system.start_writer();
  produce(system, {PEAKNET_COLUMNS_PRODUCER}, 10, 2000);
  ASSERT_EQ(system.ctl({"stop"}).wait(), Exit::code(0));
  EXPECT_EQ(checked("numbered", system.files()), "40\n");
  EXPECT_EQ(checked("numbered", masters(system)), "40\n");
}

TEST(Columns, OfARecordedStreamAreThoseOfTheStream) {
  if (!has_h5py()) GTEST_SKIP() << "no h5py";
  System live(with_columns());
  live.start_daemon();
  live.start_writer();
  const fs::path recording = live.folder() / "recording";
  fs::create_directories(recording);
  const std::string address = "ipc://" + (live.folder() / "record.sock").string();
  auto record = live.launch("peaknet-feed", {"record", "--endpoint", "bind " + address, "--count", "9", "--prefix",
                                             (recording / "run").string()});
  {
    zmq::context_t context;
    zmq::socket_t push(context, zmq::socket_type::push);
    push.connect(address);
    for (std::uint64_t i = 0; i < 9; ++i) push.send(zmq::buffer(message_of(i, live.folder())), zmq::send_flags::none);
    ASSERT_EQ(record.wait(), Exit::code(0)) << record.err();
  }
  auto replay = live.feed({"replay", recording.string()});
  ASSERT_EQ(replay.wait(), Exit::code(0)) << replay.err();
  ASSERT_EQ(live.ctl({"stop"}).wait(), Exit::code(0));

  System direct(with_columns());
  direct.start_daemon();
  direct.start_writer();
  feed_stream(direct, 9);
  ASSERT_EQ(direct.ctl({"stop"}).wait(), Exit::code(0));
  EXPECT_EQ(checked("content", live.files()), checked("content", direct.files()));
}

TEST(Columns, APoolWithOtherColumnsTakesThePlaceOfAnEmptyOneAndIsRefusedWhileFramesWait) {
  System system({.model = "builtin:threshold=150"});
  system.start_daemon();
  ASSERT_EQ(system.feed({"simulate", "--frames", "3"}).wait(), Exit::code(0));  // no writer: they wait
  system.daemon().signal(SIGTERM);
  system.daemon().wait();
  const std::string columns = "feed.columns=[{name: laser_on, dtype: uint8}]";
  auto refused = system.launch("peaknetd", {}, {columns});
  EXPECT_EQ(refused.wait(), Exit::code(78));
  EXPECT_THAT(refused.err(), testing::AllOf(testing::HasSubstr("pool.in-use"), testing::HasSubstr("feed.columns")));
  system.start_daemon();
  system.start_writer();
  ASSERT_EQ(system.ctl({"stop"}).wait(), Exit::code(0));
  system.daemon().signal(SIGTERM);
  system.daemon().wait();
  system.start_daemon({columns});
  auto producer = must(shm::Producer::attach(system.instance()));
  auto frame = must(producer->claim(std::chrono::seconds(30)));
  must(frame.columns().set("laser_on", std::uint8_t{1}));
}

}  // namespace
}  // namespace peaknet::test
