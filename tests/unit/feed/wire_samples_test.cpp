// Messages as lclstreamer's own serializers made them, against the HDF5 originals.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <optional>

#include "feed/decoders/decoder.hpp"
#include "tests/unit/feed/reader.hpp"
#include "tests/unit/feed/samples.hpp"

namespace peaknet::feed {
namespace {

using test::fill;
using test::must;
using ::testing::HasSubstr;

constexpr std::size_t kPanel = test::Samples::kPanel;

class WireSamples : public testing::Test {
 protected:
  void SetUp() override {
    samples_ = test::Samples::find();
    if (!samples_) GTEST_SKIP() << "no samples of lclstreamer's messages in ../shared/data/wire";
  }

  // Opens a sample; the message lives as long as the test.
  std::unique_ptr<FrameSource> open(const std::string& name, const shm::Geometry& geometry,
                                    const DecodeOptions& options = {}) {
    message_ = samples_->message(name);
    decoder_ = make_decoder(options);
    return must(decoder_->open(message_, geometry));
  }

  void expect_original(const test::Arrived& frame, std::uint64_t event, std::size_t panels) {
    EXPECT_EQ(frame.pixels<float>(), samples_->image(event, panels)) << "event " << event;
    EXPECT_NEAR(frame.info.photon_energy_ev, samples_->energy(event), 0.1);
    EXPECT_EQ(frame.info.timestamp, test::Samples::timestamp(event));
  }

