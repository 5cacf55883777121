// Pedestal, gain and bad pixels from a file, through the real programs: the network sees them, the files do not.
#include <gtest/gtest.h>
#include <hdf5.h>

#include <limits>
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
