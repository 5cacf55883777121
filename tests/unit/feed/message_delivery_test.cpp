#include "feed/message_delivery.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <stop_token>
#include <vector>

#include "feed/decoders/npz.hpp"
#include "feed/decoders/zip.hpp"
#include "tests/unit/feed/files.hpp"
#include "tests/unit/feed/messages.hpp"
#include "tests/unit/feed/reader.hpp"

namespace peaknet::feed {
namespace {

using shm::Counter;
using shm::SlotState;
using test::counting;
using test::must;
using test::NpzWriter;
using test::TestInstance;
using Bytes = std::vector<std::byte>;
using Outcome = Delivery::Outcome;

constexpr shm::Geometry kFrames{16, 1, 32, 64, PixelType::float32};  // an image is two pages
constexpr std::size_t kEvent = std::size_t{32} * 64;

template <class Pixel>
Bytes three_events(bool deflate = true) {
  NpzWriter writer(deflate);
  writer.add<Pixel>("detector_data", {3, 1, 32, 64}, counting<Pixel>(3 * kEvent, 10007));
  writer.add<std::uint64_t>("timestamp", {3}, {7, 8, 9});
  return writer.bytes();
}

std::uint32_t in_state(const TestInstance& instance, SlotState state) {
  return instance.pool().count_states()[static_cast<std::size_t>(state)];
}

// How many slots are claimed once the message is open, before its first frame is delivered; then all of them are, and
// must arrive as they were sent.
std::uint32_t claimed_when_open(const TestInstance& instance, const Bytes& message) {
  const auto producer = instance.producer();
  shm::ContiguousClaims rows(*producer);
  NpzDecoder decoder({});
  std::uint32_t claimed = 0;
  {
    MessageDelivery delivery(*producer, rows);
    const auto source = must(delivery.open(decoder, message));
    claimed = in_state(instance, SlotState::filling);
    for (std::uint64_t i = 0; i < source->size(); ++i) {
      EXPECT_EQ(delivery.deliver(*source, i, {}).outcome, Outcome::committed);
    }
  }
  EXPECT_EQ(in_state(instance, SlotState::filling), 0U);
  const auto arrived = test::Reader(instance).take();
  EXPECT_EQ(arrived.size(), 3U);
  const auto pixels = counting<float>(3 * kEvent, 10007);
  for (std::size_t i = 0; i < arrived.size(); ++i) {
    const auto begin = pixels.begin() + static_cast<std::ptrdiff_t>(i * kEvent);
    EXPECT_EQ(arrived[i].pixels<float>(), std::vector<float>(begin, begin + kEvent));
    EXPECT_EQ(arrived[i].info.timestamp, 7 + i);
    EXPECT_EQ(arrived[i].info.producer_seq, i);
  }
  EXPECT_EQ(instance.total(Counter::claimed), instance.total(Counter::committed));
  EXPECT_BALANCED(instance);
  return claimed;
}

TEST(MessageDelivery, ADeflatedMessageIsUnpackedIntoTheSlotsThemselves) {
  const TestInstance instance({.geometry = kFrames});
  EXPECT_EQ(claimed_when_open(instance, three_events<float>()), 4U);
}

TEST(MessageDelivery, WhereSlotsAreRareItIsCopiedIntoOneAfterTheOther) {
  auto few = kFrames;
  few.slots = 7;
  const TestInstance instance({.geometry = few});
  EXPECT_EQ(claimed_when_open(instance, three_events<float>()), 0U);
}

TEST(MessageDelivery, SoAreAStoredMessageAndOneOfAnotherNumberType) {
  const TestInstance instance({.geometry = kFrames});
  EXPECT_EQ(claimed_when_open(instance, three_events<float>(false)), 0U);
  const TestInstance another({.geometry = kFrames});
  EXPECT_EQ(claimed_when_open(another, three_events<std::uint16_t>()), 0U);
}

TEST(MessageDelivery, ADamagedMessageCostsNoFrameAndNoSlot) {
  const TestInstance instance({.geometry = kFrames, .full = shm::FullPolicy::drop_oldest});
  const auto producer = instance.producer();
  for (int i = 0; i < 4; ++i) must(must(producer->claim({})).commit());
  auto message = three_events<float>();
  // The checksum of the images, in the local header and in the directory: all is well but that.
  const auto crc = must(zip_members(message)).front().crc;
  for (std::size_t at = 0, found = 0; at + 4 <= message.size() && found < 2; ++at) {
    if (std::memcmp(message.data() + at, &crc, 4) != 0) continue;
    message[at] ^= std::byte{1};
    ++found;
  }
  shm::ContiguousClaims rows(*producer);
  NpzDecoder decoder({});
  {
    MessageDelivery delivery(*producer, rows);
    const auto opened = delivery.open(decoder, message);
    ASSERT_FALSE(opened.ok());
    EXPECT_EQ(opened.error().id, "npz.damaged");
    EXPECT_EQ(instance.total(Counter::claimed), 4U + 3U);  // it had come as far as the slots
  }
  EXPECT_EQ(in_state(instance, SlotState::free), 12U);
  EXPECT_EQ(in_state(instance, SlotState::ready), 4U);
  EXPECT_EQ(instance.total(Counter::aborted), 3U);
}

TEST(MessageDelivery, AStopInTheMiddleGivesTheOtherSlotsBack) {
  const TestInstance instance({.geometry = kFrames});
  const auto producer = instance.producer();
  shm::ContiguousClaims rows(*producer);
  NpzDecoder decoder({});
  const auto message = three_events<float>();
  std::stop_source stop;
  {
    MessageDelivery delivery(*producer, rows);
    const auto source = must(delivery.open(decoder, message));
    EXPECT_EQ(delivery.deliver(*source, 0, stop.get_token()).outcome, Outcome::committed);
    stop.request_stop();
    EXPECT_EQ(delivery.deliver(*source, 1, stop.get_token()).outcome, Outcome::stopped);
  }
  EXPECT_EQ(in_state(instance, SlotState::free), 15U);
  EXPECT_EQ(instance.total(Counter::committed), 1U);
}

}  // namespace
}  // namespace peaknet::feed
