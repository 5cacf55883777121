#include "imaging/png_file.hpp"

#include <cairo.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace peaknet::imaging {
namespace {

namespace fs = std::filesystem;

class PngFile : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "peaknet_png_XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }

  static Canvas picture(std::uint8_t blue) {
    auto made = Canvas::make(31, 17, {1, 2, blue});
    EXPECT_TRUE(made);
    made->fill({30, 16, 1, 1}, {200, 100, 50});
    return std::move(*made);
  }

  std::size_t files() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }

  fs::path folder_;
};

TEST_F(PngFile, HoldsEveryPixel) {
  const std::string path = folder_ / "hit.png";
  const Canvas original = picture(3);
  const Status status = write_png(original, path);
  ASSERT_TRUE(status.ok()) << status.error().text();
  cairo_surface_t* const read = cairo_image_surface_create_from_png(path.c_str());
  ASSERT_EQ(cairo_surface_status(read), CAIRO_STATUS_SUCCESS);
  ASSERT_EQ(cairo_image_surface_get_width(read), 31);
  ASSERT_EQ(cairo_image_surface_get_height(read), 17);
  for (std::uint32_t y = 0; y < 17; ++y) {
    for (std::uint32_t x = 0; x < 31; ++x) {
      const auto* row = cairo_image_surface_get_data(read) +
                        std::size_t{y} * static_cast<std::size_t>(cairo_image_surface_get_stride(read));
      const Colour colour = original.at(x, y);
      EXPECT_EQ(row[4 * x], colour.blue);
      EXPECT_EQ(row[4 * x + 1], colour.green);
      EXPECT_EQ(row[4 * x + 2], colour.red);
    }
  }
  cairo_surface_destroy(read);
  EXPECT_EQ(files(), 1U) << "a .part is left over";
}

TEST_F(PngFile, ReplacesAnOlderPictureAndALeftOverPart) {
  const std::string path = folder_ / "hit.png";
  ASSERT_TRUE(write_png(picture(3), path).ok());
  std::ofstream(path + ".part") << "left by a crash";
  ASSERT_TRUE(write_png(picture(4), path).ok());
  EXPECT_EQ(files(), 1U);
}

TEST_F(PngFile, AMissingFolderIsAnErrorThatNamesIt) {
  const std::string path = folder_ / "nowhere" / "hit.png";
  const Status status = write_png(picture(3), path);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().id, "preview.write");
  EXPECT_NE(status.error().text().find(path), std::string::npos);
}

TEST_F(PngFile, AFailureLeavesTheOldPictureAndNoPart) {
  // The name is taken by a folder: the rename fails after all was written.
  const fs::path path = folder_ / "hit.png";
  fs::create_directories(path / "inside");
  const Status status = write_png(picture(3), path);
  ASSERT_FALSE(status.ok());
  EXPECT_TRUE(fs::exists(path / "inside"));
  EXPECT_EQ(files(), 1U);
}

TEST_F(PngFile, AFullDiskIsAnErrorOfTheSystem) {
  if (!fs::exists("/dev/full")) GTEST_SKIP() << "needs /dev/full";
  const fs::path path = folder_ / "hit.png";
  fs::create_symlink("/dev/full", path.string() + ".part");
  const Status status = write_png(picture(3), path);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().id, "preview.write");
  EXPECT_NE(status.error().text().find("No space left"), std::string::npos) << status.error().text();
  EXPECT_EQ(files(), 0U);
}

}  // namespace
}  // namespace peaknet::imaging
