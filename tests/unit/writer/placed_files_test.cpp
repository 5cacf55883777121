// What a whole writer makes of frames of known detectors: each peak on the right row of the right panel, with and
// without a geometry file, and the published images with the golden peaks.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>

#include "cxi/frame_stack.hpp"
#include "cxi/placement.hpp"
#include "cxi/reader.hpp"
#include "peaks/mask_bits.hpp"
#include "peaks/peak_finder.hpp"
#include "tests/support/child.hpp"
#include "tests/support/golden_peaks.hpp"
#include "tests/support/instance.hpp"
#include "tests/unit/cxi/samples.hpp"
#include "tests/unit/writer/stage.hpp"

namespace peaknet::writer {
namespace {

using test::must;
using test::TempFolder;

struct InputFrame {
  std::vector<std::byte> image;
  std::vector<std::uint64_t> mask;
};

// The files that one writer makes of `frames`.
std::vector<std::filesystem::path> written(const shm::Geometry& geometry, const std::vector<InputFrame>& frames,
                                           const std::filesystem::path& folder, const std::string& geometry_file,
                                           config::Compression compression = config::Compression::none) {
  test::TestInstance instance({.geometry = geometry});
  const auto producer = instance.producer();
  const auto device = instance.consumer(shm::Queue::q1);
  config::Config settings;
  settings.instance = instance.name();
  settings.pool.shape = {geometry.panels, geometry.height, geometry.width};
  settings.pool.dtype = geometry.pixel_type;
  settings.output.dir = folder;
  settings.output.geometry = geometry_file;
  settings.output.compression = compression;
  settings.peaks.min_num_peak = 1;
  settings.log.level = "warn";
  test::WriterThread writer(settings);
  for (const auto& input : frames) {
    auto frame = must(producer->claim(std::chrono::seconds(20)));
    std::copy(input.image.begin(), input.image.end(), frame.image().begin());
    must(frame.commit());
    for (auto& held : device->take(1, shm::kMaxSequence, "0001").frames) {
      std::copy(input.mask.begin(), input.mask.end(), held.mask().begin());
      must(held.publish(shm::ResultStatus::mask));
    }
  }
  EXPECT_TRUE(test::eventually([&] { return instance.total(shm::Counter::written) == frames.size(); }));
  writer.stop();
  EXPECT_EQ(writer.failure(), "");
  return test::finished_files(folder);
}

float ulp(float value) {
  return std::nextafter(std::abs(value), std::numeric_limits<float>::infinity()) - std::abs(value);
}

// A frame whose peak i of panel p is alone at a place that tells both.
InputFrame marked_frame(const shm::Geometry& geometry) {
  InputFrame frame;
  std::vector<std::uint8_t> classes(geometry.pixels());
  std::vector<std::uint16_t> pixels(geometry.pixels());
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint16_t>(i % 50021);
  for (std::uint32_t p = 0; p < geometry.panels; ++p) {
    for (std::uint32_t i = 0; i < 3; ++i)
      classes[(std::size_t{p} * geometry.height + 2 * i + p % 3) * geometry.width + 4 * i + p] = 1;
  }
  pack_mask(classes, geometry.panels, geometry.height, geometry.width, frame.mask);
  frame.image.resize(geometry.image_bytes());
  std::memcpy(frame.image.data(), pixels.data(), frame.image.size());
  return frame;
}

void expect_marked(const std::filesystem::path& path, const shm::Geometry& geometry, const SlabLayout& slab) {
  const auto reader = must(CxiReader::open(path));
  ASSERT_EQ(reader.height(), slab.height);
  ASSERT_EQ(reader.width(), slab.width);
  const auto event = must(reader.read(0));
  ASSERT_EQ(event.peaks.size(), 3U * geometry.panels);
  for (std::uint32_t p = 0; p < geometry.panels; ++p) {
    for (std::uint32_t i = 0; i < 3; ++i) {
      const PeakRow& peak = event.peaks[3 * p + i];
      EXPECT_EQ(peak.panel, static_cast<float>(p));
      EXPECT_EQ(peak.y, static_cast<float>(slab.places[p].y + 2 * i + p % 3)) << p << " " << i;
      EXPECT_EQ(peak.x, static_cast<float>(slab.places[p].x + 4 * i + p)) << p << " " << i;
      // The pixel under the peak, found in the file's image by the peak's own numbers, has the peak's counts.
      std::uint16_t counts = 0;
      const auto at = static_cast<std::size_t>(peak.y) * slab.width + static_cast<std::size_t>(peak.x);
      std::memcpy(&counts, event.pixels.data() + 2 * at, 2);
      EXPECT_EQ(peak.total, static_cast<float>(counts)) << p << " " << i;
    }
  }
  const auto failing = test::failing_items(path, "--events 1");
  if (failing != "skipped") {
    EXPECT_EQ(failing, "");
  }
}

TEST(PlacedFiles, PanelsSideBySideKeepTheirPixelsAndPeaksInEveryForm) {
  const shm::Geometry geometry{4, 2, 12, 40, PixelType::uint16};
  const SlabLayout slab{14, 84, {{2, 44}, {0, 0}}};  // with gaps
  for (const auto compression : {config::Compression::none, config::Compression::bitshuffle_lz4}) {
    TempFolder folder;
    const auto file = folder.path() / "two.geom";
    std::ofstream(file)
        << "data = /entry_1/data_1/data\ndim0 = %\ndim1 = ss\ndim2 = fs\nfs = +x\nss = +y\ncorner_x = 0\ncorner_y = 0\n"
           "a/min_fs = 44\na/max_fs = 83\na/min_ss = 2\na/max_ss = 13\n"
           "b/min_fs = 0\nb/max_fs = 39\nb/min_ss = 0\nb/max_ss = 11\n";
    const auto files = written(geometry, {marked_frame(geometry)}, folder.path(), file, compression);
    ASSERT_EQ(files.size(), 1U);
    expect_marked(files[0], geometry, slab);
    const auto picture = test::Child::start({test::bin_dir() + "/peaknet-writer", "preview", files[0]}).wait();
    EXPECT_EQ(picture, test::Exit::code(0));
  }
}

std::string shared(const std::string& name) {
  const char* folder = std::getenv("PEAKNET_SHARED_DATA");
  const std::string path = folder == nullptr ? "" : std::string(folder) + "/" + name;
  return std::filesystem::exists(path) ? path : "";
}

TEST(PlacedFiles, PeaksOfAnEpix10k2MLandOnTheRowsOfTheirPanel) {
  const auto geometry_file = shared("geom/om_epix10k2M.geom");
  if (geometry_file.empty()) GTEST_SKIP() << "needs ../shared/data/geom/om_epix10k2M.geom";
  const shm::Geometry geometry{4, 16, 352, 384, PixelType::uint16};
  TempFolder folder;
  const auto files = written(geometry, {marked_frame(geometry)}, folder.path(), geometry_file);
  ASSERT_EQ(files.size(), 1U);
  expect_marked(files[0], geometry, stacked(16, 352, 384));
}

// The published images with the golden masks, through a writer: the table in the file is the golden one.
void expect_golden(const std::string& masks_name, const std::string& images_name, PixelType type,
                   const std::string& geometry_name) {
  const auto masks_path = shared("real/" + masks_name);
  const auto images_path = shared("real/" + images_name);
  const auto geometry_file = shared("geom/" + geometry_name);
  if (masks_path.empty() || images_path.empty()) GTEST_SKIP() << "needs ../shared/data/real/" << masks_name;
  const auto masks = must(FrameStack::open(masks_path, "mask", FrameStack::Kind::class_map, 1));
  const auto images = must(FrameStack::open(images_path, "data", FrameStack::Kind::image, 1));
  ASSERT_TRUE(masks.same_frames_as(images));
  const shm::Geometry geometry{8, masks.panels(), masks.height(), masks.width(), type};
  std::vector<InputFrame> frames(masks.events());
  std::vector<std::byte> classes;
  for (std::uint64_t i = 0; i < masks.events(); ++i) {
    must(masks.read(i, classes));
    must(images.read(i, frames[i].image));
    pack_mask({reinterpret_cast<const std::uint8_t*>(classes.data()), classes.size()}, geometry.panels, geometry.height,
              geometry.width, frames[i].mask);
  }
  const auto golden = test::read_golden_peaks(masks_path);

  TempFolder folder;
  const auto files = written(geometry, frames, folder.path(), geometry_file);
  ASSERT_EQ(files.size(), 1U);
  SlabLayout slab = stacked(geometry.panels, geometry.height, geometry.width);
  if (!geometry_file.empty())
    slab = must(place_panels(must(read_crystfel_geometry(geometry_file)), geometry.panels, geometry.height,
                             geometry.width))
               .slab;
  const auto reader = must(CxiReader::open(files[0]));
  ASSERT_EQ(reader.events(), frames.size());
  ASSERT_EQ(reader.height(), slab.height);
  ASSERT_EQ(reader.width(), slab.width);
  std::size_t at = 0;
  for (std::size_t i = 0; i < reader.events(); ++i) {
    const auto event = must(reader.read(i));
    for (const PeakRow& peak : event.peaks) {
      ASSERT_LT(at, golden.size());
      const test::GoldenPeak& expected = golden[at];
      SCOPED_TRACE("golden peak " + std::to_string(at++));
      EXPECT_EQ(static_cast<int>(i), expected.event);
      EXPECT_EQ(peak.panel, static_cast<float>(expected.panel));
      const PanelPlace& place = slab.places[static_cast<std::size_t>(expected.panel)];
      const float y = expected.y + static_cast<float>(place.y);
      const float x = expected.x + static_cast<float>(place.x);
      EXPECT_LE(std::abs(peak.y - y), ulp(y));
      EXPECT_LE(std::abs(peak.x - x), ulp(x));
      EXPECT_EQ(peak.n_pixels, static_cast<float>(expected.n_pixels));
      EXPECT_EQ(peak.total, static_cast<float>(expected.total));
      EXPECT_EQ(peak.maximum, static_cast<float>(expected.max));
    }
  }
  EXPECT_EQ(at, golden.size());
  const auto failing = test::failing_items(files[0], "--events " + std::to_string(frames.size()));
  if (failing != "skipped") {
    EXPECT_EQ(failing, "");
  }
}

TEST(GoldenFiles, OfTheCspadSetHoldTheGoldenPeaks) {
  expect_golden("golden_peaks_cspad_sparse.h5", "lcls_cspad_thermolysin_4ev.h5", PixelType::int16,
                "cspad_stack_5920x388.geom");
}

TEST(GoldenFiles, OfTheCspadSetInTheLayoutOfCheetahHoldTheGoldenPeaks) {
  expect_golden("golden_peaks_cspad_sparse.h5", "lcls_cspad_thermolysin_4ev.h5", PixelType::int16,
                "crystfel_cspad-cxiformat.geom");
}

TEST(GoldenFiles, OfTheRayonixSetHoldTheGoldenPeaks) {
  expect_golden("golden_peaks_rayonix.h5", "lcls_mfx_rayonix_1920.h5", PixelType::uint16, "rayonix_1920.geom");
}

}  // namespace
}  // namespace peaknet::writer
