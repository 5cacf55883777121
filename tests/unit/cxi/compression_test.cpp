#include "cxi/compression.hpp"

#include <gtest/gtest.h>

#include <random>

#include "base/bit_shuffle.hpp"
#include "cxi/file.hpp"
#include "cxi/reader.hpp"
#include "tests/support/instance.hpp"
#include "tests/unit/cxi/samples.hpp"

namespace peaknet::writer {
namespace {

using test::must;

std::vector<std::byte> noise(std::size_t size, unsigned kind) {
  std::mt19937 random(static_cast<unsigned>(size) * 8 + kind);
  std::vector<std::byte> bytes(size);
  for (auto& byte : bytes) {
    const unsigned value = static_cast<unsigned>(random());
    byte = static_cast<std::byte>(kind == 0 ? 0 : kind == 1 ? value : (value & 0xf00) == 0 ? value & 7U : 0);
  }
  return bytes;
}

TEST(Bitshuffle, PutsEveryBitWhereTheFormatSays) {
  for (const std::size_t element_bytes : {1, 2, 4, 8}) {
    for (const std::size_t elements : {8, 16, 24, 40, 4096}) {
      const auto in = noise(elements * element_bytes, 1);
      std::vector<std::byte> out(in.size());
      std::vector<std::byte> scratch(in.size());
      bit_shuffle(in.data(), out.data(), scratch.data(), elements, element_bytes);
      for (std::size_t i = 0; i < elements; ++i) {
        for (std::size_t bit = 0; bit < 8 * element_bytes; ++bit) {
          const auto from = in[i * element_bytes + bit / 8] >> (bit % 8) & std::byte{1};
          const auto to = out[bit * (elements / 8) + i / 8] >> (i % 8) & std::byte{1};
          ASSERT_EQ(from, to) << element_bytes << " " << elements << " " << i << " " << bit;
        }
      }
      std::vector<std::byte> back(in.size());
      bit_unshuffle(out.data(), back.data(), scratch.data(), elements, element_bytes);
      EXPECT_EQ(back, in);
    }
  }
}

TEST(BitshuffleLz4, GivesBackWhatItTookAtAnySize) {
  BitshuffleLz4 codec;
  for (const std::size_t element_bytes : {1, 2, 4, 8}) {
    for (const std::size_t elements : {0, 1, 7, 8, 9, 100, 1023, 1024, 2047, 4096, 4104, 5000, 20000}) {
      for (const unsigned kind : {0U, 1U, 2U}) {
        const auto in = noise(elements * element_bytes, kind);
        const auto chunk = codec.compress(in, element_bytes);
        EXPECT_LE(chunk.size(), compressed_bound(in.size()));
        const std::vector<std::byte> copy(chunk.begin(), chunk.end());
        EXPECT_EQ(BitshuffleLz4::decompressed_bytes(copy), in.size());
        std::vector<std::byte> out(in.size());
        ASSERT_TRUE(codec.decompress(copy, element_bytes, out).ok()) << element_bytes << " " << elements;
        ASSERT_EQ(out, in) << element_bytes << " " << elements << " " << kind;
      }
    }
  }
}

TEST(BitshuffleLz4, ADamagedChunkIsAnErrorOrOtherNumbersButNeverACrash) {
  BitshuffleLz4 codec;
  const auto in = noise(20000, 2);
  const auto chunk = codec.compress(in, 2);
  const std::vector<std::byte> whole(chunk.begin(), chunk.end());
  std::vector<std::byte> out(in.size());
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const std::vector<std::byte> cut(whole.begin(),
                                     whole.begin() + static_cast<std::ptrdiff_t>(size));  // exact allocation, for ASan
    EXPECT_FALSE(codec.decompress(cut, 2, out).ok()) << size;
  }
  for (std::size_t bit = 0; bit < 8 * std::min<std::size_t>(whole.size(), 400); ++bit) {
    auto changed = whole;
    changed[bit / 8] ^= std::byte{1} << (bit % 8);
    (void)codec.decompress(changed, 2, out);
  }
}

TEST(BitshuffleLz4, HDF5ReadsOurChunksThroughTheFilterThatWeRegister) {
  test::TempFolder folder;
  auto facts = test::sample_facts();
  facts.filter = Filter::bitshuffle_lz4;
  for (const PixelType type : {PixelType::uint16, PixelType::int16, PixelType::float32}) {
    facts.pixel_type = type;
    const auto path = folder.path() / (std::string(name(type)) + ".cxi");
    const auto image = noise(facts.image_bytes(), 2);
    BitshuffleLz4 codec;
    auto file = must(CxiFile::create(path, facts));
    must(file.append(test::sample_event(0), codec.compress(image, size_of(type))));
    must(file.finish({}));
    const auto reader = must(CxiReader::open(path));
    EXPECT_EQ(reader.pixel_type(), type);
    EXPECT_EQ(must(reader.read(0)).pixels, image);
  }
}

}  // namespace
}  // namespace peaknet::writer
