#include "cxi/nexus.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <iostream>

#include "base/photon.hpp"
#include "cxi/recovery.hpp"
#include "cxi/run_master.hpp"
#include "cxi/run_tables.hpp"
#include "imaging/detector_view.hpp"
#include "tests/support/child.hpp"
#include "tests/support/instance.hpp"
#include "tests/unit/cxi/samples.hpp"

namespace peaknet::writer {
namespace {

using test::must;
using test::numbers_of;
using test::sample_event;
using test::sample_facts;
using ::testing::HasSubstr;

constexpr double kPixelsPerMetre = 13333.3;
constexpr const char* kFourPanels =
    "clen = 0.12 m\ncoffset = 0.003\nres = 13333.3\ndata = /entry_1/data_1/data\ndim0 = %\ndim1 = ss\ndim2 = fs\n"
    "a/min_fs = 0\na/max_fs = 64\na/min_ss = 0\na/max_ss = 31\na/corner_x = -70.25\na/corner_y = 3.5\n"
    "a/fs = +0.999900x +0.014141y\na/ss = -0.014141x +0.999900y\n"
    "b/min_fs = 0\nb/max_fs = 64\nb/min_ss = 32\nb/max_ss = 63\nb/corner_x = 5.5\nb/corner_y = 4.25\n"
    "b/fs = +x\nb/ss = +y\n"
    "c/min_fs = 0\nc/max_fs = 64\nc/min_ss = 64\nc/max_ss = 95\nc/corner_x = 71\nc/corner_y = -2\n"
    "c/fs = -x\nc/ss = -y\n"
    "d/min_fs = 0\nd/max_fs = 64\nd/min_ss = 96\nd/max_ss = 127\nd/corner_x = -8\nd/corner_y = -80\n"
    "d/fs = -1.0005y\nd/ss = +1.0005x\n";

CrystfelGeometry four_panels() { return must(parse_crystfel_geometry(kFourPanels, "four.geom")); }

FileFacts facts_of_four() {
  auto facts = sample_facts();
  facts.panels = 4;
  facts.laboratory = laboratory_of(four_panels(), {});
  return facts;
}

std::string fixed_text(hid_t object, const char* attribute) {
  const H5Handle found(H5Aopen(object, attribute, H5P_DEFAULT), H5Aclose);
  if (!found.ok()) return "(none)";
  const H5Handle type(H5Aget_type(found.get()), H5Tclose);
  std::string text(H5Tget_size(type.get()), '\0');
  H5Aread(found.get(), type.get(), text.data());
  return text.c_str();
}

// Of a field of NXtransformations: what it adds to a place, and what it depends on.
struct Translation {
  Vector3 step{};
  std::string depends_on;
};

Translation translation(const std::filesystem::path& path, const std::string& name) {
  const H5Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
  const H5Handle set(H5Dopen2(file.get(), name.c_str(), H5P_DEFAULT), H5Dclose);
  EXPECT_TRUE(set.ok()) << name;
  const auto vector = [&](const char* attribute) {
    Vector3 read{NAN, NAN, NAN};
    const H5Handle found(H5Aopen(set.get(), attribute, H5P_DEFAULT), H5Aclose);
    H5Aread(found.get(), H5T_NATIVE_DOUBLE, read.data());
    return read;
  };
  EXPECT_EQ(fixed_text(set.get(), "transformation_type"), "translation");
  EXPECT_EQ(fixed_text(set.get(), "units"), "m");
  Translation read{{}, fixed_text(set.get(), "depends_on")};
  const Vector3 along = vector("vector"), offset = vector("offset");
  const double length = numbers_of(path, name).at(0);
  for (std::size_t i = 0; i < 3; ++i) read.step[i] = length * along[i] + offset[i];
  return read;
}

// Of the middle of a pixel of a module, by its chain.
Vector3 place_by_chain(const std::filesystem::path& path, const std::string& module, double column, double row) {
  const Translation fast = translation(path, module + "/fast_pixel_direction");
  const Translation slow = translation(path, module + "/slow_pixel_direction");
  EXPECT_EQ(fast.depends_on, slow.depends_on);
  Vector3 place{};
  for (std::size_t i = 0; i < 3; ++i) place[i] = (column + 0.5) * fast.step[i] + (row + 0.5) * slow.step[i];
  for (std::string next = fast.depends_on; next != ".";) {
    const Translation link = translation(path, next);
    for (std::size_t i = 0; i < 3; ++i) place[i] += link.step[i];
    next = link.depends_on;
  }
  return place;
}

const std::string kDetector = kNexusDetector;
const std::array<std::string, 4> kModules = {kDetector + "/module_0_a", kDetector + "/module_1_b",
                                             kDetector + "/module_2_c", kDetector + "/module_3_d"};

std::string why_not(const std::filesystem::path& path) {
  const H5Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
  const H5Handle root(H5Gopen2(file.get(), "/", H5P_DEFAULT), H5Gclose);
  const bool tree = H5Lexists(file.get(), "/entry", H5P_DEFAULT) > 0;
  const std::string why = fixed_text(root.get(), kNexusUnknown);
  EXPECT_EQ(tree, why == "(none)") << "a tree, or the reason";
  return why;
}

class Nexus : public ::testing::Test {
 protected:
  std::filesystem::path finish(int chunk, std::uint64_t first, std::uint64_t events, const FileFacts& facts,
                               const std::string& run = "1") const {
    return test::finish_file(folder_.path(), run, chunk, first, events, facts);
  }
  test::TempFolder folder_;
};

TEST_F(Nexus, EveryPixelIsWhereThePicturesOfTheGeometryHaveIt) {
  const auto path = finish(0, 0, 3, facts_of_four());
  ASSERT_EQ(why_not(path), "(none)");
  const auto geometry = four_panels();
  const auto pictured = must(assemble(geometry, stacked(4, 32, 65), 32, 65));
  for (std::size_t i = 0; i < kModules.size(); ++i) {
    for (const auto& [column, row] : {std::pair(0, 0), std::pair(64, 0), std::pair(7, 31), std::pair(64, 31)}) {
      const imaging::PanelBox& box = pictured.panels[i];
      const imaging::Point point = box.on_plane({1.0 * box.x + column, 1.0 * box.y + row});
      const Vector3 place = place_by_chain(path, kModules[i], column, row);
      EXPECT_NEAR(place[0], point.x / kPixelsPerMetre, 1e-6) << i << " " << column << " " << row;
      EXPECT_NEAR(place[1], -point.y / kPixelsPerMetre, 1e-6) << i << " " << column << " " << row;
      EXPECT_NEAR(place[2], 0.123, 1e-6);
    }
    EXPECT_EQ(numbers_of(path, kModules[i] + "/data_origin"), (std::vector<double>{32.0 * static_cast<double>(i), 0}));
    EXPECT_EQ(numbers_of(path, kModules[i] + "/data_size"), (std::vector<double>{32, 65}));
  }
}

TEST_F(Nexus, ImageMaskAndWavelengthAreThoseOfTheCxiTree) {
  const auto path = finish(0, 0, 3, facts_of_four());
  for (const char* image : {"/entry/data/data", "/entry/instrument/detector/data"})
    EXPECT_EQ(numbers_of(path, image), numbers_of(path, "/entry_1/data_1/data"));
  // The images name CXI's axes, of which /entry/data has none: a reader of NeXus must not look for them there.
  const H5Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
  const H5Handle axes(H5Aopen_by_name(file.get(), "/entry/data", "axes", H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
  const H5Handle type(H5Aget_type(axes.get()), H5Tclose);
  std::string names(3, ' ');
  ASSERT_EQ(H5Aget_storage_size(axes.get()), names.size());
  ASSERT_GE(H5Aread(axes.get(), type.get(), names.data()), 0);
  EXPECT_EQ(names, "...");
  EXPECT_EQ(numbers_of(path, kDetector + "/pixel_mask"), numbers_of(path, "/entry_1/data_1/mask"));
  const auto lengths = numbers_of(path, kNexusWavelength);
  ASSERT_EQ(lengths.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i)
    EXPECT_NEAR(lengths[i], kElectronVoltAngstrom / (9500.0 + static_cast<double>(i)), 1e-9);
  const auto failing = test::failing_items(path, "--events 3");
  if (failing != "skipped") {
    EXPECT_EQ(failing, "");
  }
}

TEST_F(Nexus, ItCostsAFileOfFourPanelsLittleAndOneOfSixtyFourSomeKilobytesAPanel) {
  auto facts = facts_of_four();
  const auto with = std::filesystem::file_size(finish(0, 0, 200, facts));
  facts.laboratory = {};
  const auto without = std::filesystem::file_size(finish(1, 0, 200, facts));
  EXPECT_LE(with - without, 64U << 10);
  std::cout << "four panels cost " << with - without << " bytes\n";

  facts = facts_of_four();
  facts.panels = 64;
  for (int i = 0; i < 60; ++i) {
    facts.laboratory.panels.push_back(facts.laboratory.panels[static_cast<std::size_t>(i) % 4]);
    facts.laboratory.panels.back().y = 128 + 32 * static_cast<std::uint32_t>(i);
  }
  const auto many = std::filesystem::file_size(finish(2, 0, 2, facts));
  facts.laboratory = {};
  const auto many_without = std::filesystem::file_size(finish(3, 0, 2, facts));
  std::cout << "sixty-four panels cost " << many - many_without << " bytes\n";
  EXPECT_LE(many - many_without, (with - without) + 60 * 1500) << "what modules have in common is stored once";
}

TEST_F(Nexus, WithoutWhatItNeedsThereIsNoTreeAndTheFileSaysWhy) {
  auto facts = sample_facts();
  EXPECT_THAT(why_not(finish(0, 0, 2, facts)), HasSubstr("output.geometry"));
  facts = facts_of_four();
  facts.with_photon_energy = false;
  EXPECT_THAT(why_not(finish(1, 0, 2, facts)), HasSubstr("photon energy"));
  facts.laboratory.photon_energy_ev = 9500;
  const auto one = finish(2, 0, 2, facts);
  EXPECT_EQ(why_not(one), "(none)");
  EXPECT_EQ(numbers_of(one, kNexusWavelength), (std::vector<double>{kElectronVoltAngstrom / 9500}));
  facts = facts_of_four();
  facts.laboratory.length = {.metres = std::nullopt, .dataset = kEncoderValue, .offset = 0.1};
  EXPECT_THAT(why_not(finish(3, 0, 2, facts)), HasSubstr("not in front of the sample")) << "-572 mm";
}

TEST_F(Nexus, TheDistanceOfEachEventIsItsOwn) {
  auto facts = facts_of_four();
  facts.laboratory.length = {.metres = std::nullopt, .dataset = kEncoderValue, .offset = 0.7};
  const auto path = finish(0, 0, 3, facts);
  ASSERT_EQ(why_not(path), "(none)");
  const auto distances = numbers_of(path, kNexusDistance);
  ASSERT_EQ(distances.size(), 3U);
  EXPECT_NEAR(distances[2] - distances[0], 0.002, 1e-9);
  EXPECT_NEAR(distances[0], 0.1275, 1e-9);
}

TEST_F(Nexus, AFileThatIsRecoveredHasTheTreeOfItsLedger) {
  const auto path = folder_.path() / "p_run1_chunk0000_20261121_101500_000000_w3.cxi";
  test::leave_orphan(path, facts_of_four(), 3);
  Recovery recovery(folder_.path(), "sample");
  ASSERT_EQ(recovery.look().finished.size(), 1U);
  EXPECT_EQ(why_not(path), "(none)");
  const auto whole = finish(1, 0, 3, facts_of_four());
  EXPECT_EQ(place_by_chain(path, kModules[3], 7, 9), place_by_chain(whole, kModules[3], 7, 9));
}

TEST_F(Nexus, FilesAndMasterSayWhatAllWereToldOfTheirRun) {
  auto facts = facts_of_four();
  facts.run_facts = {.number = 217, .proposal = "mfxl1038923", .user = "lysozyme, jet 2"};
  const auto a = finish(0, 0, 2, facts);
  facts.run_facts.user = "lysozyme, jet 3";
  const auto b = finish(1, 2, 1, facts);
  RunMaster master(folder_.path(), "p_run1");
  const auto texts = [](const std::filesystem::path& path) {
    const H5Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
    std::string all;
    for (const char* name : {"/entry/entry_identifier", "/entry/experiment_identifier", "/entry/title"}) {
      const bool there = H5Lexists(file.get(), name, H5P_DEFAULT) > 0;
      const H5Handle set(there ? H5Dopen2(file.get(), name, H5P_DEFAULT) : -1, H5Dclose);
      const H5Handle type(there ? H5Dget_type(set.get()) : -1, H5Tclose);
      std::string text(there ? H5Tget_size(type.get()) : 0, '\0');
      if (there) H5Dread(set.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, text.data());
      all += there ? std::string(text.c_str()) + "|" : "-|";
    }
    return all;
  };
  const auto said = [](const std::filesystem::path& path) {
    return read_run_facts(H5Handle(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose).get());
  };
  must(master.make({a.filename()}));
  for (const auto& path : {a, master.path()}) {
    EXPECT_EQ(texts(path), "217|mfxl1038923|lysozyme, jet 2|") << path;
    EXPECT_EQ(said(path), (shm::RunFacts{.number = 217, .proposal = "mfxl1038923", .user = "lysozyme, jet 2"}));
  }
  must(master.make({a.filename(), b.filename()}));  // from the master before
  EXPECT_EQ(texts(master.path()), "217|mfxl1038923|-|") << "what one of them alone says is not the run's";
  EXPECT_EQ(said(master.path()), (shm::RunFacts{.number = 217, .proposal = "mfxl1038923", .user = {}}));
  EXPECT_EQ(texts(finish(2, 3, 1, facts_of_four())), "-|-|-|");
}

TEST_F(Nexus, ATextOfAnyLanguageIsMarkedAsUtf8) {
  auto facts = facts_of_four();
  const auto charset_of_title = [&](int chunk) {
    const H5Handle file(H5Fopen(finish(chunk, 0, 1, facts).c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
    const H5Handle set(H5Dopen2(file.get(), "/entry/title", H5P_DEFAULT), H5Dclose);
    return H5Tget_cset(H5Handle(H5Dget_type(set.get()), H5Tclose).get());
  };
  facts.run_facts.user = "jet 2";
  EXPECT_EQ(charset_of_title(0), H5T_CSET_ASCII);
  facts.run_facts.user = "Düse 2";
  EXPECT_EQ(charset_of_title(1), H5T_CSET_UTF8);
}

TEST_F(Nexus, AFileThatIsRecoveredSaysWhatWasSaidOfItsRun) {
  auto facts = facts_of_four();
  facts.run_facts.number = 217;
  const auto path = folder_.path() / "p_run1_chunk0000_20261121_101500_000000_w3.cxi";
  test::leave_orphan(path, facts, 2);
  Recovery recovery(folder_.path(), "sample");
  ASSERT_EQ(recovery.look().finished.size(), 1U);
  const H5Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
  EXPECT_EQ(read_run_facts(file.get()), facts.run_facts);
}

TEST_F(Nexus, TheMasterHasTheTreeOfItsFilesAndTheWavelengthsOfAll) {
  auto facts = facts_of_four();
  facts.laboratory.length = {.metres = std::nullopt, .dataset = kEncoderValue, .offset = 0.7};
  const auto a = finish(0, 0, 3, facts), b = finish(1, 3, 1, facts);
  RunMaster master(folder_.path(), "p_run1");
  const FilesInTime first{a.filename()}, both{a.filename(), b.filename()};
  for (const auto& names : {first, both, both}) {  // the second time from the master before
    must(master.make(names));
    ASSERT_EQ(why_not(master.path()), "(none)");
  }
  const auto lengths = numbers_of(master.path(), kNexusWavelength);
  const auto distances = numbers_of(master.path(), kNexusDistance);
  ASSERT_EQ(lengths.size(), 4U);
  ASSERT_EQ(distances.size(), 4U);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_NEAR(lengths[i], kElectronVoltAngstrom / (9500.0 + static_cast<double>(i)), 1e-9);
    EXPECT_NEAR(distances[i], 0.1275 + 0.001 * static_cast<double>(i), 1e-9);
  }
  EXPECT_EQ(place_by_chain(master.path(), kModules[0], 5, 6), place_by_chain(a, kModules[0], 5, 6));
  EXPECT_EQ(numbers_of(master.path(), "/entry/data/data"), numbers_of(master.path(), "/entry_1/data_1/data"));
  facts.laboratory.panels[2].corner[0] += 1e-4;
  const auto c = finish(2, 4, 1, facts);
  must(master.make({a.filename(), b.filename(), c.filename()}));
  EXPECT_THAT(why_not(master.path()), HasSubstr("different geometries"));
  EXPECT_EQ(numbers_of(master.path(), "/entry_1/result_1/nPeaks").size(), 5U) << "the rest of it is as ever";
}

// nexus_judges.py: programs that know nothing of us. Each is skipped where it is not installed.
class NexusJudges : public Nexus, public ::testing::WithParamInterface<const char*> {};

TEST_P(NexusJudges, TakeAFileOfFourPanelsAndItsMaster) {
  auto facts = facts_of_four();
  facts.run_facts = {.number = 217, .proposal = "mfxl1038923", .user = "Lysozym, Düse 2"};
  const auto a = finish(0, 0, 3, facts), b = finish(1, 3, 2, facts);
  RunMaster master(folder_.path(), "p_run1");
  must(master.make({a.filename(), b.filename()}));
  for (const auto& [path, events] : {std::pair(a, 3), std::pair(master.path(), 5)}) {
    const Vector3 place = place_by_chain(path, kModules[0], -0.5, -0.5);
    auto judge = test::Child::start({"/usr/bin/python3", test::source_dir() + "/tests/integration/nexus_judges.py",
                                     GetParam(), path, std::to_string(events), std::to_string(1000 * place[0]),
                                     std::to_string(1000 * place[1]), std::to_string(1000 * place[2])});
    const auto exit = judge.wait();
    if (exit == test::Exit::code(77)) GTEST_SKIP() << judge.out();
    EXPECT_EQ(exit, test::Exit::code(0)) << judge.out() << judge.err();
  }
}

INSTANTIATE_TEST_SUITE_P(Programs, NexusJudges, ::testing::Values("nxcheck", "nxmx", "dxtbx", "dials", "silx"),
                         [](const auto& judge) { return std::string(judge.param); });

}  // namespace
}  // namespace peaknet::writer
