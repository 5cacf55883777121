#include "feed/replay_source.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "tests/unit/feed/reader.hpp"

namespace peaknet::feed {
namespace {

using test::fill;

constexpr shm::Geometry kSmall{8, 1, 4, 8, PixelType::uint16};

// Frames whose every pixel is `base` + index.
class Plain : public FrameSource {
 public:
  Plain(std::uint16_t base, std::uint64_t size) : base_(base), size_(size) {}
  const shm::Geometry& geometry() const override { return kSmall; }
  std::uint64_t size() const override { return size_; }
  Result<Filled> fill(std::uint64_t index, SlotView slot) override {
    if (index == 6) return Error{"frame.value", "the seventh frame is bad", "", ""};
    auto* pixels = reinterpret_cast<std::uint16_t*>(slot.image.data());
    std::fill(pixels, pixels + kSmall.pixels(), static_cast<std::uint16_t>(base_ + index));
    slot.info.event_id = index;
    slot.info.photon_energy_ev = 9500.0 + base_;
    slot.info.timestamp = 77;
    return Filled{base_ == 200};
  }

 private:
  std::uint16_t base_;
  std::uint64_t size_;
};

std::vector<std::unique_ptr<FrameSource>> two_sources() {
  std::vector<std::unique_ptr<FrameSource>> sources;
  sources.push_back(std::make_unique<Plain>(std::uint16_t{100}, 2));
  sources.push_back(std::make_unique<Plain>(std::uint16_t{200}, 3));
  return sources;
}

using User = std::array<std::uint64_t, 4>;

TEST(ReplaySource, FilesFollowEachOtherAndTheWholeRowIsRepeated) {
  ReplaySource source(two_sources(), 2, 0);
  ASSERT_EQ(source.size(), 10U);
  const std::array<std::uint16_t, 5> expected{100, 101, 200, 201, 202};
  for (std::uint64_t i = 0; i < 10; ++i) {
    const auto frame = fill(source, i);
    EXPECT_EQ(frame.pixels<std::uint16_t>().front(), expected[i % 5]);
    EXPECT_EQ(frame.info.event_id, i % 5 < 2 ? i % 5 : i % 5 - 2);
    EXPECT_EQ(frame.info.user, (User{0, i / 5, i % 5 < 2 ? 0U : 1U, 0}));
    EXPECT_EQ(frame.info.timestamp, 77U);
  }
}

TEST(ReplaySource, BlankFramesLieBetweenEveryTwoFramesAlsoAcrossFilesAndRepeats) {
  ReplaySource source(two_sources(), 2, 3);
  ASSERT_EQ(source.size(), 10U + 9 * 3);
  for (std::uint64_t i = 0; i < source.size(); ++i) {
    const auto frame = fill(source, i);
    const auto pixels = frame.pixels<std::uint16_t>();
    const bool blank = std::all_of(pixels.begin(), pixels.end(), [](std::uint16_t v) { return v == 0; });
    EXPECT_EQ(blank, i % 4 != 0);
    EXPECT_EQ(frame.info.user[0], i % 4);
    EXPECT_EQ(frame.info.timestamp, blank ? 0U : 77U);
  }
  EXPECT_EQ(fill(source, 9).info.event_id, 0U);  // the blank after the first frame of the second file
}

TEST(ReplaySource, ZeroRepeatsMeansForEver) {
  ReplaySource source(two_sources(), 0, 1);
  EXPECT_GT(source.size(), std::uint64_t{1} << 60);
  EXPECT_EQ(fill(source, 2 * 5'000'000'003).pixels<std::uint16_t>().front(), 201);
}

TEST(ReplaySource, OneFrameHasNoBlankAndNoFramesHaveNothing) {
  std::vector<std::unique_ptr<FrameSource>> one, none;
  one.push_back(std::make_unique<Plain>(std::uint16_t{1}, 1));
  none.push_back(std::make_unique<Plain>(std::uint16_t{1}, 0));
  EXPECT_EQ(ReplaySource(std::move(one), 1, 5).size(), 1U);
  EXPECT_EQ(ReplaySource(std::move(none), 3, 5).size(), 0U);
}

TEST(PreloadedSource, GivesTheSameFramesFromMemory) {
  Plain plain(200, 3);
  auto loaded = test::must(PreloadedSource::load(plain));
  ASSERT_EQ(loaded->size(), 3U);
  for (std::uint64_t i = 0; i < 3; ++i) {
    const auto a = fill(plain, i), b = fill(*loaded, i);
    EXPECT_EQ(a.image, b.image);
    EXPECT_EQ(a.info.event_id, b.info.event_id);
    EXPECT_EQ(a.info.timestamp, b.info.timestamp);
    EXPECT_EQ(a.info.photon_energy_ev, b.info.photon_energy_ev);
  }
  Plain bad(1, 7);
  EXPECT_EQ(PreloadedSource::load(bad).error().id, "frame.value");
}

}  // namespace
}  // namespace peaknet::feed
