#include "writer/image_packer.hpp"

#include <gtest/gtest.h>

#include <random>

#include "cxi/compression.hpp"
#include "tests/support/instance.hpp"

namespace peaknet::writer {
namespace {

std::vector<std::uint16_t> pixels_of(unsigned seed, std::size_t count) {
  std::mt19937 random(seed);
  std::vector<std::uint16_t> pixels(count);
  for (auto& pixel : pixels) pixel = static_cast<std::uint16_t>(random() % 8);
  return pixels;
}

FrameToStore row_of(const std::vector<std::uint16_t>& pixels) {
  return {.pixels = std::as_bytes(std::span(pixels)),
          .height = 1,
          .width = static_cast<std::uint32_t>(pixels.size()),
          .pixel_bytes = 2};
}

std::vector<std::byte> unpacked(std::span<const std::byte> chunk, std::size_t bytes, std::size_t element_bytes = 2) {
  std::vector<std::byte> image(bytes);
  BitshuffleLz4 codec;
  test::must(codec.decompress(chunk, element_bytes, image));
  return image;
}

TEST(ImagePacker, GivesEveryImageItsOwnChunkWhateverTheOrderInWhichTheyAreDone) {
  for (const unsigned threads : {1U, 4U}) {
    ImagePacker packer(threads);
    std::vector<std::vector<std::uint16_t>> images;
    for (unsigned i = 0; i < 24; ++i) images.push_back(pixels_of(i, (i % 5 + 1) * 4096));
    std::vector<ImagePacker::Job> jobs;
    for (const auto& image : images) jobs.push_back(packer.submit(row_of(image)));
    for (std::size_t i = jobs.size(); i-- > 0;) {
      const auto expected = std::as_bytes(std::span(images[i]));
      EXPECT_EQ(unpacked(jobs[i].result().image, expected.size()),
                std::vector<std::byte>(expected.begin(), expected.end()))
          << i;
    }
  }
}

TEST(ImagePacker, TakesItsBuffersAgain) {
  ImagePacker packer(2);
  for (unsigned i = 0; i < 200; ++i) {
    const auto image = pixels_of(i, 3000);
    const auto first = packer.submit(row_of(image));
    const auto expected = std::as_bytes(std::span(image));
    ASSERT_EQ(unpacked(first.result().image, 6000), std::vector<std::byte>(expected.begin(), expected.end())) << i;
  }
}

TEST(ImagePacker, AJobThatNobodyAsksIsWaitedForBeforeItsPixelsGo) {
  ImagePacker packer(1);
  for (unsigned i = 0; i < 100; ++i) {
    auto image = pixels_of(i, 100'000);
    const auto job = packer.submit(row_of(image));
  }  // the sanitizers see it if it is not
}

TEST(ImagePacker, MakesOfBitsABytePerPixelWhereTheImageHasIt) {
  ImagePacker packer(2);
  const SlabLayout slab{9, 140, {{5, 68}, {0, 0}}};
  constexpr std::uint32_t kHeight = 3, kWidth = 70;  // two words a row, the second with padding
  for (const bool placed : {false, true}) {
    for (unsigned seed = 0; seed < 4; ++seed) {
      const auto image = pixels_of(seed, 2 * kHeight * kWidth);
      std::vector<std::uint64_t> words;
      std::vector<std::byte> classes;
      std::mt19937_64 random(seed);
      for (std::uint32_t row = 0; row < 2 * kHeight; ++row) {
        words.push_back(random());
        words.push_back(random());  // also in the padding: nobody may see it
        for (std::uint32_t x = 0; x < kWidth; ++x)
          classes.push_back(static_cast<std::byte>(words[2 * row + x / 64] >> (x % 64) & 1));
      }
      std::vector<std::byte> expected = classes;
      if (placed) {
        expected.assign(std::size_t{slab.height} * slab.width, std::byte{0});
        fill_slab(slab, kHeight, kWidth, 1, classes, expected);
      }
      FrameToStore frame{.mask = words, .panels = 2, .height = kHeight, .width = kWidth, .pixel_bytes = 2};
      if (placed) frame.slab = &slab;
      const auto alone = packer.submit(frame);
      EXPECT_TRUE(alone.result().image.empty());
      EXPECT_EQ(unpacked(alone.result().segmentation, expected.size(), 1), expected);
      frame.pixels = std::as_bytes(std::span(image));
      const auto both = packer.submit(frame);
      EXPECT_EQ(unpacked(both.result().segmentation, expected.size(), 1), expected);
      EXPECT_EQ(unpacked(both.result().image, 2 * expected.size()).size(), 2 * expected.size());
    }
  }
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
    const auto job = packer.submit({.pixels = std::as_bytes(std::span(image)),
                                    .panels = 2,
                                    .height = 2,
                                    .width = 3,
                                    .pixel_bytes = 2,
                                    .slab = &slab});
    EXPECT_EQ(unpacked(job.result().image, bytes), expected) << round;
  }
}

}  // namespace
}  // namespace peaknet::writer
