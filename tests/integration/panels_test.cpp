// Peaks of detectors with many panels through the whole system, without a network: what lies above a threshold is a
// peak, each lands on the rows of its panel where the geometry file has them, and the golden tables of the published
// images come out number by number.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <limits>
#include <sstream>

#include "cxi/frame_stack.hpp"
#include "cxi/placement.hpp"
#include "cxi/reader.hpp"
#include "tests/integration/system.hpp"
#include "tests/support/golden_peaks.hpp"
#include "tests/support/instance.hpp"

namespace peaknet::test {
namespace {

using writer::CxiReader;
using writer::FrameStack;
using writer::PeakRow;
using writer::SlabLayout;

std::string shared(const std::string& name) {
  const char* folder = std::getenv("PEAKNET_SHARED_DATA");
  const std::string path = folder == nullptr ? "" : std::string(folder) + "/" + name;
  return std::filesystem::exists(path) ? path : "";
}

struct Spot {
  std::uint32_t panel;
  float y, x;
};

// What peaknet-feed simulate says it has drawn, by event.
std::map<std::uint64_t, std::vector<Spot>> read_truth(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  std::map<std::uint64_t, std::vector<Spot>> truth;
  while (std::getline(file, line)) {
    std::uint64_t frame = 0;
    Spot spot{};
    char comma = 0;
    std::istringstream(line) >> frame >> comma >> spot.panel >> comma >> spot.y >> comma >> spot.x;
    truth[frame].push_back(spot);
  }
  return truth;
}

void check_items(const std::filesystem::path& file) {
  auto check = Child::start({"/usr/bin/python3", source_dir() + "/tests/integration/cxi_items.py", file.string()});
  const auto exit = check.wait();
  EXPECT_TRUE(exit == Exit::code(0) || exit == Exit::code(77)) << check.out() << check.err();  // 77: no h5py here
}

// A daemon, a writer with the geometry file, what `feed` brings, and a stop.
void play(System& system, const std::string& geometry_file, const std::vector<std::string>& feed) {
  system.start_daemon();
  system.start_writer({"output.geometry=" + geometry_file});
  auto fed = system.feed(feed);
  ASSERT_EQ(fed.wait(), Exit::code(0)) << fed.err();
  auto stop = system.ctl({"stop"});
  ASSERT_EQ(stop.wait(), Exit::code(0)) << stop.err();
}

// Simulated spots on every panel: each has its peak within a pixel and a half of where the geometry file puts it.
void expect_spots_on_their_panels(const std::string& geometry_name, std::uint32_t panels, std::uint32_t height,
                                  std::uint32_t width) {
  const auto geometry_file = shared("geom/" + geometry_name);
  if (geometry_file.empty()) GTEST_SKIP() << "needs ../shared/data/geom/" << geometry_name;
  const SlabLayout slab =
      must(writer::place_panels(must(writer::read_crystfel_geometry(geometry_file)), panels, height, width)).slab;
  System system(
      {.model = "builtin:threshold=100",
       .shape = "[" + std::to_string(panels) + "," + std::to_string(height) + "," + std::to_string(width) + "]",
       .slots = 4,
       .batch = 1});
  const auto truth_file = system.folder() / "truth.csv";
  play(system, geometry_file,
       {"simulate", "--frames", "3", "--hit-fraction", "1", "--seed", "5", "--truth", truth_file.string()});
  const auto truth = read_truth(truth_file);
  ASSERT_EQ(system.files().size(), 1U);
  const auto reader = must(CxiReader::open(system.files()[0]));
  const auto rows = system.events_in_files();
  ASSERT_EQ(reader.events(), 3U);
  std::set<std::uint32_t> panels_seen;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    const auto event = must(reader.read(row));
    const auto& spots = truth.at(rows[row].event_id);
    EXPECT_EQ(event.peaks.size(), spots.size());
    for (const Spot& spot : spots) {
      const auto& place = slab.places.at(spot.panel);
      const auto found = std::count_if(event.peaks.begin(), event.peaks.end(), [&](const PeakRow& peak) {
        return peak.panel == static_cast<float>(spot.panel) &&
               std::abs(peak.y - (static_cast<float>(place.y) + spot.y)) <= 1.5F &&
               std::abs(peak.x - (static_cast<float>(place.x) + spot.x)) <= 1.5F;
      });
      EXPECT_EQ(found, 1) << "event " << row << " panel " << spot.panel << " y " << spot.y << " x " << spot.x;
      panels_seen.insert(spot.panel);
    }
    for (const PeakRow& peak : event.peaks) {
      // The image of the file is bright where the peak says that it is.
      std::uint16_t counts = 0;
      const auto at =
          static_cast<std::size_t>(std::lround(peak.y)) * slab.width + static_cast<std::size_t>(std::lround(peak.x));
      std::memcpy(&counts, event.pixels.data() + 2 * at, 2);
      EXPECT_GT(counts, 100) << peak.y << " " << peak.x;
    }
  }
  EXPECT_EQ(panels_seen.size(), panels) << "a panel without a spot proves nothing for it";
  check_items(system.files()[0]);
}

TEST(Panels, TheSixteenOfAnEpix10k2MHaveTheirPeaksOnTheirRows) {
  expect_spots_on_their_panels("om_epix10k2M.geom", 16, 352, 384);
}

TEST(Panels, TheThirtyTwoOfACspadHaveTheirPeaksWhereCheetahPutsThem) {
  expect_spots_on_their_panels("crystfel_cspad-cxiformat.geom", 32, 185, 388);
}

// The golden masks come from a threshold on the local contrast. So that one threshold for all pixels finds exactly
// these, what is not in a golden mask is 0 here; the peaks' own counts are those of the published images.
void expect_golden(const std::string& golden_name, const std::string& images_name, PixelType type,
                   const std::string& geometry_name) {
  const auto golden_path = shared("real/" + golden_name);
  const auto images_path = shared("real/" + images_name);
  const auto geometry_file = shared("geom/" + geometry_name);
  if (golden_path.empty() || images_path.empty() || geometry_file.empty())
    GTEST_SKIP() << "needs ../shared/data/real/" << golden_name;
  const auto masks = must(FrameStack::open(golden_path, "mask", FrameStack::Kind::class_map, 1));
  const auto images = must(FrameStack::open(images_path, "data", FrameStack::Kind::image, 1));
  System system({.model = "builtin:threshold=50",
                 .shape = "[" + std::to_string(masks.panels()) + "," + std::to_string(masks.height()) + "," +
                          std::to_string(masks.width()) + "]",
                 .dtype = std::string(name(type)),
                 .slots = 4,
                 .batch = 1,
                 .min_num_peak = 1});

  std::vector<std::byte> all, image, classes;
  for (std::uint64_t i = 0; i < masks.events(); ++i) {
    must(masks.read(i, classes));
    must(images.read(i, image));
    for (std::size_t k = 0; k < classes.size(); ++k) {
      if (classes[k] != std::byte{1}) std::memset(image.data() + 2 * k, 0, 2);
    }
    all.insert(all.end(), image.begin(), image.end());
  }
  const auto frames = system.folder() / "frames.h5";
  {
    using writer::H5Handle;
    const hsize_t dims[4] = {masks.events(), masks.panels(), masks.height(), masks.width()};
    const hid_t kind = writer::memory_type_of(type);
    const H5Handle file(H5Fcreate(frames.c_str(), H5F_ACC_EXCL, H5P_DEFAULT, H5P_DEFAULT), H5Fclose);
    const H5Handle space(H5Screate_simple(4, dims, nullptr), H5Sclose);
    const H5Handle set(H5Dcreate2(file.get(), "data", kind, space.get(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
                       H5Dclose);
    ASSERT_GE(H5Dwrite(set.get(), kind, H5S_ALL, H5S_ALL, H5P_DEFAULT, all.data()), 0);
  }
  play(system, geometry_file, {"replay", frames.string()});

  const SlabLayout slab = must(writer::place_panels(must(writer::read_crystfel_geometry(geometry_file)), masks.panels(),
                                                    masks.height(), masks.width()))
                              .slab;
  std::map<std::uint64_t, std::vector<GoldenPeak>> expected;
  for (const auto& peak : read_golden_peaks(golden_path))
    expected[static_cast<std::uint64_t>(peak.event)].push_back(peak);
  ASSERT_EQ(system.files().size(), 1U);
  const auto reader = must(CxiReader::open(system.files()[0]));
  const auto rows = system.events_in_files();
  ASSERT_EQ(rows.size(), masks.events());
  const auto ulp = [](float value) {
    return std::nextafter(std::abs(value), std::numeric_limits<float>::infinity()) - std::abs(value);
  };
  for (std::size_t row = 0; row < rows.size(); ++row) {
    const auto event = must(reader.read(row));
    const auto& golden = expected.at(rows[row].event_id);
    ASSERT_EQ(event.peaks.size(), golden.size());
    for (std::size_t i = 0; i < golden.size(); ++i) {
      SCOPED_TRACE("event " + std::to_string(rows[row].event_id) + " peak " + std::to_string(i));
      const PeakRow& peak = event.peaks[i];
      const auto& place = slab.places.at(static_cast<std::size_t>(golden[i].panel));
      const float y = golden[i].y + static_cast<float>(place.y);
      const float x = golden[i].x + static_cast<float>(place.x);
      EXPECT_EQ(peak.panel, static_cast<float>(golden[i].panel));
      EXPECT_LE(std::abs(peak.y - y), ulp(y));
      EXPECT_LE(std::abs(peak.x - x), ulp(x));
      EXPECT_EQ(peak.n_pixels, static_cast<float>(golden[i].n_pixels));
      EXPECT_EQ(peak.total, static_cast<float>(golden[i].total));
      EXPECT_EQ(peak.maximum, static_cast<float>(golden[i].max));
    }
  }
  check_items(system.files()[0]);
}

TEST(GoldenTables, OfTheCspadSetComeOutOfTheWholeSystem) {
  expect_golden("golden_peaks_cspad_sparse.h5", "lcls_cspad_thermolysin_4ev.h5", PixelType::int16,
                "crystfel_cspad-cxiformat.geom");
}

TEST(GoldenTables, OfTheRayonixSetComeOutOfTheWholeSystem) {
  expect_golden("golden_peaks_rayonix.h5", "lcls_mfx_rayonix_1920.h5", PixelType::uint16, "rayonix_1920.geom");
}

}  // namespace
}  // namespace peaknet::test
