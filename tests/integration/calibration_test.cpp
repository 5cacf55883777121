// Pedestal, gain and bad pixels from a file, through the real programs: the network sees them, the files do not.
#include <gtest/gtest.h>
#include <hdf5.h>

#include <limits>
#include <vector>

#include "tests/integration/system.hpp"

namespace peaknet::test {
namespace {

constexpr hsize_t kSize = 128;

std::string write_values(const std::filesystem::path& path, const char* name, hsize_t height, float value) {
  const std::vector<float> values(height * kSize, value);
  const hsize_t shape[2] = {height, kSize};
  const hid_t file = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  const hid_t space = H5Screate_simple(2, shape, nullptr);
  const hid_t dataset = H5Dcreate2(file, name, H5T_IEEE_F32LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  EXPECT_GE(H5Dwrite(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()), 0);
  H5Dclose(dataset);
  H5Sclose(space);
  H5Fclose(file);
  return path.string() + ":" + name;
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
  EXPECT_EQ(hits_with({"preprocess.bad_pixels=" + write_values(bad.folder() / "b.h5", "/bad", kSize, 1.0F)}, bad), 0);
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
}

}  // namespace
}  // namespace peaknet::test
