#include "imaging/resolution_rings.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace peaknet::imaging {
namespace {

constexpr double kPi = 3.141592653589793;

TEST(ResolutionRings, lie_where_braggs_law_says) {
  // Wavelength 1.3 angstrom, 0.1 m and 75 um pixels: 2 angstrom is at 2 theta = 37.93 degrees.
  const Diffraction diffraction{1.3, 0.1 / 75e-6};
  EXPECT_NEAR(ring_radius(diffraction, 2), 1039.1, 0.5);
  const double two_theta = std::atan(ring_radius(diffraction, 3.5) / diffraction.distance);
  EXPECT_NEAR(diffraction.wavelength_angstrom / (2 * std::sin(two_theta / 2)), 3.5, 1e-9);
}

TEST(ResolutionRings, are_round_numbers_apart_from_each_other_and_none_is_beyond_the_detector) {
  const auto rings = resolution_rings({1.3, 1000}, 900, 100);
  ASSERT_GE(rings.size(), 3U);
  double last = 0;
  for (const auto& ring : rings) {
    EXPECT_GE(ring.radius - last, 100);
    EXPECT_LE(ring.radius, 900);
    EXPECT_NE(ring.text.find(" \xc3\x85"), std::string::npos) << ring.text;
    EXPECT_NEAR(ring.radius, ring_radius({1.3, 1000}, std::stod(ring.text)), 1e-9);
    last = ring.radius;
  }
}

TEST(ResolutionRings, backscattering_and_nonsense_are_on_no_detector) {
  EXPECT_TRUE(std::isnan(ring_radius({1.3, 1000}, 0.6)));
  EXPECT_TRUE(std::isnan(ring_radius({1.3, 1000}, 0.9 * 1.3 / (2 * std::sin(kPi / 4)))));
  EXPECT_TRUE(resolution_rings({std::nan(""), 1000}, 900, 100).empty());
  EXPECT_TRUE(resolution_rings({1.3, std::nan("")}, 900, 100).empty());
}

}  // namespace
}  // namespace peaknet::imaging
