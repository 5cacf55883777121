// Messages as lclstreamer's own serializers made them, against the HDF5 originals.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "feed/decoders/decoder.hpp"
#include "feed/hdf5_source.hpp"
#include "tests/unit/feed/files.hpp"
#include "tests/unit/feed/reader.hpp"

namespace peaknet::feed {
namespace {

using test::fill;
using test::must;
using ::testing::HasSubstr;

constexpr std::size_t kPanel = std::size_t{185} * 388;

class WireSamples : public testing::Test {
 protected:
  void SetUp() override {
    const char* folder = std::getenv("PEAKNET_SHARED_DATA");
    if (folder == nullptr) GTEST_SKIP() << "no folder ../shared/data";
    folder_ = folder;
    if (!std::filesystem::exists(folder_ + "/wire") || !std::filesystem::exists(original()))
      GTEST_SKIP() << "no samples in " << folder_;
    originals_ = must(Hdf5Source::open(original(), "/data", {8, 32, 185, 388, PixelType::int16}, Narrowing::refuse));
  }
  std::string original() const { return folder_ + "/real/lcls_cspad_thermolysin_4ev.h5"; }

  // Opens a sample; the message lives as long as the test.
  std::unique_ptr<FrameSource> open(const std::string& name, const shm::Geometry& geometry,
                                    const DecodeOptions& options = {}) {
    message_ = test::read_file(folder_ + "/wire/" + name);
    decoder_ = make_decoder(options);
    return must(decoder_->open(message_, geometry));
  }
  Error refused(const std::string& name) {
    decoder_ = make_decoder({});
    auto opened = decoder_->open(test::read_file(folder_ + "/wire/" + name), {8, 1, 185, 388, PixelType::float32});
    return opened.ok() ? Error{} : opened.error();
  }

  // The samples hold the first panels of each event.
  void expect_original(const test::Arrived& frame, std::uint64_t event, std::size_t panels) {
    const auto original = fill(*originals_, event).pixels<std::int16_t>();
    const std::vector<float> expected(original.begin(),
                                      original.begin() + static_cast<std::ptrdiff_t>(panels * kPanel));
    EXPECT_EQ(frame.pixels<float>(), expected) << "event " << event;
    // eV from nm, as the file has it from its own wavelength in angstrom; times from "2013-03-01T06:08Z58.401" and so
    // on.
    EXPECT_NEAR(frame.info.photon_energy_ev, fill(*originals_, event).info.photon_energy_ev, 0.1);
    const std::uint64_t ms[] = {401, 601, 701, 801};
    EXPECT_EQ(frame.info.timestamp, std::uint64_t{1362118138} << 32 | ms[event] * 1'000'000);
  }

  std::string folder_;
  std::unique_ptr<Hdf5Source> originals_;
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
  const auto original = fill(*originals_, 1).pixels<std::int16_t>();
  EXPECT_EQ(fill(*source, 1).pixels<std::int16_t>(),
            std::vector<std::int16_t>(original.begin(), original.begin() + static_cast<std::ptrdiff_t>(2 * kPanel)));
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

TEST_F(WireSamples, PlainHdf5MessagesAreTheDetectorsImages) {
  for (const char* name : {"hdf5_None_0.bin", "hdf5_gzip_with_shuffle_0.bin"}) {
    const auto source = open(name, kOnePanel);
    ASSERT_EQ(source->size(), 3U) << name;
    for (std::uint64_t event = 0; event < 3; ++event) expect_original(fill(*source, event), event, 1);
  }
}

TEST_F(WireSamples, WhatThisVersionCannotReadIsRefusedByName) {
  EXPECT_THAT(refused("hdf5_bitshuffle_with_lz4_0.bin").text(), HasSubstr("bitshuffle"));
  EXPECT_THAT(refused("hdf5_bitshuffle_with_zstd_0.bin").text(), HasSubstr("bitshuffle"));
  EXPECT_THAT(refused("hdf5flat_bitshuffle_with_lz4_0.bin").text(), HasSubstr("bitshuffle"));
  EXPECT_THAT(refused("hdf5_zfp_0.bin").text(), HasSubstr("zfp"));
  for (const char* name : {"simplon_new_0.bin", "simplon_new_1.bin", "simplon_new_3.bin", "simplon_pr51_0.bin",
                           "simplon_pr51_2.bin", "simplon_pr51_3.bin"}) {
    EXPECT_EQ(refused(name).id, "dialect.simplon") << name;
  }
  EXPECT_EQ(refused("fastbinary_none_0.bin").id, "dialect.fast_binary");
}

}  // namespace
}  // namespace peaknet::feed
