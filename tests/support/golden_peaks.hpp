// The golden tables of the reference images ($PEAKNET_SHARED_DATA/real, dataset "peaks" beside the masks;
// its README has the rules): what the tests of the peaks, of a writer and of the whole system compare with.
#pragma once

#include <gtest/gtest.h>
#include <hdf5.h>

#include <cstdint>
#include <string>
#include <vector>

namespace peaknet::test {

struct GoldenPeak {
  std::int32_t event, panel;
  float y, x;
  std::int32_t n_pixels;
  double total, max;
};

inline std::vector<GoldenPeak> read_golden_peaks(const std::string& path) {
  const hid_t kind = H5Tcreate(H5T_COMPOUND, sizeof(GoldenPeak));
  H5Tinsert(kind, "event", HOFFSET(GoldenPeak, event), H5T_NATIVE_INT32);
  H5Tinsert(kind, "panel", HOFFSET(GoldenPeak, panel), H5T_NATIVE_INT32);
  H5Tinsert(kind, "y", HOFFSET(GoldenPeak, y), H5T_NATIVE_FLOAT);
  H5Tinsert(kind, "x", HOFFSET(GoldenPeak, x), H5T_NATIVE_FLOAT);
  H5Tinsert(kind, "npix", HOFFSET(GoldenPeak, n_pixels), H5T_NATIVE_INT32);
  H5Tinsert(kind, "total", HOFFSET(GoldenPeak, total), H5T_NATIVE_DOUBLE);
  H5Tinsert(kind, "max", HOFFSET(GoldenPeak, max), H5T_NATIVE_DOUBLE);
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  const hid_t set = H5Dopen2(file, "peaks", H5P_DEFAULT);
  const hid_t space = H5Dget_space(set);
  std::vector<GoldenPeak> golden(static_cast<std::size_t>(H5Sget_simple_extent_npoints(space)));
  EXPECT_GE(H5Dread(set, kind, H5S_ALL, H5S_ALL, H5P_DEFAULT, golden.data()), 0) << path;
  H5Sclose(space);
  H5Dclose(set);
  H5Fclose(file);
  H5Tclose(kind);
  return golden;
}

}  // namespace peaknet::test
