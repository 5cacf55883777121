#include "feed/frame_shape.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace peaknet::feed {
namespace {

using ::testing::HasSubstr;
using Dims = std::vector<std::uint64_t>;

constexpr shm::Geometry kOnePanel{8, 1, 30, 40, PixelType::uint16};
constexpr shm::Geometry kThreePanels{8, 3, 30, 40, PixelType::uint16};

TEST(FrameShape, AnImageAStackOfImagesAndAStackOfPanelsFitAPoolOfOnePanel) {
  EXPECT_EQ(frames_in(Dims{30, 40}, kOnePanel), 1U);
  EXPECT_EQ(frames_in(Dims{7, 30, 40}, kOnePanel), 7U);
  EXPECT_EQ(frames_in(Dims{7, 1, 30, 40}, kOnePanel), 7U);
}

TEST(FrameShape, APoolOfPanelsTakesSlabsEventsAndStacksOfEvents) {
  EXPECT_EQ(frames_in(Dims{90, 40}, kThreePanels), 1U);
  EXPECT_EQ(frames_in(Dims{3, 30, 40}, kThreePanels), 1U);
  EXPECT_EQ(frames_in(Dims{3, 90, 40}, kThreePanels), 3U);
  EXPECT_EQ(frames_in(Dims{5, 3, 30, 40}, kThreePanels), 5U);
}

TEST(FrameShape, AnythingElseIsRefused) {
  for (const Dims& dims : {Dims{40, 30}, Dims{30, 41}, Dims{7, 3, 30, 40}, Dims{30}, Dims{}, Dims{1, 1, 1, 30, 40}}) {
    EXPECT_FALSE(frames_in(dims, kOnePanel)) << shape_text(dims);
  }
  EXPECT_FALSE(frames_in(Dims{30, 40}, kThreePanels));
  EXPECT_FALSE(frames_in(Dims{7, 30, 40}, kThreePanels));
  EXPECT_FALSE(frames_in(Dims{2, 2, 30, 40}, kThreePanels));
}

TEST(FrameShape, TheErrorNamesBothShapesAndTheKey) {
  const Error error = shape_error("dataset /data of x.h5", Dims{4, 16, 352, 384}, kOnePanel);
  EXPECT_EQ(error.id, "frame.shape");
  EXPECT_THAT(error.text(), AllOf(HasSubstr("dataset /data of x.h5"), HasSubstr("[4,16,352,384]"),
                                  HasSubstr("[1,30,40]"), HasSubstr("pool.shape to [16,352,384]")));
}

}  // namespace
}  // namespace peaknet::feed
