#include "cxi/laboratory.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cxi/laboratory_bytes.hpp"
#include "tests/support/instance.hpp"

namespace peaknet::writer {
namespace {

using test::must;
using ::testing::HasSubstr;

// Two panels; `more` are lines before them.
CrystfelGeometry geometry(const std::string& more, const std::string& last = "") {
  return must(parse_crystfel_geometry("data = /entry_1/data_1/data\ndim0 = %\ndim1 = ss\ndim2 = fs\n" + more +
                                          "\na/min_fs = 0\na/max_fs = 9\na/min_ss = 0\na/max_ss = 4\n"
                                          "a/corner_x = -3\na/corner_y = 8\na/fs = +x\na/ss = +y\n"
                                          "b/min_fs = 0\nb/max_fs = 9\nb/min_ss = 5\nb/max_ss = 9\n"
                                          "b/corner_x = 20\nb/corner_y = -40\nb/fs = -0.8y +0.6z\nb/ss = 1.01x\n" +
                                          last,
                                      "two.geom"));
}

auto near(const Vector3& place) { return ::testing::Pointwise(::testing::DoubleNear(1e-15), place); }

TEST(Laboratory, CornersAndStepsAreMetresAndTheDistanceIsCommon) {
  const auto known = laboratory_of(geometry("res = 10000\nclen = 120 mm\ncoffset = 0.003", "b/coffset = 0.005\n"), {});
  ASSERT_EQ(known.unknown, "");
  EXPECT_DOUBLE_EQ(distance_of(known.length, 0), 0.123);
  ASSERT_EQ(known.panels.size(), 2U);
  const LaboratoryPanel& a = known.panels[0];
  EXPECT_THAT(a.corner, near({-3e-4, 8e-4, 0}));
  EXPECT_THAT(a.column, near({1e-4, 0, 0}));
  const LaboratoryPanel& b = known.panels[1];
  EXPECT_EQ(std::tuple(b.y, b.x, b.height, b.width), std::tuple(5U, 0U, 5U, 10U));
  EXPECT_NEAR(b.corner[2], 0.002, 1e-15) << "behind the common plane by its own coffset";
  EXPECT_THAT(b.column, near({0, -0.8e-4, 0.6e-4})) << "panels may be tilted";
  EXPECT_DOUBLE_EQ(b.row[0], 1.01e-4) << "a step is not always one pixel long";
}

TEST(Laboratory, TheDetectorShiftMovesAllPanels) {
  const auto known =
      laboratory_of(geometry("res = 10000\nclen = 0.1\ndetector_shift_x = 0.5 mm\ndetector_shift_y = -0.001"), {});
  ASSERT_EQ(known.unknown, "");
  EXPECT_NEAR(known.panels[0].corner[0], -3e-4 + 5e-4, 1e-12);
  EXPECT_NEAR(known.panels[1].corner[1], -40e-4 - 1e-3, 1e-12);
}

TEST(Laboratory, TheEncoderValueOfEachEventMayBeTheDistance) {
  const auto known =
      laboratory_of(geometry("res = 10000\nclen = /LCLS/detector_1/EncoderValue mm\ncoffset = 0.58"), {});
  ASSERT_EQ(known.unknown, "");
  EXPECT_NEAR(distance_of(known.length, -450), 0.13, 1e-12);
}

TEST(Laboratory, WhatTheGeometryLacksIsSaid) {
  const auto why = [](const std::string& more, const std::string& last = "") {
    return laboratory_of(geometry(more, last), {}).unknown;
  };
  EXPECT_THAT(why("clen = 0.1"), HasSubstr("two.geom: panel a has no pixel size (res)"));
  EXPECT_THAT(why("res = 10000"), HasSubstr("panel a has no distance (clen)"));
  EXPECT_THAT(why("res = 10000\nclen = far"), HasSubstr("no distance"));
  EXPECT_THAT(why("res = 10000\nclen = /elsewhere/distance m"), HasSubstr("/elsewhere/distance"));
  EXPECT_THAT(why("res = 10000\nclen = 0.1\ndetector_shift_x = /LCLS/shift mm"), HasSubstr("detector_shift"));
  EXPECT_THAT(why("res = 10000\nclen = 0.1", "b/clen = /LCLS/detector_1/EncoderValue\n"), HasSubstr("another kind"));
  EXPECT_THAT(why("res = 10000\nclen = 0.1", "b/ss = -0.8y +0.6z\n"), HasSubstr("panel b is no area"));
  EXPECT_THAT(why("res = 10000\nclen = 0.1\ncoffset = soon"), HasSubstr("coffset"));
}

TEST(Laboratory, AsBytesItIsTheSame) {
  auto known = laboratory_of(geometry("res = 10000\nclen = 0.1\nphoton_energy = 9.5 keV"), {"GaAs", 5e-4});
  const auto bytes = encode(known);
  EXPECT_EQ(decode_laboratory(bytes), known);
  EXPECT_EQ(decode_laboratory(std::span(bytes).first(bytes.size() - 1)), std::nullopt);
  EXPECT_EQ(decode_laboratory(encode(Laboratory{})), Laboratory{});
  const auto digest = digest_of(known);
  known.panels[1].corner[0] += 1e-9;
  EXPECT_NE(digest_of(known), digest);
}

}  // namespace
}  // namespace peaknet::writer
