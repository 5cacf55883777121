// Pedestal, gain and bad pixels from a file, through the real programs: the network sees them, the files do not.
#include <gtest/gtest.h>
#include <hdf5.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <vector>

#include "tests/integration/system.hpp"

namespace peaknet::test {
namespace {

constexpr hsize_t kSize = 128;

std::string write_values(const std::filesystem::path& path, const char* name, const std::vector<float>& values,
                         hsize_t height, hsize_t width) {
  const hsize_t shape[2] = {height, width};
  const hid_t file = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  const hid_t space = H5Screate_simple(2, shape, nullptr);
  const hid_t links = H5Pcreate(H5P_LINK_CREATE);
  H5Pset_create_intermediate_group(links, 1);
  const hid_t dataset = H5Dcreate2(file, name, H5T_IEEE_F32LE, space, links, H5P_DEFAULT, H5P_DEFAULT);
  H5Pclose(links);
  EXPECT_GE(H5Dwrite(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()), 0);
  H5Dclose(dataset);
  H5Sclose(space);
  H5Fclose(file);
  return path.string() + ":" + name;
}

std::string write_values(const std::filesystem::path& path, const char* name, hsize_t height, float value) {
  return write_values(path, name, std::vector<float>(height * kSize, value), height, kSize);
}

// All pixels but the first: a mask of all of them is refused.
std::string write_nearly_all_bad(const std::filesystem::path& path, const char* name, float bad) {
  std::vector<float> values(kSize * kSize, bad);
  values.front() = 0;
  return write_values(path, name, values, kSize, kSize);
}

// Hits among 20 crystals with these keys set.
int hits_with(const std::vector<std::string>& set, System& system) {
  system.start_daemon(set);
  system.start_writer();
  EXPECT_EQ(system.feed({"simulate", "--frames", "20", "--hit-fraction", "1", "--seed", "5"}).wait(), Exit::code(0));
  EXPECT_EQ(system.ctl({"stop"}).wait(), Exit::code(0));
  return system.stats().at("frames").at("written").get<int>();
}

TEST(Calibration, WhatIsBadOrBelowThePedestalIsNoPeak) {
  const System::Options options{.model = "builtin:threshold=150"};
  System plain(options);
  const int hits = hits_with({}, plain);
  EXPECT_GT(hits, 0);
  System same(options);
  EXPECT_EQ(hits_with({"preprocess.gain=" + write_values(same.folder() / "g.h5", "gain", kSize, 1.0F)}, same), hits);
  System bad(options);
  EXPECT_EQ(hits_with({"preprocess.bad_pixels=" + write_nearly_all_bad(bad.folder() / "b.h5", "/bad", 1.0F)}, bad), 0);
  System fraction(options);
  EXPECT_EQ(hits_with({"preprocess.bad_pixels=" + write_nearly_all_bad(fraction.folder() / "b.h5", "/a:b/bad", 0.5F)},
                      fraction),
            0)
      << "what is not 0 is bad, and the names of datasets have colons";
  System low(options);
  EXPECT_EQ(hits_with({"preprocess.pedestal=" + write_values(low.folder() / "p.h5", "/dark", kSize, 70'000.0F)}, low),
            0);
  System dim(options);
  EXPECT_EQ(hits_with({"preprocess.gain=" + write_values(dim.folder() / "g.h5", "gain", kSize, 0.0F)}, dim), 0);
}

// Of a file: how many pixels of its mask are bad in rows [0, 40) and in all, and its two digests.
struct MaskOfFile {
  int above = 0, all = 0;
  std::string digest, of_model;
};
MaskOfFile mask_of(const std::filesystem::path& path) {
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  std::vector<std::uint16_t> pixels(kSize * kSize);
  const hid_t set = H5Dopen2(file, "/entry_1/data_1/mask", H5P_DEFAULT);
  EXPECT_GE(H5Dread(set, H5T_NATIVE_UINT16, H5S_ALL, H5S_ALL, H5P_DEFAULT, pixels.data()), 0);
  H5Dclose(set);
  const auto text = [&](const char* name) {
    const hid_t attribute = H5Aopen_by_name(file, "/entry_1/peaknet", name, H5P_DEFAULT, H5P_DEFAULT);
    if (attribute < 0) return std::string("(none)");
    const hid_t type = H5Aget_type(attribute);
    char* value = nullptr;
    EXPECT_GE(H5Aread(attribute, type, &value), 0);
    std::string copy(value);
    H5free_memory(value);
    H5Tclose(type);
    H5Aclose(attribute);
    return copy;
  };
  MaskOfFile found{0, 0, text("bad_pixels"), text("bad_pixels_of_model")};
  H5Fclose(file);
  found.above = static_cast<int>(std::count(pixels.begin(), pixels.begin() + 40 * kSize, 1));
  found.all = static_cast<int>(std::count(pixels.begin(), pixels.end(), 1));
  return found;
}

// Rows [0, 40) and one pixel more.
std::string write_gap(const std::filesystem::path& path) {
  std::vector<float> values(kSize * kSize);
  std::fill(values.begin(), values.begin() + 40 * kSize, 1.0F);
  values.back() = 1;
  return write_values(path, "/gap", values, kSize, kSize);
}

void play_crystals(const System& system) {
  EXPECT_EQ(system.feed({"simulate", "--frames", "20", "--hit-fraction", "1", "--seed", "5"}).wait(), Exit::code(0));
  EXPECT_EQ(system.ctl({"stop"}).wait(), Exit::code(0));
}

TEST(Calibration, WhatTheNetworkLeavesOutIsBadInTheFilesAndInNoPeak) {
  System system({.model = "builtin:threshold=-1"});  // all that is good is one peak, and what is bad too
  const std::string bad = "preprocess.bad_pixels=" + write_gap(system.folder() / "b.h5");
  system.start_daemon({bad});
  system.start_writer({bad, "peaks.min_num_peak=1"});
  play_crystals(system);
  ASSERT_FALSE(system.files().empty());
  for (const auto& file : system.files()) {
    const MaskOfFile mask = mask_of(file);
    EXPECT_EQ(mask.above, 40 * static_cast<int>(kSize));
    EXPECT_EQ(mask.all, mask.above + 1);
    EXPECT_EQ(mask.digest.size(), 16U);
    EXPECT_EQ(mask.digest, mask.of_model);
  }
  for (const auto& event : system.events_in_files()) {
    for (const float y : event.y) EXPECT_GE(y, 40);
  }
  EXPECT_EQ(system.ctl({"audit", system.output().string()}).wait(), Exit::code(0));
}

// One row of bad pixels makes two peaks of what is one. The instance is named alone.
TEST(Calibration, APictureGoesByTheBadPixelsToo) {
  System system({.model = "builtin:threshold=-1"});
  std::vector<float> values(kSize * kSize);
  std::fill_n(values.begin() + 64 * kSize, kSize, 1.0F);
  system.start_daemon({"preprocess.bad_pixels=" + write_values(system.folder() / "b.h5", "/row", values, kSize, kSize),
                       "peaks.min_num_peak=1"});
  EXPECT_EQ(system.feed({"simulate", "--frames", "1"}).wait(), Exit::code(0));
  const auto tool = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {bin_dir() + "/peaknetctl", "--instance", system.instance()});
    return Child::start(words);
  };
  const std::string png = (system.folder() / "hit.png").string();
  auto view = tool({"--json", "view", "-o", png});
  ASSERT_EQ(view.wait(), Exit::code(0)) << view.err();
  EXPECT_EQ(nlohmann::json::parse(view.out()).at("peaks"), 2) << view.out();
  EXPECT_EQ(view.err(), "");
  auto shown = tool({"config", "show"});
  EXPECT_EQ(shown.wait(), Exit::code(0)) << shown.err();
  EXPECT_NE(shown.out().find("min_num_peak: 1\n"), std::string::npos) << shown.out();

  system.daemon().signal(SIGKILL);
  EXPECT_EQ(system.daemon().wait(), Exit::signal(SIGKILL));
  auto unknown = tool({"--timeout", "200ms", "view", "-o", png});
  EXPECT_EQ(unknown.wait(), Exit::code(4)) << "hits as by default, and one peak is none";
  EXPECT_NE(unknown.err().find("is not known"), std::string::npos) << unknown.err();
}

TEST(Calibration, AWriterWithAnotherMaskThanTheNetworkSaysSo) {
  System system({.model = "builtin:threshold=150"});
  system.start_daemon({"preprocess.bad_pixels=" + write_gap(system.folder() / "b.h5")});
  system.start_writer();
  play_crystals(system);
  auto errors = system.ctl({"errors"});
  (void)errors.wait();
  EXPECT_NE(errors.out().find("preprocess.other-mask"), std::string::npos) << errors.out();
  ASSERT_FALSE(system.files().empty());
  const MaskOfFile mask = mask_of(system.files()[0]);
  EXPECT_EQ(mask.all, 0);
  EXPECT_EQ(mask.digest, "");
  EXPECT_EQ(mask.of_model.size(), 16U);
}

TEST(Calibration, WhatDoesNotFitIsRefusedBeforeAnythingIsStarted) {
  const System system({.model = "builtin:threshold=150"});
  const auto refused = [&](const std::string& value, const std::string& id) {
    auto check = system.run("peaknetd", {"--check"}, {"preprocess.pedestal=" + value});
    EXPECT_EQ(check.wait(), Exit::code(78)) << value;
    EXPECT_NE(check.err().find("[" + id + "]"), std::string::npos) << check.err();
  };
  const auto file = system.folder() / "p.h5";
  refused(write_values(file, "dark", kSize - 1, 0.0F), "preprocess.bad-size");
  refused(write_values(file, "dark", kSize, std::numeric_limits<float>::quiet_NaN()), "preprocess.bad-value");
  refused(file.string() + ":nothing", "preprocess.unreadable");
  refused((system.folder() / "missing.h5").string() + ":dark", "preprocess.unreadable");
  refused("no-dataset-named", "config.bad-value");
  refused(write_values(file, "dark", std::vector<float>(kSize * kSize), kSize / 2, 2 * kSize), "preprocess.bad-shape");
}

TEST(Calibration, AMaskThatMarksMuchIsToldAndOneThatMarksAllIsRefused) {
  const System system({.model = "builtin:threshold=150"});
  const auto file = system.folder() / "b.h5";
  auto all = system.run("peaknetd", {"--check"}, {"preprocess.bad_pixels=" + write_values(file, "bad", kSize, 1.0F)});
  EXPECT_EQ(all.wait(), Exit::code(78));
  EXPECT_NE(all.err().find("[preprocess.bad-value]"), std::string::npos) << all.err();
  auto much = system.run("peaknetd", {"--check"}, {"preprocess.bad_pixels=" + write_nearly_all_bad(file, "bad", 1.0F)});
  EXPECT_EQ(much.wait(), Exit::code(0));
  EXPECT_NE((much.out() + much.err()).find("16383 of 16384 pixels"), std::string::npos) << much.err();
  EXPECT_NE((much.out() + much.err()).find("where 1 means good"), std::string::npos) << much.err();
}

}  // namespace
}  // namespace peaknet::test
