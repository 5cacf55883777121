#include "live/crystfel_message.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/must.hpp"
#include "tests/unit/cxi/samples.hpp"
#include "tests/unit/live/crystfel_reader.hpp"

namespace peaknet::live {
namespace {

using test::read_as_crystfel;
using test::sample_event;
using test::sample_facts;
using test::sample_image;

const test::CrystfelGeometryKeys kKeys{
    .headers = {"frame", "event_id", "run", "source_run", "photon_energy_eV", "encoder_mm", "fiducial", "timestamp"}};

TEST(CrystfelMessage, GivesCrystfelImagePeaksAndWhatTheEventKnows) {
  const auto facts = sample_facts();
  const auto event = sample_event(7);
  const auto pixels = sample_image(7, facts);
  const auto read = read_as_crystfel(crystfel_message(facts, event, pixels), kKeys);
  EXPECT_EQ(read.complaint, "");
  EXPECT_EQ(read.ss, 64U);
  EXPECT_EQ(read.fs, 65U);
  ASSERT_EQ(read.pixels.size(), 64U * 65U);
  for (std::size_t i = 0; i < read.pixels.size(); ++i) {
    std::uint16_t count = 0;
    std::memcpy(&count, pixels.data() + 2 * i, 2);
    ASSERT_EQ(read.pixels[i], count) << i;
  }
  ASSERT_EQ(read.peak_fs.size(), event.peaks.size());
  for (std::size_t i = 0; i < event.peaks.size(); ++i) {
    EXPECT_EQ(read.peak_fs[i], event.peaks[i].x);
    EXPECT_EQ(read.peak_ss[i], event.peaks[i].y);
    EXPECT_EQ(read.peak_intensity[i], event.peaks[i].total);
  }
  EXPECT_EQ(read.headers.at("frame"), "run 0217 producer 3 frame 7");
  EXPECT_EQ(read.headers.at("event_id"), "1007");
  EXPECT_EQ(read.headers.at("run"), "0217");
  EXPECT_EQ(read.headers.at("source_run"), "r0012");
  EXPECT_EQ(read.headers.at("photon_energy_eV"), "9507.0");
  EXPECT_EQ(read.headers.at("encoder_mm"), "-565.5");
  EXPECT_EQ(read.headers.at("fiducial"), "21");
  EXPECT_EQ(read.headers.at("timestamp"), "1790000000.000000007");
}

TEST(CrystfelMessage, HasTheColumnsOfSingleValuesThatTheEventKnows) {
  const auto column = [](const char* name, shm::ColumnType type, std::uint32_t length = 0) {
    return shm::Column{.name = name,
                       .dataset = std::string("/LCLS/") + name,
                       .unit = "",
                       .type = type,
                       .length = length,
                       .unknown = shm::usual_unknown(type)};
  };
  auto facts = sample_facts();
  facts.columns = must(shm::ColumnTable::make(
      {column("laser_on", shm::ColumnType::uint8), column("laser_delay", shm::ColumnType::float32),
       column("run_number", shm::ColumnType::int64), column("laser", shm::ColumnType::uint8),
       column("pulse_id", shm::ColumnType::uint64), column("unknown", shm::ColumnType::uint8),
       column("spectrum", shm::ColumnType::float32, 3)}));
  auto event = sample_event(7);
  event.columns = facts.columns.unknown_row();
  const auto set = [&](const char* name, auto value) {
    std::memcpy(event.columns.data() + facts.columns.offset(*facts.columns.find(name)), &value, sizeof value);
  };
  set("laser_on", std::uint8_t{0});
  set("laser_delay", 0.25F);
  set("run_number", std::int64_t{217});
  set("laser", std::uint8_t{3});
  set("pulse_id", std::uint64_t{1} << 40);
  const auto bytes = crystfel_message(facts, event, sample_image(7, facts));
  const auto message = nlohmann::json::from_msgpack(bytes);
  EXPECT_EQ(message.at("[laser_on]"), 0) << "0 is a value; and 'laser' is the beginning of it";
  EXPECT_EQ(message.at("[laser_delay]"), 0.25);
  EXPECT_EQ(message.at("[laser]"), 3);
  EXPECT_EQ(message.at("[run_number]"), 217);
  EXPECT_EQ(message.at("pulse_id"), "1099511627776");
  EXPECT_FALSE(message.contains("unknown"));
  EXPECT_FALSE(message.contains("spectrum"));
  for (const auto& [a, ignored] : message.items()) {
    for (const auto& [b, ignored_too] : message.items()) EXPECT_TRUE(a == b || !a.starts_with(b)) << a << " and " << b;
  }
  EXPECT_EQ(read_as_crystfel(bytes, {.headers = {"pulse_id"}}).headers.at("pulse_id"), "1099511627776");
}

TEST(CrystfelMessage, SendsPeaksOnWholePixelsAsFloatingNumbersToo) {
  const auto facts = sample_facts();
  auto event = sample_event(1);
  event.peaks = {{.x = 12, .y = 34, .total = 5}, {.x = 0, .y = 0, .total = 0}};
  const auto read = read_as_crystfel(crystfel_message(facts, event, sample_image(1, facts)));
  EXPECT_EQ(read.peak_fs, (std::vector<double>{12, 0}));
  EXPECT_EQ(read.peak_ss, (std::vector<double>{34, 0}));
  EXPECT_EQ(read.peak_intensity, (std::vector<double>{5, 0}));
}

TEST(CrystfelMessage, WidensEveryPixelTypeToOneThatCrystfelKnows) {
  for (const PixelType type : {PixelType::uint16, PixelType::int16, PixelType::float32}) {
    auto facts = sample_facts();
    facts.pixel_type = type;
    std::vector<std::byte> pixels(facts.image_bytes());
    const std::uint16_t saturated = 65535;
    const std::int16_t negative = -32768;
    const float real = -0.25F;
    if (type == PixelType::uint16) std::memcpy(pixels.data(), &saturated, 2);
    if (type == PixelType::int16) std::memcpy(pixels.data(), &negative, 2);
    if (type == PixelType::float32) std::memcpy(pixels.data(), &real, 4);
    const auto read = read_as_crystfel(crystfel_message(facts, sample_event(1), pixels));
    EXPECT_EQ(read.complaint, "") << name(type);
    const double expected = type == PixelType::uint16 ? 65535.0 : type == PixelType::int16 ? -32768.0 : -0.25;
    EXPECT_EQ(read.pixels.at(0), expected) << name(type);
  }
}

void expect_no_prefixes(const nlohmann::json& map) {
  for (const auto& [one, value] : map.items()) {
    for (const auto& [other, unused] : map.items())
      EXPECT_TRUE(one == other || !other.starts_with(one)) << one << " hides " << other;
    EXPECT_FALSE(one.empty());
    if (value.is_object()) expect_no_prefixes(value);
  }
}

TEST(CrystfelMessage, HasNoKeyThatHidesAnother) {
  const auto facts = sample_facts();
  expect_no_prefixes(nlohmann::json::from_msgpack(crystfel_message(facts, sample_event(1), sample_image(1, facts))));
}

TEST(CrystfelMessage, LeavesOutWhatTheEventDoesNotKnow) {
  const auto facts = sample_facts();
  auto event = sample_event(1);
  event.photon_energy_ev = event.encoder_value = std::numeric_limits<double>::quiet_NaN();
  event.fiducial.reset();
  event.timestamp = 0;
  event.source_run = "";
  const auto read = read_as_crystfel(crystfel_message(facts, event, sample_image(1, facts)), kKeys);
  EXPECT_EQ(read.headers.size(), 3U);  // frame, event_id, run
}

// The reader of these tests is as wrong as CrystFEL's: else they would show nothing.
TEST(CrystfelReader, FallsIntoTheTrapsThatCrystfelFallsInto) {
  using nlohmann::ordered_json;
  const ordered_json peaks = {{"fs", {3}}, {"ss", {4.0}}, {"intensity", {5.0}}};
  const ordered_json image = {{"type", "<u2"}, {"shape", {1, 1}}, {"data", ordered_json::binary({1, 2, 3, 4})}};
  const auto whole = read_as_crystfel(ordered_json::to_msgpack(ordered_json{{"image", image}, {"peak_list", peaks}}));
  EXPECT_NE(whole.complaint, "");
  EXPECT_EQ(whole.pixels.at(0), 0.0);
  EXPECT_LT(whole.peak_fs.at(0), 1e-300);
  const auto hidden =
      read_as_crystfel(ordered_json::to_msgpack(ordered_json{{"p", "text"}, {"image", image}, {"peak_list", peaks}}));
  EXPECT_EQ(hidden.complaint, "Peak list has wrong structure.");
}

}  // namespace
}  // namespace peaknet::live
