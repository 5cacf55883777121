#include "writer/image_packer.hpp"

#include <gtest/gtest.h>

#include <random>

#include "tests/support/instance.hpp"
#include "writer/cxi/compression.hpp"

namespace peaknet::writer {
namespace {

std::vector<std::uint16_t> pixels_of(unsigned seed, std::size_t count) {
  std::mt19937 random(seed);
  std::vector<std::uint16_t> pixels(count);
  for (auto& pixel : pixels) pixel = static_cast<std::uint16_t>(random() % 8);
  return pixels;
}

std::vector<std::byte> unpacked(std::span<const std::byte> chunk, std::size_t bytes) {
  std::vector<std::byte> image(bytes);
  BitshuffleLz4 codec;
  test::must(codec.decompress(chunk, 2, image));
  return image;
}

TEST(ImagePacker, GivesEveryImageItsOwnChunkWhateverTheOrderInWhichTheyAreDone) {
  for (const unsigned threads : {1U, 4U}) {
    ImagePacker packer(threads);
    std::vector<std::vector<std::uint16_t>> images;
    for (unsigned i = 0; i < 24; ++i) images.push_back(pixels_of(i, (i % 5 + 1) * 4096));
    std::vector<ImagePacker::Job> jobs;
    for (const auto& image : images)
      jobs.push_back(
          packer.submit({std::as_bytes(std::span(image)), 1, static_cast<std::uint32_t>(image.size()), 2, nullptr}));
    for (std::size_t i = jobs.size(); i-- > 0;) {
      const auto expected = std::as_bytes(std::span(images[i]));
      EXPECT_EQ(unpacked(jobs[i].chunk(), expected.size()), std::vector<std::byte>(expected.begin(), expected.end()))
          << i;
    }
  }
}

TEST(ImagePacker, TakesItsBuffersAgain) {
  ImagePacker packer(2);
  for (unsigned i = 0; i < 200; ++i) {
    const auto image = pixels_of(i, 3000);
    const auto first = packer.submit({std::as_bytes(std::span(image)), 1, 3000, 2, nullptr});
    const auto expected = std::as_bytes(std::span(image));
    ASSERT_EQ(unpacked(first.chunk(), 6000), std::vector<std::byte>(expected.begin(), expected.end())) << i;
  }
}

TEST(ImagePacker, AJobThatNobodyAsksIsWaitedForBeforeItsPixelsGo) {
  ImagePacker packer(1);
  for (unsigned i = 0; i < 100; ++i) {
    auto image = pixels_of(i, 100'000);
    const auto job = packer.submit({std::as_bytes(std::span(image)), 1, 100'000, 2, nullptr});
  }  // the sanitizers see it if it is not
}

TEST(ImagePacker, PutsPanelsInTheirPlaces) {
  ImagePacker packer(2);
  const SlabLayout one{5, 7, {{3, 4}, {0, 0}}};
  const SlabLayout other{4, 3, {{2, 0}, {0, 0}}};
  for (unsigned round = 0; round < 6; ++round) {
    const SlabLayout& slab = round % 2 == 0 ? one : other;
    const auto image = pixels_of(round, 12);
    const std::size_t bytes = std::size_t{slab.height} * slab.width * 2;
    std::vector<std::byte> expected(bytes);
    fill_slab(slab, 2, 3, 2, std::as_bytes(std::span(image)), expected);
    const auto job = packer.submit({std::as_bytes(std::span(image)), 2, 3, 2, &slab});
    EXPECT_EQ(unpacked(job.chunk(), bytes), expected) << round;
  }
}

}  // namespace
}  // namespace peaknet::writer