  std::optional<test::Samples> samples_;
  std::vector<std::byte> message_;
  std::unique_ptr<Decoder> decoder_;
};

constexpr shm::Geometry kTwoPanels{8, 2, 185, 388, PixelType::float32};
constexpr shm::Geometry kTwoPadded{8, 2, 192, 416, PixelType::float32};
constexpr shm::Geometry kOnePanel{8, 1, 185, 388, PixelType::float32};

TEST_F(WireSamples, StoredNpzMessagesAreTheDetectorsImages) {
  const auto first = open("npz_stored_raw_0.bin", kTwoPanels);
  ASSERT_EQ(first->size(), 3U);
  for (std::uint64_t event = 0; event < 3; ++event) expect_original(fill(*first, event), event, 2);
  const auto last = open("npz_stored_raw_1.bin", kTwoPanels);
  ASSERT_EQ(last->size(), 1U);
  expect_original(fill(*last, 0), 3, 2);
}

TEST_F(WireSamples, CountsThatCameAsFloatsGoIntoAnIntegerPool) {
  shm::Geometry counts = kTwoPanels;
  counts.pixel_type = PixelType::int16;
  const auto source = open("npz_stored_raw_0.bin", counts);
  const auto original = samples_->image(1, 2);
  EXPECT_EQ(fill(*source, 1).pixels<std::int16_t>(), std::vector<std::int16_t>(original.begin(), original.end()));
}

TEST_F(WireSamples, CentredDeflatedNpzMessagesAreUnpaddedWhereThePoolHasTheDetectorsShape) {
  DecodeOptions options;
  options.pad = config::PadStyle::center;
  const auto first = open("npz_deflate_center_0.bin", kTwoPanels, options);
  ASSERT_EQ(first->size(), 3U);
  for (std::uint64_t event = 0; event < 3; ++event) expect_original(fill(*first, event), event, 2);
  const auto last = open("npz_deflate_center_1.bin", kTwoPanels, options);
  expect_original(fill(*last, 0), 3, 2);
  const auto padded = fill(*open("npz_deflate_center_0.bin", kTwoPadded, options), 0);
  EXPECT_EQ(padded.info.original_height, 185U);
  EXPECT_EQ(padded.info.original_width, 388U);
  EXPECT_EQ(padded.info.pad_top, 3U);
  EXPECT_EQ(padded.info.pad_left, 14U);
}

TEST_F(WireSamples, NormalisedNpzMessagesAreMarkedAndAreTheNormalisedImages) {
  DecodeOptions options;
  options.normalised = true;
  const auto raw = fill(*open("npz_stored_raw_0.bin", kTwoPadded), 2).pixels<float>();
  const auto frame = fill(*open("npz_deflate_norm_0.bin", kTwoPadded, options), 2);
  EXPECT_EQ(frame.info.flags, shm::kFlagNormalised);
  double mean = 0, variance = 0;
  for (const float v : raw) mean += v;
  mean /= static_cast<double>(raw.size());
  for (const float v : raw) variance += (v - mean) * (v - mean);
  variance /= static_cast<double>(raw.size());
  const auto pixels = frame.pixels<float>();
  for (std::size_t i = 0; i < raw.size(); i += 97)
    ASSERT_NEAR(pixels[i], (raw[i] - mean) / std::sqrt(variance + 1e-5), 1e-3) << i;
}

TEST_F(WireSamples, Hdf5MessagesOfEveryPackingAreTheDetectorsImages) {
  for (const char* name : {"hdf5_None_0.bin", "hdf5_gzip_with_shuffle_0.bin", "hdf5_bitshuffle_with_lz4_0.bin",
                           "hdf5_bitshuffle_with_zstd_0.bin", "hdf5flat_bitshuffle_with_lz4_0.bin", "hdf5_zfp_0.bin"}) {
    SCOPED_TRACE(name);
    const auto source = open(name, kOnePanel);
    ASSERT_EQ(source->size(), 3U);
    for (std::uint64_t event = 0; event < 3; ++event) expect_original(fill(*source, event), event, 1);
  }
}

TEST_F(WireSamples, FastBinaryMessagesAreTheDetectorsImages) {
  const auto source = open("fastbinary_none_0.bin", kTwoPanels);
  ASSERT_EQ(source->size(), 3U);
  for (std::uint64_t event = 0; event < 3; ++event) expect_original(fill(*source, event), event, 2);
}

TEST_F(WireSamples, SimplonRunsOfBothDialectsAreAStartImagesAndAnEnd) {
  for (const std::string dialect : {"simplon_new_", "simplon_pr51_"}) {
    SCOPED_TRACE(dialect);
    EXPECT_EQ(open(dialect + "0.bin", kTwoPanels)->size(), 0U);
    EXPECT_EQ(decoder_->news().kind, RunBoundary::Kind::start);
    EXPECT_EQ(decoder_->news().run, "14");
    for (const std::uint64_t event : {0U, 1U}) {
      const auto frame = fill(*open(dialect + std::to_string(event + 1) + ".bin", kTwoPanels), 0);
      EXPECT_EQ(decoder_->news().kind, RunBoundary::Kind::none);
      EXPECT_EQ(frame.pixels<float>(), samples_->image(event, 2));
      EXPECT_EQ(frame.info.timestamp, test::Samples::timestamp(0));  // of both: so they were sent
      EXPECT_EQ(frame.info.source_run_id(), "14");
      if (dialect == "simplon_new_") {
        EXPECT_TRUE(std::isnan(frame.info.photon_energy_ev));  // not in the message
      } else {
        EXPECT_NEAR(frame.info.photon_energy_ev, samples_->energy(0), 0.1);
      }
    }
    EXPECT_EQ(open(dialect + "3.bin", kTwoPanels)->size(), 0U);
    EXPECT_EQ(decoder_->news().kind, RunBoundary::Kind::end);
    EXPECT_EQ(decoder_->news().run, "14");
  }
}

TEST_F(WireSamples, ASimplonStartOfAnotherShapeIsRefused) {
  const auto decoder = make_decoder({});
  const auto start = samples_->message("simplon_new_0.bin");
  const auto opened = decoder->open(start, kOnePanel);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().id, "frame.shape");
  EXPECT_THAT(opened.error().text(), HasSubstr("[2,185,388]"));
}

}  // namespace
}  // namespace peaknet::feed
