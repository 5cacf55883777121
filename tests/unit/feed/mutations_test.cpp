// Sound messages changed at random: whatever comes, a decoder refuses it or gives frames, and reads no byte outside of
// the message (the sanitizers watch). The quick form of the fuzzers in tests/fuzz, the same on every machine.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <string_view>

#include "feed/decoders/decoder.hpp"
#include "tests/support/child.hpp"
#include "tests/unit/feed/files.hpp"
#include "tests/unit/feed/mutate.hpp"
#include "tests/unit/feed/seeds.hpp"

namespace peaknet::feed {
namespace {

using Bytes = std::vector<std::byte>;

DecodeOptions small_limits() {
  DecodeOptions options;
  options.limits = {.message_bytes = std::size_t{1} << 20, .unpacked_bytes = std::size_t{1} << 20, .events = 64};
  return options;
}

// "fine", or why it was refused first. Exactly the bytes of the message are there to be read.
std::string outcome_of(Decoder& decoder, const Bytes& message) {
  const auto exact = std::make_unique<std::byte[]>(message.size());
  std::copy(message.begin(), message.end(), exact.get());
  const auto opened = decoder.open({exact.get(), message.size()}, test::kSeedFrames);
  if (!opened) return opened.error().id;
  for (std::uint64_t i = 0; i < (*opened)->size(); ++i) {
    std::vector<std::byte> image(test::kSeedFrames.image_bytes());
    shm::FrameDescriptor info;
    if (const auto filled = (*opened)->fill(i, {image, info}); !filled) return filled.error().id;
  }
  return "fine";
}

class Mutations : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(EveryDialect, Mutations, testing::Values("npz", "hdf5", "simplon", "fast_binary"),
                         [](const auto& dialect) { return std::string(dialect.param); });

// A message that HDF5 stumbles over costs a process: a sanitizer's takes ten times as long to make.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kEach = 200;
#else
constexpr int kEach = 3000;
#endif

TEST_P(Mutations, ADecoderThatMetThousandsOfThemStillReadsSoundMessages) {
  // Each HDF5 message goes to a sandbox process and back, and some cost that process.
  const int each = std::string_view(GetParam()) == "hdf5" ? kEach / 3 : kEach;
  std::size_t tried = 0;
  for (const auto& seed : test::seeds()) {
    if (seed.dialect != GetParam()) continue;
    SCOPED_TRACE(seed.name);
    const auto decoder = make_decoder(small_limits());
    ASSERT_EQ(name(dialect_of(seed.message)), seed.dialect);
    ASSERT_EQ(outcome_of(*decoder, seed.message), "fine");
    std::map<std::string, int> outcomes;
    std::mt19937 random(20261121);
    for (int i = 0; i < each; ++i, ++tried) ++outcomes[outcome_of(*decoder, test::mutate(seed.message, random))];
    EXPECT_GE(outcomes.size(), 3U) << "the changes all had the same effect";
    EXPECT_EQ(outcomes.count("decoder.threw"), 0U);
    EXPECT_EQ(outcome_of(*decoder, seed.message), "fine");
  }
  EXPECT_GE(tried, static_cast<std::size_t>(kEach));
}

// What the fuzzers found worth keeping, sound or not.
TEST_P(Mutations, EveryFileOfTheFuzzersCorpusIsRefusedOrRead) {
  const std::filesystem::path folder = test::source_dir() + "/tests/data/feed/" + GetParam();
  if (!std::filesystem::is_directory(folder)) GTEST_SKIP() << "PEAKNET_SOURCE_DIR is not set, or has no " << folder;
  const auto decoder = make_decoder(small_limits());
  std::map<std::string, int> outcomes;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    ++outcomes[outcome_of(*decoder, test::read_file(entry.path().string()))];
  EXPECT_GE(outcomes["fine"], 3);
}

}  // namespace
}  // namespace peaknet::feed
