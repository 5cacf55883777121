#include "imaging/assembly.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace peaknet::imaging {
namespace {

TEST(Assembly, many_panels_stand_in_a_nearly_square_grid_that_does_not_overlap) {
  for (const auto& [panels, height, width] : {std::tuple{16U, 352U, 384U}, {32U, 185U, 388U}, {1U, 1920U, 1920U}}) {
    const Assembly grid = grid_of(panels, height, width);
    ASSERT_EQ(grid.panels.size(), panels);
    EXPECT_FALSE(grid.beam);
    const auto extent = extent_of(grid);
    ASSERT_TRUE(extent);
    EXPECT_LT(extent->width / extent->height, 1.6);
    EXPECT_GT(extent->width / extent->height, 0.6);
    for (std::size_t a = 0; a < panels; ++a) {
      EXPECT_EQ(grid.panels[a].y, a * height) << "panels are stacked in the image";
      EXPECT_EQ(grid.panels[a].number, a);
      for (std::size_t b = 0; b < a; ++b) {
        const Area one = *extent_of(grid.panels[a]), other = *extent_of(grid.panels[b]);
        EXPECT_TRUE(one.left >= other.right() || other.left >= one.right() || one.top >= other.bottom() ||
                    other.top >= one.bottom());
      }
    }
  }
}

TEST(Assembly, a_place_in_the_image_is_turned_and_moved_with_its_panel) {
  // 10 x 20 pixels whose columns run upwards: a quarter turn.
  const PanelBox panel{100, 50, 10, 20, {300, 400}, {0, -1}, {1, 0}, 3};
  const Point first = panel.on_plane({100, 50});
  EXPECT_NEAR(first.x, 300.5, 1e-9);
  EXPECT_NEAR(first.y, 399.5, 1e-9);
  const auto extent = extent_of(panel);
  ASSERT_TRUE(extent);
  EXPECT_NEAR(extent->left, 300, 1e-9);
  EXPECT_NEAR(extent->top, 390, 1e-9);
  EXPECT_NEAR(extent->width, 20, 1e-9);
  EXPECT_NEAR(extent->height, 10, 1e-9);
  EXPECT_TRUE(panel.holds({99.6, 49.6}));
  EXPECT_FALSE(panel.holds({109.6, 60}));
  EXPECT_FALSE(panel.holds({std::numeric_limits<double>::quiet_NaN(), 60}));
}

TEST(Assembly, what_is_no_area_has_no_extent) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  constexpr double kInf = std::numeric_limits<double>::infinity();
  EXPECT_FALSE(extent_of(Assembly{}));
  EXPECT_FALSE(extent_of(PanelBox{0, 0, 4, 4, {kNan, 0}, {1, 0}, {0, 1}, 0}));
  EXPECT_FALSE(extent_of(PanelBox{0, 0, 4, 4, {0, kInf}, {1, 0}, {0, 1}, 0}));
  EXPECT_FALSE(extent_of(PanelBox{0, 0, 4, 4, {0, 0}, {1, 1}, {1, 1}, 0})) << "rows along the columns";
  EXPECT_FALSE(extent_of(PanelBox{0, 0, 4, 4, {0, 0}, {0, 0}, {0, 1}, 0}));
  EXPECT_TRUE(grid_of(4, 0, 10).panels.empty());
}

}  // namespace
}  // namespace peaknet::imaging
