#include "imaging/detector_view.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>

#include "base/must.hpp"
#include "cxi/placement.hpp"

namespace peaknet::writer {
namespace {

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

std::string two_panels(const std::string& keys) {
  return keys +
         "\nfs = +x\nss = +y\n"
         "a/min_fs = 0\na/max_fs = 39\na/min_ss = 0\na/max_ss = 11\na/corner_x = -50\na/corner_y = 5\n"
         "b/min_fs = 0\nb/max_fs = 39\nb/min_ss = 12\nb/max_ss = 23\nb/corner_x = 10\nb/corner_y = -5\n"
         "b/fs = +y\nb/ss = -x\n";
}
CrystfelGeometry parse(const std::string& keys) { return must(parse_crystfel_geometry(two_panels(keys), "a.geom")); }

double distance_in(const std::string& keys, const EventBeam& beam = {9500, kUnknown}) {
  const auto found = diffraction_of(parse(keys), beam).diffraction;
  return found ? found->distance : kUnknown;
}

TEST(DetectorView, panels_are_where_the_geometry_says_with_y_upwards_and_the_frames_numbers) {
  const auto assembly = must(assemble(parse("res = 10000"), stacked(2, 12, 40), 12, 40));
  ASSERT_EQ(assembly.panels.size(), 2U);
  EXPECT_EQ(assembly.panels[0].number, 0U);
  EXPECT_EQ(assembly.panels[1].number, 1U);
  ASSERT_TRUE(assembly.beam);
  // Two columns along and three rows down in b: 10 - 3.5 to the right, -5 + 2.5 upwards.
  const auto at = assembly.panels[1].on_plane({2, 15});
  EXPECT_NEAR(at.x, 10 - 3.5, 1e-9);
  EXPECT_NEAR(at.y, -(-5 + 2.5), 1e-9) << "a picture counts y downwards";
}

TEST(DetectorView, a_geometry_of_another_detector_is_refused_with_the_panel) {
  const auto beyond = assemble(parse(""), stacked(1, 12, 40), 12, 40);
  ASSERT_FALSE(beyond);
  EXPECT_EQ(beyond.error().id, "geometry.does-not-fit");
  EXPECT_NE(beyond.error().text().find("panel b"), std::string::npos) << beyond.error().text();
  const auto flat = must(parse_crystfel_geometry(
      "fs = +x\nss = +x\na/min_fs = 0\na/max_fs = 3\na/min_ss = 0\na/max_ss = 3\na/corner_x = 0\na/corner_y = 0\n",
      "f"));
  EXPECT_FALSE(assemble(flat, stacked(1, 4, 4), 4, 4)) << "rows along the columns";
}

TEST(DetectorView, the_distance_is_read_as_crystfel_reads_it) {
  EXPECT_NEAR(distance_in("res = 10000\nclen = 0.1"), 1000, 1e-6);
  EXPECT_NEAR(distance_in("res = 10000\nclen = 0.1 m"), 1000, 1e-6);
  EXPECT_NEAR(distance_in("res = 10000\nclen = 100 mm"), 1000, 1e-6);
  EXPECT_NEAR(distance_in("res = 10000\nclen = 0.1\ncoffset = 0.05"), 1500, 1e-6);
  EXPECT_NEAR(distance_in("res = 10000\ncoffset = 0.05\nclen = 0.1"), 1500, 1e-6);
  const std::string encoder = "res = 10000\nclen = /LCLS/detector_1/EncoderValue";
  EXPECT_NEAR(distance_in(encoder + "\ncoffset = 0.58", {9500, -480}), 1000, 1e-6) << "millimetres";
  EXPECT_NEAR(distance_in(encoder + " mm\ncoffset = 0.58", {9500, -480}), 1000, 1e-6);
  EXPECT_NEAR(distance_in(encoder + " m\ncoffset = 0.58", {9500, -0.48}), 1000, 1e-6);
}

TEST(DetectorView, what_is_not_known_makes_no_rings) {
  EXPECT_TRUE(std::isnan(distance_in("res = 10000")));
  EXPECT_TRUE(std::isnan(distance_in("clen = 0.1")));
  EXPECT_TRUE(std::isnan(distance_in("res = 10000\nclen = 0.1", {kUnknown, kUnknown})));
  EXPECT_TRUE(std::isnan(distance_in("res = 10000\nclen = /LCLS/detector_1/EncoderValue")));
  EXPECT_TRUE(std::isnan(distance_in("res = 10000\nclen = /another/dataset", {9500, 100})));
  EXPECT_TRUE(std::isnan(distance_in("res = 10000\nclen = -0.1")));
  EXPECT_TRUE(std::isnan(distance_in("res = 0\nclen = 0.1")));
  EXPECT_TRUE(std::isnan(distance_in("res = many\nclen = far away"))) << "no reason to refuse the file";
  auto apart = parse("res = 10000\nclen = 0.1");
  apart.panels[1].length.metres = 0.3;
  EXPECT_EQ(diffraction_of(apart, {9500, kUnknown}).unknown, "one distance for all panels");
  EXPECT_EQ(diffraction_of(parse("res = 10000"), {kUnknown, 5}).unknown,
            "the photon energy and the distance (clen, coffset)");
}

TEST(DetectorView, an_events_own_energy_wins_over_that_of_the_geometry) {
  const auto wavelength = [](const std::string& keys, double energy) {
    const auto found = diffraction_of(parse("res = 10000\nclen = 0.1\n" + keys), {energy, kUnknown}).diffraction;
    return found ? found->wavelength_angstrom : kUnknown;
  };
  EXPECT_NEAR(wavelength("photon_energy = 9500 eV", kUnknown), 1.30510, 1e-4);
  EXPECT_NEAR(wavelength("photon_energy = 9.5 keV", kUnknown), 1.30510, 1e-4);
  EXPECT_NEAR(wavelength("wavelength = 1.3051 A", kUnknown), 1.3051, 1e-9);
  EXPECT_NEAR(wavelength("photon_energy = 9500", 12398.4193), 1, 1e-9);
  EXPECT_TRUE(std::isnan(wavelength("photon_energy = /LCLS/photon_energy_eV eV", kUnknown)));
  EXPECT_TRUE(std::isnan(wavelength("photon_energy = 0", kUnknown)));
}

TEST(DetectorView, a_geometry_that_cannot_be_used_is_remarked_and_panels_are_as_stored) {
  const auto missing = view_detector({"/no/such/x.geom", stacked(2, 12, 40), 12, 40, {9500, kUnknown}});
  ASSERT_TRUE(missing.problem);
  EXPECT_EQ(missing.problem->id, "geometry.not-readable");
  EXPECT_NE(missing.remark.find("x.geom cannot be used"), std::string::npos) << missing.remark;
  EXPECT_EQ(missing.assembly.panels.size(), 2U);
  EXPECT_FALSE(missing.assembly.beam);
  const auto none = view_detector({"", stacked(2, 12, 40), 12, 40, {9500, kUnknown}});
  EXPECT_FALSE(none.problem);
  EXPECT_NE(none.remark.find("output.geometry"), std::string::npos) << none.remark;
  EXPECT_EQ(view_detector({"", stacked(1, 12, 40), 12, 40, {9500, kUnknown}}).remark, "") << "one panel";

  const SlabLayout placed{14, 84, {{2, 44}, {0, 0}}};
  const auto as_stored = view_detector({"", placed, 12, 40, {9500, kUnknown}});
  EXPECT_EQ(as_stored.assembly.panels[0].x, 44U);
  EXPECT_EQ(as_stored.assembly.panels[0].corner.x, 44);
}

TEST(DetectorView, published_geometries_assemble_with_all_their_panels) {
  const char* shared = std::getenv("PEAKNET_SHARED_DATA");
  if (shared == nullptr) GTEST_SKIP() << "needs $PEAKNET_SHARED_DATA/geom";
  struct Detector {
    const char* file;
    std::uint32_t panels, height, width;
  };
  for (const auto& [file, panels, height, width] : {Detector{"om_epix10k2M.geom", 16, 352, 384},

                                                    {"crystfel_cspad-cxiformat.geom", 32, 185, 388},
                                                    {"rayonix_1920.geom", 1, 1920, 1920}}) {
    const auto geometry = must(read_crystfel_geometry(std::string(shared) + "/geom/" + file));
    const auto slab = must(place_panels(geometry, panels, height, width)).slab;
    const auto assembly = must(assemble(geometry, slab, height, width));
    EXPECT_EQ(assembly.panels.size(), geometry.panels.size()) << file;
    for (const auto& panel : assembly.panels) EXPECT_TRUE(panel.number) << file;
    const auto extent = imaging::extent_of(assembly);
    ASSERT_TRUE(extent) << file;
    EXPECT_LT(extent->width, 2.5 * std::sqrt(1.0 * panels * height * width)) << file;
  }
}

}  // namespace
}  // namespace peaknet::writer
