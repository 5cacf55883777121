#include "writer/preview/png_file.hpp"

#include <gtest/gtest.h>
#include <png.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace peaknet::writer {
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

  static RgbImage picture(std::uint8_t blue) {
    RgbImage made(31, 17, {1, 2, blue});
    made.set(30, 16, {200, 100, 50});
    return made;
  }

  std::size_t files() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }

  fs::path folder_;
};

TEST_F(PngFile, HoldsEveryPixel) {
  const std::string path = folder_ / "hit.png";
  const RgbImage original = picture(3);
  const Status status = write_png(original, path);
  ASSERT_TRUE(status.ok()) << status.error().text();
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  ASSERT_NE(png_image_begin_read_from_file(&image, path.c_str()), 0) << image.message;
  EXPECT_EQ(image.width, 31U);
  EXPECT_EQ(image.height, 17U);
  image.format = PNG_FORMAT_RGB;
  std::vector<std::uint8_t> bytes(PNG_IMAGE_SIZE(image));
  ASSERT_NE(png_image_finish_read(&image, nullptr, bytes.data(), 0, nullptr), 0) << image.message;
  EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), original.bytes()));
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
}  // namespace peaknet::writer
