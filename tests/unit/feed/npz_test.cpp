#include "feed/decoders/npz.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include "feed/bad_pixels.hpp"
#include "feed/decoders/npy.hpp"
#include "tests/unit/feed/files.hpp"
#include "tests/unit/feed/messages.hpp"
#include "tests/unit/feed/reader.hpp"

namespace peaknet::feed {
namespace {

using test::counting;
using test::fill;
using test::must;
using test::NpzWriter;
using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr shm::Geometry kFloats{8, 2, 12, 20, PixelType::float32};
constexpr std::size_t kEvent = std::size_t{2} * 12 * 20;
using Bytes = std::vector<std::byte>;

std::vector<float> part(const std::vector<float>& values, std::size_t event, std::size_t pixels = kEvent) {
  const auto begin = values.begin() + static_cast<std::ptrdiff_t>(event * pixels);
  return {begin, begin + static_cast<std::ptrdiff_t>(pixels)};
}

// Three events as production sends them: merged panels, times, wavelengths in nm, original shape.
Bytes three_events(bool deflate) {
  return NpzWriter(deflate)
      .add<std::uint64_t>("timestamp", {3},
                          {std::uint64_t{1'700'000'010} << 32 | 1U, std::uint64_t{1'700'000'011} << 32, 0})
      .add<float>("detector_data", {6, 1, 12, 20}, counting<float>(3 * kEvent, 10007))
      .add<double>("photon_wavelength", {3}, {0.127, 0.0, 0.13})
      .add<std::int32_t>("detector_data_original_shape", {4}, {3, 2, 12, 20})
      .bytes();
}

Error refused(const Bytes& message, const shm::Geometry& geometry = kFloats, const DecodeOptions& options = {}) {
  NpzDecoder decoder(options);
  auto opened = decoder.open(message, geometry);
  if (opened.ok()) throw std::runtime_error("the message was not refused");
  return opened.error();
}

class NpzBothWays : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(StoredAndDeflated, NpzBothWays, testing::Bool(),
                         [](const auto& how) { return how.param ? "deflated" : "stored"; });

TEST_P(NpzBothWays, AMessageGivesItsEventsWithTimeAndEnergy) {
  NpzDecoder decoder({});
  const auto message = three_events(GetParam());
  const auto source = must(decoder.open(message, kFloats));
  ASSERT_EQ(source->size(), 3U);
  const auto all = counting<float>(3 * kEvent, 10007);
  for (std::uint64_t i = 0; i < 3; ++i) EXPECT_EQ(fill(*source, i).pixels<float>(), part(all, i));
  const auto first = fill(*source, 0), second = fill(*source, 1);
  EXPECT_EQ(first.info.timestamp, std::uint64_t{1'700'000'010} << 32 | 1U);
  EXPECT_NEAR(first.info.photon_energy_ev, 9762.5, 0.5);
  EXPECT_TRUE(std::isnan(second.info.photon_energy_ev));
  EXPECT_EQ(fill(*source, 2).info.timestamp, 0U);
  EXPECT_EQ(first.info.flags, 0U);
}

TEST_P(NpzBothWays, APartialLastBatchAndABatchOfPanelsAreNothingSpecial) {
  NpzDecoder decoder({});
  const auto one = NpzWriter(GetParam()).add<float>("detector_data", {1, 2, 12, 20}, counting<float>(kEvent)).bytes();
  const auto source = must(decoder.open(one, kFloats));
  ASSERT_EQ(source->size(), 1U);
  EXPECT_EQ(fill(*source, 0).pixels<float>(), counting<float>(kEvent));
  EXPECT_TRUE(std::isnan(fill(*source, 0).info.photon_energy_ev));  // absent stays absent
  const auto none = NpzWriter(GetParam()).add<float>("detector_data", {0, 2, 12, 20}, {}).bytes();
  EXPECT_EQ(must(decoder.open(none, kFloats))->size(), 0U);
}

TEST_P(NpzBothWays, OnePanelPoolsTakeThreeDimensions) {
  NpzDecoder decoder({});
  const shm::Geometry pool{8, 1, 12, 20, PixelType::int16};
  const auto message =
      NpzWriter(GetParam()).add<std::int16_t>("detector_data", {4, 12, 20}, counting<std::int16_t>(960)).bytes();
  const auto source = must(decoder.open(message, pool));
  ASSERT_EQ(source->size(), 4U);
  EXPECT_EQ(fill(*source, 3).pixels<std::int16_t>().front(), 720 % 251);
}

TEST_P(NpzBothWays, Float64IsRoundedAndThatIsReported) {
  NpzDecoder decoder({});
  std::vector<double> values(2 * kEvent, 0.5);
  values[kEvent + 3] = 0.1;
  const auto message = NpzWriter(GetParam()).add<double>("detector_data", {2, 2, 12, 20}, values).bytes();
  const auto source = must(decoder.open(message, kFloats));
  Bytes image(kFloats.image_bytes());
  shm::FrameDescriptor info;
  EXPECT_FALSE(must(source->fill(0, {image, info})).narrowed);
  EXPECT_TRUE(must(source->fill(1, {image, info})).narrowed);
}

TEST_P(NpzBothWays, OneBadEventIsRefusedAndItsNeighboursAreNot) {
  NpzDecoder decoder({});
  auto values = counting<float>(3 * kEvent);
  values[kEvent + 25] = -1.0F;
  const auto message = NpzWriter(GetParam()).add<float>("detector_data", {3, 2, 12, 20}, values).bytes();
  shm::Geometry counts = kFloats;
  counts.pixel_type = PixelType::uint16;
  const auto source = must(decoder.open(message, counts));
  fill(*source, 0);
  const Error error = test::fill_error(*source, 1);
  EXPECT_EQ(error.id, "frame.value");
  EXPECT_THAT(error.text(), AllOf(HasSubstr("panel 0, y 1, x 5"), HasSubstr("-1"), HasSubstr("int16")));
  EXPECT_EQ(fill(*source, 2).pixels<std::uint16_t>()[1], (2 * kEvent + 1) % 251);
}

// --- padding ---------------------------------------------------------------------------------------------------------

// Two panels of 9x17 padded to 12x20, with the original part where `top`, `left` say.
Bytes padded(std::size_t top, std::size_t left) {
  std::vector<float> values(kEvent, 0.0F);
  for (std::size_t panel = 0; panel < 2; ++panel) {
    for (std::size_t y = 0; y < 9; ++y) {
      for (std::size_t x = 0; x < 17; ++x)
        values[(panel * 12 + top + y) * 20 + left + x] = static_cast<float>(1 + panel * 1000 + y * 20 + x);
    }
  }
  return NpzWriter()
      .add<float>("detector_data", {2, 1, 12, 20}, values)
      .add<std::int32_t>("detector_data_original_shape", {4}, {1, 2, 9, 17})
      .bytes();
}

TEST(Npz, APoolOfThePaddedShapeKeepsThePaddingAndSaysWhereTheOriginalIs) {
  DecodeOptions options;
  NpzDecoder bottom_right(options);
  const auto a = padded(0, 0);
  const auto frame = fill(*must(bottom_right.open(a, kFloats)), 0);
  EXPECT_EQ(frame.info.original_height, 9U);
  EXPECT_EQ(frame.info.original_width, 17U);
  EXPECT_EQ(frame.info.pad_top, 0U);
  EXPECT_EQ(frame.info.pad_left, 0U);
  options.pad = config::PadStyle::center;
  options.normalised = true;
  NpzDecoder center(options);
  const auto b = padded(1, 1);
  const auto centred = fill(*must(center.open(b, kFloats)), 0);
  EXPECT_EQ(centred.info.pad_top, 1U);
  EXPECT_EQ(centred.info.pad_left, 1U);
  EXPECT_EQ(centred.info.flags, shm::kFlagNormalised);
}

TEST(Npz, TwoArraysOfOneNameAreRefused) {
  const auto twice = NpzWriter()
                         .add<float>("detector_data", {1, 2, 12, 20}, counting<float>(kEvent))
                         .add<float>("detector_data", {1, 2, 12, 20}, std::vector<float>(kEvent))
                         .bytes();
  EXPECT_THAT(refused(twice).text(), AllOf(HasSubstr("is there twice"), HasSubstr("[npz.damaged]")));
  const auto twins = NpzWriter()
                         .add<float>("detector_data", {1, 2, 12, 20}, counting<float>(kEvent))
                         .add<float>("/detector_data", {1, 2, 12, 20}, std::vector<float>(kEvent))
                         .bytes();
  EXPECT_THAT(refused(twins).text(), HasSubstr("is there twice"));
}

// The directory of the last would be believed, and nothing said of the others.
TEST(Npz, SeveralArchivesPutTogetherAreNotTheLastOfThem) {
  Bytes all = three_events(false);
  const Bytes last = three_events(false);
  all.insert(all.end(), last.begin(), last.end());
  EXPECT_EQ(refused(all).id, "npz.damaged");
}

TEST(Npz, OfTheOriginalPartTheBadPixelsAreWhereThePoolHasThem) {
  const shm::Geometry original{8, 1, 9, 17, PixelType::uint16};
  std::vector<std::uint8_t> bad(original.pixels());
  bad[2 * 17 + 3] = 1;
  std::vector<std::int32_t> values(std::size_t{12} * 20, 5);
  values[2 * 20 + 3] = values.back() = 70000;
  NpzDecoder decoder({});
  const auto message = [&] {
    return NpzWriter()
        .add<std::int32_t>("detector_data", {1, 1, 12, 20}, values)
        .add<std::int32_t>("detector_data_original_shape", {4}, {1, 1, 9, 17})
        .bytes();
  };
  const auto good = message();
  MarkedSource taken(must(decoder.open(good, original)), bad);
  const auto pixels = fill(taken, 0).pixels<std::uint16_t>();
  EXPECT_EQ(pixels[2 * 17 + 3], 65535);
  EXPECT_EQ(std::count(pixels.begin(), pixels.end(), 5), std::ptrdiff_t{9 * 17 - 1});
  values[3 * 20 + 4] = 70000;
  const auto beside = message();
  MarkedSource not_taken(must(decoder.open(beside, original)), bad);
  EXPECT_THAT(test::fill_error(not_taken, 0).what, AllOf(HasSubstr("y 3, x 4"), Not(HasSubstr("other pixels"))));
}

TEST(Npz, APoolOfTheOriginalShapeTakesTheOriginalPart) {
  const shm::Geometry original{8, 2, 9, 17, PixelType::uint16};
  for (const bool center : {false, true}) {
    DecodeOptions options;
    options.pad = center ? config::PadStyle::center : config::PadStyle::bottom_right;
    NpzDecoder decoder(options);
    const auto message = center ? padded(1, 1) : padded(0, 0);
    const auto frame = fill(*must(decoder.open(message, original)), 0);
    const auto pixels = frame.pixels<std::uint16_t>();
    for (std::size_t i = 0; i < pixels.size(); ++i) {
      ASSERT_EQ(pixels[i], 1 + i / (9 * 17) * 1000 + i / 17 % 9 * 20 + i % 17) << i;
    }
    EXPECT_EQ(frame.info.original_height, 9U);
    EXPECT_EQ(frame.info.pad_top, 0U);
  }
}

// --- refusals --------------------------------------------------------------------------------------------------------

TEST(Npz, ShapesThatThePoolDoesNotHaveAreRefusedByName) {
  const auto shape = [](const std::vector<std::uint64_t>& dims) {
    std::size_t n = 1;
    for (const auto d : dims) n *= d;
    return NpzWriter().add<float>("detector_data", dims, std::vector<float>(n)).bytes();
  };
  EXPECT_THAT(refused(shape({1, 2, 12, 21})).text(),
              AllOf(HasSubstr("[1,2,12,21]"), HasSubstr("[2,12,20]"), HasSubstr("pool.shape")));
  for (const auto& dims :
       {std::vector<std::uint64_t>{3, 1, 12, 20}, {1, 3, 12, 20}, {12, 20}, {1, 1, 2, 12, 20}, {2, 2, 20, 12}}) {
    EXPECT_EQ(refused(shape(dims)).id, "frame.shape");
  }
  const auto other_panels = NpzWriter()
                                .add<float>("detector_data", {6, 1, 12, 20}, std::vector<float>(3 * kEvent))
                                .add<std::int32_t>("detector_data_original_shape", {4}, {2, 3, 12, 20})
                                .bytes();
  EXPECT_EQ(refused(other_panels).id, "frame.shape");
}

TEST(Npz, FieldsThatDoNotFitTheImagesAreRefused) {
  const std::vector<float> images(2 * kEvent);
  const auto with = [&] { return NpzWriter().add<float>("detector_data", {2, 2, 12, 20}, images); };
  EXPECT_EQ(refused(with().add<std::uint64_t>("timestamp", {4}, {1, 2, 3, 4}).bytes()).id, "message.bad-field");
  EXPECT_EQ(refused(with().add<std::int32_t>("detector_data_original_shape", {3}, {2, 2, 12}).bytes()).id,
            "message.bad-field");
  EXPECT_EQ(refused(with().add<std::int32_t>("detector_data_original_shape", {4}, {2, 2, 13, 20}).bytes()).id,
            "message.bad-field");
  EXPECT_EQ(refused(with().add<std::int32_t>("detector_data_original_shape", {4}, {2, 2, -1, 20}).bytes()).id,
            "message.bad-field");
  EXPECT_EQ(refused(with().add<std::int32_t>("detector_data_original_shape", {4}, {9, 2, 12, 20}).bytes()).id,
            "message.bad-field");
}

TEST(Npz, AMessageWithoutImagesSaysWhatItHas) {
  const auto message = NpzWriter().add<std::uint64_t>("timestamp", {1}, {1}).bytes();
  EXPECT_EQ(refused(message).id, "message.missing-field");
  EXPECT_THAT(refused(message).text(),
              AllOf(HasSubstr("detector_data.npy"), HasSubstr("timestamp.npy"), HasSubstr("--image-field")));
  EXPECT_EQ(refused(NpzWriter().bytes()).id, "message.missing-field");
}

TEST(Npz, OtherNamesAreReadWhereTheyAreConfigured) {
  DecodeOptions options;
  options.image = "epix";
  options.wavelength = "lambda";
  options.wavelength_unit = config::WavelengthUnit::angstrom;
  NpzDecoder decoder(options);
  const auto message = NpzWriter()
                           .add<float>("epix", {1, 2, 12, 20}, counting<float>(kEvent))
                           .add<double>("lambda", {1}, {1.27})
                           .bytes();
  EXPECT_NEAR(fill(*must(decoder.open(message, kFloats)), 0).info.photon_energy_ev, 9762.5, 0.5);
}

TEST(Npz, OlderTimesAsFloatsAreUnderstood) {
  NpzDecoder decoder({});
  const auto message = NpzWriter()
                           .add<float>("detector_data", {1, 2, 12, 20}, counting<float>(kEvent))
                           .add<double>("timestamp", {1}, {1'700'000'012.5})
                           .bytes();
  EXPECT_EQ(fill(*must(decoder.open(message, kFloats)), 0).info.timestamp,
            std::uint64_t{1'700'000'012} << 32 | 500'000'000U);
}

TEST(Npz, EveryTruncationIsRefused) {
  for (const bool deflate : {false, true}) {
    const Bytes whole = three_events(deflate);
    for (std::size_t bytes = 0; bytes < whole.size(); bytes += bytes < 400 || bytes + 600 > whole.size() ? 1 : 37) {
      const Error error = refused(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(bytes)));
      EXPECT_THAT(error.id, StartsWith("npz.")) << bytes;
    }
  }
}

TEST(Npz, AFlippedBitIsRefusedOrChangesNothingThatIsUsed) {
  const auto all = counting<float>(3 * kEvent, 10007);
  std::mt19937 random(7);
  for (const bool deflate : {false, true}) {
    const Bytes whole = three_events(deflate);
    std::size_t accepted = 0;
    for (int i = 0; i < 4000; ++i) {
      Bytes flipped = whole;
      // Half of them where the structure is: in the first and the last bytes.
      const std::size_t at =
          i % 2 == 0 ? random() % whole.size() : (i % 4 == 1 ? random() % 500 : whole.size() - 1 - random() % 500);
      flipped[at] ^= std::byte{1} << (random() % 8);
      NpzDecoder decoder({});
      const auto opened = decoder.open(flipped, kFloats);
      if (!opened) {
        EXPECT_THAT(opened.error().id, AnyOf(StartsWith("npz."), StartsWith("message."), "frame.shape"));
        continue;
      }
      ++accepted;
      // Only what is not looked at may differ (times of writing, the names of fields that need not be there).
      for (std::uint64_t event = 0; event < (*opened)->size(); ++event)
        EXPECT_EQ(fill(**opened, event).pixels<float>(), part(all, event));
      EXPECT_EQ((*opened)->size(), 3U);
    }
    EXPECT_LT(accepted, 2000U);
  }
}

TEST(Npz, WhatAMessageClaimsIsCheckedBeforeMemoryIsTaken) {
  // A few bytes that claim terabytes of images of the right shape, and a member that claims them too.
  const std::uint64_t events = 10'000'000, bytes = events * kEvent * 4;
  const auto header = NpzWriter::npy(NpzWriter::header("<f4", {events, 2, 12, 20}), Bytes(100));
  const auto claims = NpzWriter(true).add_member("detector_data.npy", header, header.size() - 100 + bytes).bytes();
  EXPECT_EQ(refused(claims).id, "message.too-many-events");
  DecodeOptions options;
  options.limits.events = ~std::uint64_t{0};
  EXPECT_EQ(refused(claims, kFloats, options).id, "message.too-large");
  // A shape that overflows.
  const auto overflow = NpzWriter::npy(NpzWriter::header("<f4", {std::uint64_t{1} << 62, 4, 12, 20}), Bytes(100));
  EXPECT_EQ(refused(NpzWriter().add_member("detector_data.npy", overflow).bytes()).id, "npz.damaged");
  // A small field that claims much.
  const auto times = NpzWriter::npy(NpzWriter::header("<u8", {1'000'000}), Bytes(8'000'000));
  const auto long_field = NpzWriter(true)
                              .add<float>("detector_data", {1, 2, 12, 20}, std::vector<float>(kEvent))
                              .add_member("timestamp.npy", times)
                              .bytes();
  EXPECT_EQ(refused(long_field).id, "message.bad-field");
}

TEST(Npz, AZipBombIsUnpackedNoFurtherThanItsArray) {
  // 16 MiB of zeros in a member whose header is that of one event: the rest is never unpacked.
  auto bomb = NpzWriter::npy(NpzWriter::header("<f4", {1, 2, 12, 20}), Bytes(std::size_t{16} << 20));
  EXPECT_EQ(refused(NpzWriter(true).add_member("detector_data.npy", bomb).bytes()).id, "npz.damaged");
  // The same, with a directory that lies about the size.
  const auto lying =
      NpzWriter(true).add_member("detector_data.npy", bomb, bomb.size() - (std::size_t{16} << 20) + kEvent * 4).bytes();
  EXPECT_EQ(refused(lying).id, "npz.damaged");
}

TEST(Npz, WhatNumpyDoesNotWriteIsRefused) {
  const Bytes raw(kEvent * 4);
  const auto with_header = [&](const std::string& header) {
    return refused(NpzWriter().add_member("detector_data.npy", NpzWriter::npy(header, raw)).bytes());
  };
  EXPECT_EQ(with_header(NpzWriter::header("<c8", {1, 2, 12, 20})).id, "npz.unsupported");
  EXPECT_EQ(with_header("{'descr': '<f4'}").id, "npz.damaged");
  EXPECT_EQ(with_header("nonsense").id, "npz.damaged");
  EXPECT_EQ(refused(NpzWriter().add_member("detector_data.npy", Bytes(200)).bytes()).id, "npz.damaged");
  NpzWriter many;
  for (int i = 0; i < 300; ++i) many.add<float>("field" + std::to_string(i), {1}, {0.0F});
  EXPECT_EQ(refused(many.bytes()).id, "npz.unsupported");
}

Bytes packed_values(const std::vector<std::uint64_t>& values) {
  Bytes bytes(values.size() * sizeof(std::uint64_t));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

TEST(Npz, AnImageIsNotThrownAwayForItsFacts) {
  const auto images = counting<float>(2 * kEvent);
  const auto open = [&](NpzWriter writer) {
    NpzDecoder decoder({});
    const auto message = writer.add<float>("detector_data", {2, 2, 12, 20}, images).bytes();
    const auto source = must(decoder.open(message, kFloats));
    const auto frame = fill(*source, 1);
    EXPECT_EQ(frame.pixels<float>(), std::vector<float>(images.begin() + kEvent, images.end()));
    return frame.info;
  };
  const auto raw = [](auto... values) { return packed_values({static_cast<std::uint64_t>(values)...}); };
  const auto member = [&](const char* name, const char* descr, std::vector<std::uint64_t> dims, const Bytes& bytes) {
    return NpzWriter().add_member(std::string(name) + ".npy", NpzWriter::npy(NpzWriter::header(descr, dims), bytes));
  };
  EXPECT_NEAR(open(NpzWriter().add<double>("photon_wavelength", {}, {0.13})).photon_energy_ev, 9537.2, 0.1);
  EXPECT_NEAR(open(NpzWriter().add<double>("wavelength", {1}, {0.13})).photon_energy_ev, 9537.2, 0.1);
  EXPECT_TRUE(std::isnan(open(NpzWriter().add<double>("photon_wavelength", {3}, {0.13, 0.13, 0.13})).photon_energy_ev));
  EXPECT_TRUE(std::isnan(open(NpzWriter().add<double>("photon_wavelength", {}, {13.0})).photon_energy_ev));
  EXPECT_EQ(open(NpzWriter().add<std::uint64_t>("timestamp", {}, {1'700'000'007ULL << 32})).timestamp,
            1'700'000'007ULL << 32);
  constexpr std::uint64_t kBig = 0x0000'0000'00f1'5365;  // 0x6553f100 << 32, in the other order
  EXPECT_EQ(open(member("timestamp", ">u8", {2}, raw(std::uint64_t{1} << 24, kBig))).timestamp, 0x6553'f100ULL << 32);
  const std::int64_t then = 1'772'366'400'500'000'000;
  EXPECT_EQ(open(member("timestamp", "<M8[ns]", {2}, raw(then, then))).timestamp, 1772366400ULL << 32 | 500'000'000U);
  EXPECT_EQ(open(member("timestamp", "<M8[D]", {2}, raw(then, then))).timestamp, 0U);
  EXPECT_EQ(open(member("timestamp", "<c8", {2}, raw(then, then))).timestamp, 0U);
  // psana2 counts from 1990.
  EXPECT_EQ(open(NpzWriter().add<std::uint64_t>("timestamp", {}, {1'141'171'200ULL << 32})).timestamp,
            1'772'323'200ULL << 32);
}

TEST(Npz, ImagesInAnyOrderOfBytesAndIndicesAreTaken) {
  NpzDecoder decoder({});
  const auto values = counting<std::uint16_t>(2 * kEvent, 60000);
  std::vector<float> expected(values.begin() + kEvent, values.end());
  Bytes big;
  for (const std::uint16_t value : values) {
    big.push_back(static_cast<std::byte>(value >> 8));
    big.push_back(static_cast<std::byte>(value));
  }
  const auto message = [](const std::string& header, const Bytes& raw) {
    return NpzWriter(true).add_member("detector_data.npy", NpzWriter::npy(header, raw)).bytes();
  };
  const auto swapped = message(NpzWriter::header(">u2", {2, 2, 12, 20}), big);
  EXPECT_EQ(fill(*must(decoder.open(swapped, kFloats)), 1).pixels<float>(), expected);

  std::vector<float> fortran(2 * kEvent);
  for (std::size_t i = 0; i < fortran.size(); ++i) {
    const std::size_t x = i % 20, y = i / 20 % 12, panel = i / 240 % 2, event = i / 480;
    fortran[event + 2 * (panel + 2 * (y + 12 * x))] = static_cast<float>(values[i]);
  }
  const auto bytes = std::as_bytes(std::span(fortran));
  const auto other = message(NpzWriter::header("<f4", {2, 2, 12, 20}, true), Bytes(bytes.begin(), bytes.end()));
  EXPECT_EQ(fill(*must(decoder.open(other, kFloats)), 1).pixels<float>(), expected);

  Bytes halves;
  for (std::size_t i = 0; i < 2 * kEvent; ++i) halves.insert(halves.end(), {std::byte{0x00}, std::byte{0x3e}});  // 1.5
  const auto half = message(NpzWriter::header("<f2", {2, 2, 12, 20}), halves);
  EXPECT_EQ(fill(*must(decoder.open(half, kFloats)), 0).pixels<float>(), std::vector<float>(kEvent, 1.5F));
}

TEST(NpyHeader, IsReadInAnyOrderAndWithAnyNumberOfDimensions) {
  const auto a = must(parse_npy_header("{'shape': (3,), 'fortran_order': False, 'descr': \"<u8\"}", "a"));
  EXPECT_EQ(a.dims, std::vector<std::uint64_t>{3});
  EXPECT_EQ(a.bytes, 24U);
  const auto scalar = must(parse_npy_header("{'descr': '|u1', 'fortran_order': False, 'shape': (), }  \n", "a"));
  EXPECT_EQ(scalar.elements(), 1U);
  for (const char* bad :
       {"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2, 3, 4, 5, 6, 7, 8, 9), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,",
        "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), } x", "{'descr': '<f4' 'fortran_order': False}", ""}) {
    EXPECT_EQ(parse_npy_header(bad, "a").error().id, "npz.damaged") << bad;
  }
}

// A NumPy array of fixed-length texts: |S or <U.
Bytes texts(const std::vector<std::string>& values, std::size_t width, bool wide) {
  Bytes raw(values.size() * width * (wide ? 4 : 1));
  for (std::size_t i = 0; i < values.size(); ++i) {
    for (std::size_t j = 0; j < values[i].size(); ++j)
      raw[(i * width + j) * (wide ? 4 : 1)] = static_cast<std::byte>(values[i][j]);
  }
  return NpzWriter::npy(NpzWriter::header((wide ? "<U" : "|S") + std::to_string(width), {values.size()}), raw);
}

TEST(Npz, TimesAsTextsAreUnderstood) {
  for (const bool wide : {false, true}) {
    NpzDecoder decoder({});
    const auto message = NpzWriter(true)
                             .add<float>("detector_data", {2, 2, 12, 20}, counting<float>(2 * kEvent))
                             .add_member("timestamp.npy", texts({"1362118138.401000123", "1362118139.7"}, 20, wide))
                             .bytes();
    const auto source = must(decoder.open(message, kFloats));
    EXPECT_EQ(fill(*source, 0).info.timestamp, std::uint64_t{1362118138} << 32 | 401'000'123U);
    EXPECT_EQ(fill(*source, 1).info.timestamp, std::uint64_t{1362118139} << 32 | 7U);
  }
  // Numbers as texts, and too many times.
  NpzDecoder decoder({});
  const auto message = NpzWriter()
                           .add<float>("detector_data", {1, 2, 12, 20}, counting<float>(kEvent))
                           .add_member("photon_wavelength.npy", texts({"0.127"}, 5, false))
                           .bytes();
  EXPECT_NEAR(fill(*must(decoder.open(message, kFloats)), 0).info.photon_energy_ev, 9762.5, 0.5);
  EXPECT_EQ(decoder
                .open(NpzWriter()
                          .add<float>("detector_data", {1, 2, 12, 20}, counting<float>(kEvent))
                          .add_member("timestamp.npy", texts({"1", "2"}, 1, false))
                          .bytes(),
                      kFloats)
                .error()
                .id,
            "message.bad-field");
}

TEST(Npz, TheRawImageWinsWhenBothAreSent) {
  DecodeOptions options;
  options.normalised = true;
  NpzDecoder decoder(options);
  const std::vector<float> raw(kEvent, 1234.0F);
  const auto both = NpzWriter()
                        .add<float>("detector_data", {1, 2, 12, 20}, std::vector<float>(kEvent, 0.5F))
                        .add<std::int32_t>("detector_data_original_shape", {4}, {1, 2, 11, 19})
                        .add<float>("detector_data_raw", {1, 2, 12, 20}, raw)
                        .bytes();
  const auto frame = fill(*must(decoder.open(both, kFloats)), 0);
  EXPECT_EQ(frame.pixels<float>(), raw);
  EXPECT_EQ(frame.info.flags & shm::kFlagNormalised, 0U);
  EXPECT_EQ(frame.info.original_height, 12U);  // the original shape is the other image's
  const auto one = NpzWriter().add<float>("detector_data", {1, 2, 12, 20}, raw).bytes();
  EXPECT_NE(fill(*must(decoder.open(one, kFloats)), 0).info.flags & shm::kFlagNormalised, 0U);
}

}  // namespace
}  // namespace peaknet::feed
