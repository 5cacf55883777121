#include "cxi/crystfel_geometry.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "cxi/placement.hpp"
#include "tests/support/instance.hpp"

namespace peaknet::writer {
namespace {

using test::must;

constexpr const char* kOurs =
    "data = /entry_1/data_1/data\ndim0 = %\ndim1 = ss\ndim2 = fs\nfs = +x\nss = +y\ncorner_x = 0\ncorner_y = 0\n";

std::string panel(const std::string& name, int fs, int ss, int width, int height) {
  return name + "/min_fs = " + std::to_string(fs) + "\n" + name + "/max_fs = " + std::to_string(fs + width - 1) + "\n" +
         name + "/min_ss = " + std::to_string(ss) + "\n" + name + "/max_ss = " + std::to_string(ss + height - 1) + "\n";
}
CrystfelGeometry parse(const std::string& text) { return must(parse_crystfel_geometry(text, "a.geom")); }
std::string wrong(const std::string& text) {
  const auto parsed = parse_crystfel_geometry(text, "a.geom");
  return parsed ? "nothing" : parsed.error().text();
}
std::string misfit(const std::string& text, std::uint32_t panels, std::uint32_t height, std::uint32_t width) {
  const auto slab = place_panels(parse(text), panels, height, width);
  if (slab) return "it fits";
  EXPECT_EQ(slab.error().id, "geometry.does-not-fit");
  return slab.error().text();
}
std::string shared_geometry(const std::string& name) {
  const char* shared = std::getenv("PEAKNET_SHARED_DATA");
  const std::string path = shared == nullptr ? "" : std::string(shared) + "/geom/" + name;
  return std::filesystem::exists(path) ? path : "";
}

TEST(CrystfelGeometry, APanelBeginsWithItsFirstKeyAndHasTheDefaultsBeforeIt) {
  const auto geometry = parse(
      "; a comment\n"
      "data = /a   ; and another\n"
      "dim0 = %\r\n"
      "  q0a0/min_fs = 2\n q0a0/max_fs=9\n"
      "data = /b\nmin_ss = 5\nmax_ss = 6\n"
      "q1/min_fs = 20\nq1/max_fs = 21\n"
      "q0a0/min_ss = 0\nq0a0/max_ss = 3\n"
      "q0a0/fs = -0.003266x -0.999993y\nq0a0/ss = x\nq0a0/corner_x = 436.241\nq0a0/corner_y = -4e2\n"
      "q1/fs = 1.0 x + 2 y\nq1/ss = +y -1e-3z\nq1/corner_x = 0\nq1/corner_y = 0\n"
      "q1/dim0 = 3\n"
      "rigid_group_q = q0a0,q1\ngroup_all = q\nphoton_energy = /LCLS/photon_energy_eV eV\n"
      "q0a0/no_index = 0");
  ASSERT_EQ(geometry.panels.size(), 2U);
  const auto& first = geometry.panels[0];
  EXPECT_EQ(first.name, "q0a0");
  EXPECT_EQ((std::array{first.min_fs, first.max_fs, first.min_ss, first.max_ss}), (std::array{2U, 9U, 0U, 3U}));
  EXPECT_EQ(first.data, "/a");
  EXPECT_EQ(first.dim, (std::map<int, std::string>{{0, "%"}}));
  const auto& second = geometry.panels[1];
  EXPECT_EQ((std::array{second.min_fs, second.max_fs, second.min_ss, second.max_ss}), (std::array{20U, 21U, 5U, 6U}));
  EXPECT_EQ(second.data, "/b");
  EXPECT_EQ(second.dim.at(0), "3");
}

TEST(CrystfelGeometry, LimitsMayBeWrittenWithAPointAndAByteOrderMarkIsNoPartOfAName) {
  const std::string rest =
      "p/max_fs = 95.0\np/min_ss = 1e1\np/max_ss = +20\np/fs = x\np/ss = y\np/corner_x = 0\np/corner_y = 0";
  const auto geometry = parse("\xef\xbb\xbfp/min_fs = 0.0\n" + rest);
  ASSERT_EQ(geometry.panels.size(), 1U);
  EXPECT_EQ(geometry.panels[0].name, "p");
  EXPECT_EQ(geometry.panels[0].max_fs, 95U);
  EXPECT_EQ(geometry.panels[0].min_ss, 10U);
  EXPECT_EQ(geometry.panels[0].max_ss, 20U);
}

TEST(CrystfelGeometry, NamesThatBeginAlikeAreDifferentPanels) {
  const auto geometry = parse(kOurs + panel("group0", 0, 0, 4, 4) + panel("group0a", 0, 4, 4, 4) +
                              panel("p1", 0, 8, 4, 4) + panel("p10", 0, 12, 4, 4));
  ASSERT_EQ(geometry.panels.size(), 4U);
  EXPECT_EQ(geometry.panels[3].min_ss, 12U);
}

TEST(CrystfelGeometry, NanAndInfinityAreNoNumbers) {
  for (const char* line : {"corner_x = nan", "corner_y = inf", "p0/fs = nanx + y", "p0/corner_x = -nan",
                           "bad_beam/min_x = nan", "p0/ss = infy"})
    EXPECT_NE(wrong(kOurs + panel("p0", 0, 0, 10, 8) + line + "\n"), "nothing") << line;
  EXPECT_EQ(parse(kOurs + panel("p0", 0, 0, 10, 8) + "clen = nan\nres = inf\n").panels[0].pixels_per_metre, 0.0);
}

TEST(CrystfelGeometry, NamesTheLineAndThePanelThatAreWrong) {
  EXPECT_NE(wrong("data = /a\nwhat is this\n").find("a.geom, line 2"), std::string::npos);
  EXPECT_NE(wrong("p/min_fs = 1.5\n").find("'1.5'"), std::string::npos);
  EXPECT_NE(wrong("p/min_fs = -1\n").find("line 1"), std::string::npos);
  EXPECT_NE(wrong("p/min_fs = 99999999999\n").find("line 1"), std::string::npos);
  EXPECT_NE(wrong("p/fs = +0.1x + 3\n").find("not a direction"), std::string::npos);
  EXPECT_NE(wrong("p/fs = sideways\n").find("not a direction"), std::string::npos);
  EXPECT_NE(wrong("p/corner_x = here\n").find("not a number"), std::string::npos);
  EXPECT_NE(wrong("").find("no panel"), std::string::npos);
  EXPECT_NE(wrong("p/min_fs = 0\n").find("panel p has no"), std::string::npos);
  EXPECT_NE(wrong(std::string("p/min_fs = 3\np/max_fs = 2\np/min_ss = 0\np/max_ss = 0\np/fs = x\np/ss = y\np/corner_x "
                              "= 0\np/corner_y = 0"))
                .find("ends before"),
            std::string::npos);
  const std::string good = kOurs + panel("p", 0, 0, 4, 4);
  EXPECT_NE(wrong(good + "bad/min_fs = x\n").find("min_fs is not a number"), std::string::npos);
  EXPECT_NE(wrong(good + "bad/radius = 3\n").find("a bad region has no 'radius'"), std::string::npos);
  EXPECT_NE(wrong(good + "bad/min_fs = 1\nbad/max_x = 2\n").find("not in both"), std::string::npos);
  EXPECT_NE(wrong(good + "bad/min_fs = 1\nbad/panel = q\n").find("panel 'q' that is not in it"), std::string::npos);
  EXPECT_NE(wrong(good + "badly/panel = p\n").find("badly has no limits"), std::string::npos);
  EXPECT_EQ(read_crystfel_geometry("/nowhere/a.geom").error().id, "geometry.not-readable");
}

TEST(PlacePanels, EachPanelOfAFrameIsOnePanelOfTheFileOrSeveralThatFillIt) {
  const auto whole = must(place_panels(parse(kOurs + panel("b", 10, 0, 8, 4) + panel("a", 0, 6, 8, 4)), 2, 4, 8)).slab;
  EXPECT_EQ(whole.places, (std::vector<PanelPlace>{{0, 10}, {6, 0}})) << "in the order of the file";
  EXPECT_EQ(whole.height, 10U);
  EXPECT_EQ(whole.width, 18U);
  EXPECT_FALSE(is_stacked(whole, 4, 8));
  const auto of_asics = must(place_panels(parse(kOurs + panel("p0a1", 4, 0, 4, 4) + panel("p0a0", 0, 0, 4, 4) +
                                                panel("p1a0", 0, 4, 4, 4) + panel("p1a1", 4, 4, 4, 4)),
                                          2, 4, 8))
                            .slab;
  EXPECT_EQ(of_asics, stacked(2, 4, 8));
  EXPECT_TRUE(is_stacked(of_asics, 4, 8));
}

TEST(PlacePanels, RefusesAFileThatIsNotForTheseFrames) {
  const std::string two = kOurs + panel("a", 0, 0, 8, 4) + panel("b", 0, 4, 8, 4);
  EXPECT_EQ(misfit(two, 2, 4, 8), "it fits");
  EXPECT_NE(misfit(two, 4, 4, 8).find("its panels have 64 of a frame's 128 pixels"), std::string::npos);
  EXPECT_NE(misfit(two, 2, 8, 4).find("4 x 8"), std::string::npos);
  EXPECT_NE(misfit(two, 2, 5, 8).find("do not make panel 0"), std::string::npos);
  EXPECT_NE(misfit(kOurs + panel("a", 0, 0, 8, 4) + panel("b", 7, 3, 8, 4), 2, 4, 8).find("a and b overlap"),
            std::string::npos);
  EXPECT_NE(misfit(kOurs + panel("a", 0, 0, 4, 4) + panel("b", 5, 0, 4, 4), 1, 4, 8).find("a to b"), std::string::npos)
      << "a gap between the ASICs of a module";
  EXPECT_NE(misfit(kOurs + panel("a", 0, 0, 8, 4) + panel("b", 900, 900, 8, 4), 2, 4, 8).find("belong to no panel"),
            std::string::npos);
  const std::string elsewhere = "data = /entry/data\n" + std::string(kOurs + std::string("data = /entry/data\n"));
  EXPECT_NE(misfit(elsewhere + panel("a", 0, 0, 8, 4), 1, 4, 8).find("'/entry/data'"), std::string::npos);
  EXPECT_NE(misfit(kOurs + std::string("dim3 = fs\ndim2 = ss\ndim1 = 0\n") + panel("a", 0, 0, 8, 4), 1, 4, 8)
                .find("dim1 = ss"),
            std::string::npos);
}

// Which pixels of a frame of one word a row are bad, as '#' in rows.
std::string bad_rows(const Placement& placed, std::uint32_t width) {
  std::string rows;
  for (const std::uint64_t word : placed.bad) {
    if (!rows.empty()) rows += '/';
    for (std::uint32_t x = 0; x < width; ++x) rows += (word >> x & 1) != 0 ? '#' : '.';
  }
  return rows;
}

TEST(PlacePanels, OfAStackTheBoxesAloneSayWhichPanelIsWhich) {
  std::string text = kOurs;
  for (const int p : {0, 1, 10, 11, 2, 3, 4, 5, 6, 7, 8, 9})
    text +=
        panel("p" + std::to_string(p) + "a1", 4, 4 * p, 4, 4) + panel("p" + std::to_string(p) + "a0", 0, 4 * p, 4, 4);
  const auto placed = must(place_panels(parse(text), 12, 4, 8));
  EXPECT_EQ(placed.slab, stacked(12, 4, 8));
  EXPECT_TRUE(placed.bad.empty());
  ASSERT_EQ(placed.remarks.size(), 1U);
  EXPECT_NE(placed.remarks[0].find("another order"), std::string::npos);
}

TEST(PlacePanels, OnAGridTheNamesSayWhatAnUnsortedListDoesNot) {
  // Two columns of six modules, counted along the columns; listed as a program sorts names.
  const auto listed = [&](std::initializer_list<int> order, bool named) {
    std::string text = kOurs;
    for (const int p : order)
      text += panel((named ? "p" : p % 2 == 0 ? "x" : "a") + std::to_string(p), 8 * (p / 6), 4 * (p % 6), 8, 4);
    return must(place_panels(parse(text), 12, 4, 8));
  };
  const auto by_name = listed({0, 1, 10, 11, 2, 3, 4, 5, 6, 7, 8, 9}, true);
  for (std::uint32_t p = 0; p < 12; ++p) EXPECT_EQ(by_name.slab.places[p], (PanelPlace{4 * (p % 6), 8 * (p / 6)})) << p;
  EXPECT_EQ(by_name.remarks.size(), 1U);
  const auto by_list = listed({3, 1, 10, 11, 2, 0, 4, 5, 6, 7, 8, 9}, false);
  EXPECT_EQ(by_list.slab.places[0], (PanelPlace{12, 0})) << "nothing tells: as the file lists them";
  ASSERT_EQ(by_list.remarks.size(), 1U);
  EXPECT_NE(by_list.remarks[0].find("see that the frame has its panels in the same one"), std::string::npos);
}

TEST(PlacePanels, AModuleThatIsNotInTheFileIsMaskedAndNamed) {
  const std::string first = kOurs + panel("a", 0, 0, 3, 2);
  const auto middle = must(place_panels(parse(first + panel("c", 0, 4, 3, 2)), 3, 2, 3));
  EXPECT_EQ(middle.slab, stacked(3, 2, 3));
  EXPECT_EQ(bad_rows(middle, 3), ".../.../###/###/.../...");
  ASSERT_EQ(middle.remarks.size(), 1U);
  EXPECT_NE(middle.remarks[0].find("no panel where panel 1 of a frame lies (min_ss = 2, min_fs = 0)"),
            std::string::npos);
  const auto last = must(place_panels(parse(first + panel("b", 0, 2, 3, 2)), 3, 2, 3));
  EXPECT_EQ(last.slab, stacked(3, 2, 3));
  EXPECT_EQ(bad_rows(last, 3), ".../.../.../.../###/###");
  const auto asic = must(place_panels(parse(first + panel("b", 0, 2, 1, 2) + panel("c", 0, 4, 3, 2)), 3, 2, 3));
  EXPECT_EQ(bad_rows(asic, 3), ".../.../.##/.##/.../...");
  EXPECT_NE(asic.remarks.at(0).find("panels for 2 pixels only where panel 1"), std::string::npos);
}

TEST(PlacePanels, BadRegionsOfTheArrayAndOfTheLaboratoryAreMasked) {
  const std::string two =
      kOurs + panel("a", 0, 0, 6, 2) + panel("ab", 0, 2, 6, 2) + "ab/corner_x = 10\nab/corner_y = 0\n";
  const auto bad = [&](const std::string& region) {
    return bad_rows(must(place_panels(parse(two + region), 2, 2, 6)), 6);
  };
  EXPECT_EQ(bad("bad1/min_fs = 1\nbad1/max_fs = 2.0\nbad1/min_ss = 0\nbad1/max_ss = 3\nbad1/panel = a\n"),
            ".##.../.##.../....../......")
      << "both limits belong to it, and it is of one panel whose name begins as another's";
  EXPECT_EQ(bad("badrow/min_fs = 0\nbadrow/max_fs = 5\nbadrow/min_ss = 1\nbadrow/max_ss = 2\n"),
            "....../######/######/......");
  EXPECT_EQ(bad("bad/min_x = 11.5\nbad/max_x = 13\nbad/min_y = -1\nbad/max_y = 0\n"), "....../....../..##../......");
  EXPECT_EQ(bad("bad/max_x = 1\n"), "##..../##..../....../......") << "a limit that is not there is none";
  EXPECT_EQ(bad("bad/min_x = 0\nbad/max_x = 99\nbad/panel = ab\n"), "....../....../######/######");
  EXPECT_EQ(bad("bad/min_x = 90\n"), "");
  const std::string turned = kOurs + panel("a", 0, 0, 6, 2) + "a/fs = -y\na/ss = +x\n";
  EXPECT_EQ(bad_rows(must(place_panels(parse(turned + "bad/max_y = -4\nbad/min_x = 1\n"), 1, 2, 6)), 6),
            "....../....##");
  EXPECT_NE(misfit(two + "bad/min_x = -99\n", 2, 2, 6).find("leave no pixel"), std::string::npos);
}

TEST(PlacePanels, APanelThatIsNotToBeUsedIsMasked) {
  const std::string two = kOurs + panel("a", 0, 0, 6, 2) + panel("ab", 0, 2, 6, 2);
  const auto bad = [](const std::string& text) { return bad_rows(must(place_panels(parse(text), 2, 2, 6)), 6); };
  EXPECT_EQ(bad(two + "a/no_index = 1\n"), "######/######/....../......");
  EXPECT_EQ(bad("no_index = true\n" + two + "a/no_index = 0\n"), "....../....../######/######");
  EXPECT_EQ(bad(two + "a/no_index = false\n"), "");
}

TEST(PlacePanels, AMaskThatIsNotReadIsTold) {
  const std::string two = kOurs + panel("a", 0, 0, 6, 2) + panel("ab", 0, 2, 6, 2);
  const auto told = [&](const std::string& line) {
    return must(place_panels(parse(line + two), 2, 2, 6)).remarks.size();
  };
  EXPECT_EQ(told("mask_file = bad.h5\n"), 1U);
  EXPECT_EQ(told("mask0_data = /bad\nmask0_file = bad.h5\n"), 1U);
  EXPECT_EQ(told("mask = /entry_1/instrument_1/detector_1/mask\n"), 1U);
  EXPECT_EQ(told("mask = /entry_1/data_1/mask\nmask_good = 0x0\nmask_bad = 0xffff\n"), 0U) << "that of our files";
}

TEST(PlacePanels, PutsEveryPixelInItsPlace) {
  const SlabLayout slab{5, 7, {{3, 4}, {0, 0}}};
  const std::array<std::uint16_t, 12> frame = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  std::array<std::uint16_t, 35> pixels{};
  fill_slab(slab, 2, 3, 2, std::as_bytes(std::span(frame)), std::as_writable_bytes(std::span(pixels)));
  EXPECT_EQ(pixels, (std::array<std::uint16_t, 35>{7, 8, 9, 0, 0, 0, 0, 10, 11, 12, 0, 0, 0, 0, 0, 0, 0, 0,
                                                   0, 0, 0, 0, 0, 0, 0, 1,  2,  3,  0, 0, 0, 0, 4, 5, 6}));
}

// Jungfrau 4M: 8 modules of 512 x 1024, each of two rows of four ASICs, as Cheetah stacks them.
TEST(PlacePanels, AJungfrau4MIsEightModules) {
  std::string text = kOurs;
  for (int module = 0; module < 8; ++module) {
    for (int asic = 0; asic < 8; ++asic)
      text += panel("p" + std::to_string(module) + "a" + std::to_string(asic), asic % 4 * 256,
                    module * 512 + asic / 4 * 256, 256, 256);
  }
  EXPECT_EQ(must(place_panels(parse(text), 8, 512, 1024)).slab, stacked(8, 512, 1024));
}

TEST(SharedGeometries, Epix10k2MIsSixteenPanelsOfFourAsicsStacked) {
  const auto path = shared_geometry("om_epix10k2M.geom");
  if (path.empty()) GTEST_SKIP() << "needs $PEAKNET_SHARED_DATA/geom/om_epix10k2M.geom";
  const auto geometry = must(read_crystfel_geometry(path));
  EXPECT_EQ(geometry.panels.size(), 64U);
  EXPECT_EQ(must(place_panels(geometry, 16, 352, 384)).slab, stacked(16, 352, 384));
  EXPECT_FALSE(place_panels(geometry, 32, 185, 388));
}

// Both are of Cheetah's layout of the CSPAD: four quadrants beside each other, of eight modules each. (OM's file is
// called Jungfrau 4M and holds a CSPAD; it is refused for the frames of a Jungfrau.)
TEST(SharedGeometries, ACspadOfCheetahIsFourColumnsOfEightModules) {
  for (const char* name : {"crystfel_cspad-cxiformat.geom", "om_jungfrau4M.geom"}) {
    const auto path = shared_geometry(name);
    if (path.empty()) GTEST_SKIP() << "needs $PEAKNET_SHARED_DATA/geom/" << name;
    const auto slab = must(place_panels(must(read_crystfel_geometry(path)), 32, 185, 388)).slab;
    EXPECT_EQ(slab.height, 1480U);
    EXPECT_EQ(slab.width, 1552U);
    for (std::uint32_t p = 0; p < 32; ++p) EXPECT_EQ(slab.places[p], (PanelPlace{p % 8 * 185, p / 8 * 388})) << p;
    EXPECT_FALSE(place_panels(must(read_crystfel_geometry(path)), 8, 512, 1024));
  }
}

TEST(SharedGeometries, OurOwnTwoAreStacked) {
  const auto cspad = shared_geometry("cspad_stack_5920x388.geom");
  const auto rayonix = shared_geometry("rayonix_1920.geom");
  if (cspad.empty() || rayonix.empty()) GTEST_SKIP() << "needs $PEAKNET_SHARED_DATA/geom";
  EXPECT_EQ(must(place_panels(must(read_crystfel_geometry(cspad)), 32, 185, 388)).slab, stacked(32, 185, 388));
  EXPECT_EQ(must(place_panels(must(read_crystfel_geometry(rayonix)), 1, 1920, 1920)).slab, stacked(1, 1920, 1920));
}

}  // namespace
}  // namespace peaknet::writer
