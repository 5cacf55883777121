// What is sent to DIALS, read back by our own feed, bit for bit.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>

#include "base/wake.hpp"
#include "feed/decoders/simplon.hpp"
#include "feed/pull_socket.hpp"
#include "live/simplon_message.hpp"
#include "live/simplon_outlet.hpp"
#include "tests/unit/cxi/samples.hpp"
#include "tests/unit/feed/reader.hpp"

namespace peaknet::live {
namespace {

using feed::RunBoundary;
using feed::SimplonDecoder;
using test::must;
using test::sample_event;

constexpr SimplonDialect kDialects[] = {{false, false}, {true, false}, {false, true}, {true, true}};

std::span<const std::byte> as_bytes(const Bytes& message) { return std::as_bytes(std::span(message)); }

shm::Geometry frames_of(const writer::FileFacts& facts) {
  return {8, facts.panels, facts.height, facts.width, facts.pixel_type};
}

std::vector<std::byte> noise(std::size_t bytes, bool floating) {
  std::mt19937 random(7);
  std::vector<std::byte> pixels(bytes);
  for (std::size_t at = 0; floating && at + 4 <= bytes; at += 4) {
    const float value = static_cast<float>(random()) - 1e9F;
    std::memcpy(pixels.data() + at, &value, 4);
  }
  for (std::size_t at = 0; !floating && at < bytes; ++at) pixels[at] = static_cast<std::byte>(random());
  return pixels;
}

TEST(SimplonMessages, AreReadBackByOurFeedBitForBitInEveryDialectAndType) {
  for (const PixelType type : {PixelType::uint16, PixelType::int16, PixelType::float32}) {
    auto facts = test::sample_facts();
    facts.pixel_type = type;
    facts.height = 65;
    facts.width = 71;  // whole blocks, a short one, and a rest that eight does not divide
    const auto pixels = noise(facts.image_bytes(), type == PixelType::float32);
    for (const SimplonDialect& dialect : kDialects) {
      feed::DecodeOptions options;
      options.simplon_energy = dialect.old_names;  // that name's energy is doubted there
      SimplonDecoder decoder(options);
      must(decoder.open(as_bytes(simplon_start(dialect, facts, "0217")), frames_of(facts)));
      EXPECT_EQ(decoder.news().kind, RunBoundary::Kind::start);
      EXPECT_EQ(decoder.news().run, "217");
      const auto message = simplon_image(dialect, facts, sample_event(5), "r0012", 3, pixels);
      const auto frame = test::fill(*must(decoder.open(as_bytes(message), frames_of(facts))), 0);
      EXPECT_EQ(frame.image, pixels) << name(type);
      EXPECT_EQ(frame.info.timestamp, sample_event(5).timestamp);
      EXPECT_EQ(frame.info.photon_energy_ev, sample_event(5).photon_energy_ev);
      EXPECT_EQ(frame.info.source_run_id(), "r0012");
      ASSERT_TRUE(decoder.sequence());
      must(decoder.open(as_bytes(simplon_end(dialect, "0217")), frames_of(facts)));
      EXPECT_EQ(decoder.news().kind, RunBoundary::Kind::end);
    }
  }
}

TEST(SimplonMessages, HaveTheColumnsThatTheEventKnowsAndOurFeedReadsThemBack) {
  auto facts = test::sample_facts();
  facts.columns = test::sample_columns();
  auto event = sample_event(5);
  event.columns = facts.columns.unknown_row();
  const std::array<float, 3> spectrum{0.5F, -0.1F, 2.25F};
  std::memcpy(event.columns.data() + facts.columns.offset(1), spectrum.data(), sizeof spectrum);
  feed::DecodeOptions options;
  options.columns = {facts.columns, {"laser_on", "spectrum"}};
  for (const SimplonDialect& dialect : kDialects) {
    for (const bool known : {true, false}) {
      event.columns[0] = known ? std::byte{0} : std::byte{255};
      const auto message = simplon_image(dialect, facts, event, "12", 1, noise(facts.image_bytes(), false));
      const auto decoder = feed::make_decoder(options);  // which finds out the dialect, as `listen` does
      const auto source = must(decoder->open(as_bytes(message), frames_of(facts)));
      std::vector<std::byte> image(facts.panels * facts.height * facts.width * 2);
      shm::FrameDescriptor info;
      shm::ColumnRow row = facts.columns.unknown_row();
      std::uint64_t bits = 0;
      must(source->fill(0, {image, info, {}, {facts.columns, row.data(), bits}}));
      EXPECT_EQ(row, event.columns);
      EXPECT_EQ(bits, known ? 3U : 2U);
    }
  }
}

TEST(SimplonMessages, HaveTheNamesOfTheirDialect) {
  const auto facts = test::sample_facts();
  const auto pixels = noise(facts.image_bytes(), false);
  const auto keys = [&](const SimplonDialect& dialect) {
    auto message = simplon_image(dialect, facts, sample_event(1), "12", 1, pixels);
    if (dialect.lead) {
      EXPECT_EQ(message.front(), 'm');
      message.erase(message.begin());
    }
    return nlohmann::json::from_cbor(message);
  };
  for (const SimplonDialect& dialect : kDialects) {
    const auto image = keys(dialect);
    EXPECT_EQ(image.contains("run"), dialect.old_names);
    EXPECT_EQ(image.contains("dtype"), dialect.old_names);
    EXPECT_EQ(image.contains("run_id"), !dialect.old_names);
    EXPECT_EQ(image.contains("image_dtype"), !dialect.old_names);
    EXPECT_TRUE(image.at(dialect.old_names ? "run" : "run_id").is_number_unsigned());
    EXPECT_EQ(image.at("frame"), describe(sample_event(1).key));
  }
}

TEST(SimplonMessages, LeaveOutAnEnergyThatIsNotKnown) {
  const auto facts = test::sample_facts();
  auto event = sample_event(1);
  event.photon_energy_ev = std::numeric_limits<double>::quiet_NaN();
  const auto message = simplon_image({}, facts, event, "12", 1, noise(facts.image_bytes(), false));
  EXPECT_FALSE(nlohmann::json::from_cbor(message).contains("photon_energy"));
}

class SimplonOutletTest : public ::testing::Test {
 protected:
  SimplonOutletTest() { std::filesystem::create_directories(folder_.path() / "live"); }
  std::unique_ptr<SimplonOutlet> open() {
    return must(SimplonOutlet::open("bind tcp://127.0.0.1:*", {},
                                    must(HitFolder::open({folder_.path(), folder_.path() / "live", "p", "{run}",
                                                          "dials", "0217", Order::all, 1000}))));
  }
  test::TempFolder folder_;
};

TEST_F(SimplonOutletTest, PassesOnARunOnceWithItsStartAndItsEnd) {
  const auto facts = test::sample_facts();
  test::finish_file(folder_.path(), "0217", 0, 0, 30);
  auto outlet = open();
  outlet->pass_on();
  EXPECT_EQ(outlet->folder().counts().served, 0U);  // nobody is there: nothing is taken
  auto pull = must(feed::PullSocket::open({"connect " + outlet->address()}, std::size_t{1} << 20));
  const Wake never;
  SimplonDecoder decoder({});
  std::vector<std::string> told;
  std::uint64_t next = 0;
  const auto take = [&](const feed::PullSocket::Received& received) {
    const auto source = must(decoder.open(received.bytes(), frames_of(facts)));
    if (decoder.news().kind != RunBoundary::Kind::none) {
      told.push_back(decoder.news().kind == RunBoundary::Kind::start ? "start" : "end");
      return;
    }
    EXPECT_EQ(test::fill(*source, 0).image, test::sample_image(next, facts)) << next;
    EXPECT_EQ(decoder.sequence()->number, next + 1);
    ++next;
  };
  while (next < 30) {
    outlet->pass_on();
    pull->wait(never, std::chrono::milliseconds(10));
    while (const auto received = pull->receive()) take(*received);
  }
  EXPECT_EQ(outlet->folder().counts().served, 30U);
  outlet.reset();
  while (told.size() < 2) {
    pull->wait(never, std::chrono::milliseconds(10));
    while (const auto received = pull->receive()) take(*received);
  }
  EXPECT_THAT(told, testing::ElementsAre("start", "end"));
  EXPECT_EQ(open()->folder().counts().waiting, 0U);
}

}  // namespace
}  // namespace peaknet::live
