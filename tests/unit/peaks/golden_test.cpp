// The golden peak tables of two real LCLS sets (../shared/data/real; without a licence, so read from there and skipped
// where the folder is absent).
#include <gtest/gtest.h>
#include <hdf5.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "peaks/mask_bits.hpp"
#include "peaks/peak_finder.hpp"
#include "tests/support/golden_peaks.hpp"

namespace peaknet::writer {
namespace {

template <class T>
std::vector<T> read_dataset(const std::string& path, const char* name, hid_t type, std::vector<hsize_t>& shape) {
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  const hid_t dataset = H5Dopen2(file, name, H5P_DEFAULT);
  const hid_t space = H5Dget_space(dataset);
  shape.resize(static_cast<std::size_t>(std::max(H5Sget_simple_extent_ndims(space), 0)));
  H5Sget_simple_extent_dims(space, shape.data(), nullptr);
  std::size_t count = 1;
  for (const hsize_t n : shape) count *= n;
  std::vector<T> values(count);
  EXPECT_GE(H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()), 0) << path << " " << name;
  H5Sclose(space);
  H5Dclose(dataset);
  H5Fclose(file);
  return values;
}

template <class Pixel>
void expect_golden(const std::string& mask_file, const std::string& image_file, hid_t pixel_hdf5,
                   PixelType pixel_type) {
  const char* shared = std::getenv("PEAKNET_SHARED_DATA");
  if (shared == nullptr || !std::filesystem::exists(std::string(shared) + "/real/" + mask_file)) {
    GTEST_SKIP() << "needs ../shared/data/real/" << mask_file;
  }
  const std::string folder = std::string(shared) + "/real/";
  std::vector<hsize_t> shape;
  std::vector<hsize_t> image_shape;
  const auto classes = read_dataset<std::uint8_t>(folder + mask_file, "mask", H5T_NATIVE_UINT8, shape);
  const auto pixels = read_dataset<Pixel>(folder + image_file, "data", pixel_hdf5, image_shape);
  const std::vector<test::GoldenPeak> golden = test::read_golden_peaks(folder + mask_file);
  ASSERT_EQ(shape.size(), 4U);
  ASSERT_EQ(classes.size(), pixels.size());
  ASSERT_FALSE(golden.empty());
  const auto panels = static_cast<std::uint32_t>(shape[1]);
  const auto height = static_cast<std::uint32_t>(shape[2]);
  const auto width = static_cast<std::uint32_t>(shape[3]);
  const std::size_t per_event = std::size_t{panels} * height * width;

  PeakFinder finder;
  std::vector<Peak> peaks;
  std::vector<std::uint64_t> words;
  std::size_t at = 0;
  for (std::size_t event = 0; event < shape[0]; ++event) {
    pack_mask(std::span(classes).subspan(event * per_event, per_event), panels, height, width, words);
    finder.find(whole_mask(words.data(), panels, height, width), {pixels.data() + event * per_event, pixel_type},
                peaks);
    for (const Peak& peak : peaks) {
      ASSERT_LT(at, golden.size());
      const test::GoldenPeak& expected = golden[at];
      SCOPED_TRACE("golden peak " + std::to_string(at++));
      EXPECT_EQ(static_cast<int>(event), expected.event);
      EXPECT_EQ(static_cast<int>(peak.panel), expected.panel);
      EXPECT_FLOAT_EQ(static_cast<float>(peak.y), expected.y);
      EXPECT_FLOAT_EQ(static_cast<float>(peak.x), expected.x);
      EXPECT_EQ(static_cast<std::int32_t>(peak.n_pixels), expected.n_pixels);
      EXPECT_EQ(peak.sum, expected.total);
      EXPECT_EQ(peak.max, expected.max);
    }
  }
  EXPECT_EQ(at, golden.size());
}

TEST(GoldenPeaks, OfTheCspadSetAreFound) {
  expect_golden<std::int16_t>("golden_peaks_cspad_sparse.h5", "lcls_cspad_thermolysin_4ev.h5", H5T_NATIVE_INT16,
                              PixelType::int16);
}

TEST(GoldenPeaks, OfTheRayonixSetAreFound) {
  expect_golden<std::uint16_t>("golden_peaks_rayonix.h5", "lcls_mfx_rayonix_1920.h5", H5T_NATIVE_UINT16,
                               PixelType::uint16);
}

}  // namespace
}  // namespace peaknet::writer
