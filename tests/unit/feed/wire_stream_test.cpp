// Every message that lclstreamer's own serializers made, over a real PUSH socket into a real pool.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <optional>

#include "tests/unit/feed/reader.hpp"
#include "tests/unit/feed/samples.hpp"
#include "tests/unit/feed/stream.hpp"

namespace peaknet::feed {
namespace {

using test::Arrived;
using test::Samples;
using test::TestInstance;

constexpr shm::Geometry kTwoPanels{8, 2, 185, 388, PixelType::float32};
constexpr shm::Geometry kTwoPadded{8, 2, 192, 416, PixelType::float32};
constexpr shm::Geometry kOnePanel{8, 1, 185, 388, PixelType::float32};

class WireStream : public testing::Test {
 protected:
  void SetUp() override {
    samples_ = Samples::find();
    if (!samples_) GTEST_SKIP() << "no samples of lclstreamer's messages in $PEAKNET_SHARED_DATA/wire";
  }

  // What arrives of the messages of these names. `options` says when it ends.
  std::vector<Arrived> send(const std::vector<std::string>& names, const shm::Geometry& geometry,
                            const ListenOptions& options, const DecodeOptions& decode = {}) {
    const TestInstance instance({.geometry = geometry});
    test::Listening listening(instance, options, 1, decode);
    test::Sender sender(listening.address());
    for (const auto& name : names) sender.send(samples_->message(name));
    const Counts counts = listening.end();
    EXPECT_EQ(counts.messages, names.size());
    EXPECT_TRUE(counts.failed.empty());
    auto arrived = test::Reader(instance).take();
    EXPECT_EQ(counts.committed, arrived.size());
    EXPECT_BALANCED(instance);
    return arrived;
  }
  static ListenOptions after(std::uint64_t events) {
    ListenOptions options;
    options.count = events;
    return options;
  }

  void expect_original(const Arrived& frame, std::uint64_t event, std::size_t panels) {
    EXPECT_EQ(frame.pixels<float>(), samples_->image(event, panels)) << "event " << event;
    EXPECT_NEAR(frame.info.photon_energy_ev, samples_->energy(event), 0.1);
    EXPECT_EQ(frame.info.timestamp, Samples::timestamp(event));
  }

  std::optional<Samples> samples_;
};

TEST_F(WireStream, NpzStoredThePartialLastBatchIsNothingSpecial) {
  const auto arrived = send({"npz_stored_raw_0.bin", "npz_stored_raw_1.bin"}, kTwoPanels, after(4));
  ASSERT_EQ(arrived.size(), 4U);
  for (std::uint64_t event = 0; event < 4; ++event) expect_original(arrived[event], event, 2);
}

TEST_F(WireStream, NpzDeflatedAndCentredIsUnpadded) {
  DecodeOptions centred;
  centred.pad = config::PadStyle::center;
  const auto arrived = send({"npz_deflate_center_0.bin", "npz_deflate_center_1.bin"}, kTwoPanels, after(4), centred);
  ASSERT_EQ(arrived.size(), 4U);
  for (std::uint64_t event = 0; event < 4; ++event) expect_original(arrived[event], event, 2);
}

TEST_F(WireStream, NormalisedNpzKeepsItsPeaksOnTheRightPixelsAndIsMarked) {
  DecodeOptions decode;
  decode.normalised = true;
  const auto arrived = send({"npz_deflate_norm_0.bin", "npz_deflate_norm_1.bin"}, kTwoPadded, after(4), decode);
  ASSERT_EQ(arrived.size(), 4U);
  for (std::uint64_t event = 0; event < 4; ++event) {
    const auto& info = arrived[event].info;
    EXPECT_EQ(info.flags, shm::kFlagNormalised);
    EXPECT_EQ(info.original_height, 185U);
    EXPECT_EQ(info.original_width, 388U);
    EXPECT_EQ(info.timestamp, Samples::timestamp(event));
    EXPECT_NEAR(info.photon_energy_ev, samples_->energy(event), 0.1);
    // Normalising is x -> (x - mean) / deviation: undone with the mean and the deviation of the padded original.
    const auto original = samples_->image(event, 2);
    double sum = 0.0, squares = 0.0;
    for (const float v : original) sum += v, squares += static_cast<double>(v) * v;
    const double pixels = 2.0 * 192 * 416, mean = sum / pixels;
    const double deviation = std::sqrt(squares / pixels - mean * mean + 1e-5);
    const auto image = arrived[event].pixels<float>();
    double worst = 0.0;
    for (std::size_t panel = 0; panel < 2; ++panel) {
      for (std::size_t y = 0; y < 185; ++y) {
        for (std::size_t x = 0; x < 388; ++x) {
          const double undone = image[(panel * 192 + y) * 416 + x] * deviation + mean;
          worst = std::max(worst, std::abs(undone - original[(panel * 185 + y) * 388 + x]));
        }
      }
    }
    EXPECT_LT(worst, 0.05) << "counts, event " << event;
  }
}

TEST_F(WireStream, Hdf5OfEveryPackingAndFieldNaming) {
  const std::vector<std::string> names = {"hdf5_None_0.bin",
                                          "hdf5_gzip_with_shuffle_0.bin",
                                          "hdf5_bitshuffle_with_lz4_0.bin",
                                          "hdf5_bitshuffle_with_zstd_0.bin",
                                          "hdf5flat_bitshuffle_with_lz4_0.bin",
                                          "hdf5_zfp_0.bin"};
  for (const auto& name : names) {
    SCOPED_TRACE(name);
    const auto arrived = send({name}, kOnePanel, after(3));
    ASSERT_EQ(arrived.size(), 3U);
    for (std::uint64_t event = 0; event < 3; ++event) expect_original(arrived[event], event, 1);
  }
}

TEST_F(WireStream, FastBinary) {
  const auto arrived = send({"fastbinary_none_0.bin"}, kTwoPanels, after(3));
  ASSERT_EQ(arrived.size(), 3U);
  for (std::uint64_t event = 0; event < 3; ++event) expect_original(arrived[event], event, 2);
}

TEST_F(WireStream, SimplonEndsWithItsRunAndImagesMayComeBeforeTheStartAndAfterTheEnd) {
  ListenOptions options;
  options.end_with_run = true;
  for (const std::string dialect : {"simplon_new_", "simplon_pr51_"}) {
    const auto part = [&](int i) { return dialect + std::to_string(i) + ".bin"; };
    for (const auto& order : {std::vector{0, 1, 2, 3}, std::vector{1, 0, 3, 2}}) {
      SCOPED_TRACE(dialect + std::to_string(order[0]));
      const auto arrived = send({part(order[0]), part(order[1]), part(order[2]), part(order[3])}, kTwoPanels, options);
      ASSERT_EQ(arrived.size(), 2U);
      for (std::uint64_t event = 0; event < 2; ++event) {
        EXPECT_EQ(arrived[event].pixels<float>(), samples_->image(event, 2));
        EXPECT_EQ(arrived[event].info.timestamp, Samples::timestamp(0));  // of both: so they were sent
        EXPECT_EQ(arrived[event].info.source_run_id(), "14");
        if (dialect == "simplon_new_") continue;  // it has no energies
        EXPECT_NEAR(arrived[event].info.photon_energy_ev, samples_->energy(0), 0.1);
      }
    }
  }
}

}  // namespace
}  // namespace peaknet::feed
