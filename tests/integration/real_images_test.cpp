// Published LCLS images through the real programs and the demo network: a CXI file with peaks that satisfies every item
// that CrystFEL and the CXI validator ask for. The images are no part of the repository: skipped, by name, where they
// are absent.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdlib>

#include "tests/integration/system.hpp"
#include "tests/support/golden_peaks.hpp"

namespace peaknet::test {
namespace {

std::string shared_data() {
  const char* folder = std::getenv("PEAKNET_SHARED_DATA");
  return folder == nullptr ? "" : folder;
}

void check_items(const std::filesystem::path& file) {
  auto check = Child::start({"/usr/bin/python3", source_dir() + "/tests/integration/cxi_items.py", file.string()});
  const auto exit = check.wait();
  EXPECT_TRUE(exit == Exit::code(0) || exit == Exit::code(77)) << check.out() << check.err();  // 77: no h5py here
}

// Peaks of one event of a golden file, in the slab of all panels.
std::vector<GoldenPeak> golden_peaks(const std::string& path, int event, float panel_height) {
  std::vector<GoldenPeak> peaks;
  for (GoldenPeak peak : read_golden_peaks(path)) {
    if (peak.event != event) continue;
    peak.y += static_cast<float>(peak.panel) * panel_height;
    peaks.push_back(peak);
  }
  return peaks;
}

// How many of the golden peaks of at least four pixels have a peak of ours within two pixels.
double recall(const System::Event& event, const std::vector<GoldenPeak>& golden) {
  int sought = 0;
  int found = 0;
  for (const auto& peak : golden) {
    if (peak.n_pixels < 4) continue;
    ++sought;
    for (std::size_t i = 0; i < event.x.size(); ++i) {
      if (std::abs(event.x[i] - peak.x) <= 2.0F && std::abs(event.y[i] - peak.y) <= 2.0F) {
        ++found;
        break;
      }
    }
  }
  return sought == 0 ? 0.0 : static_cast<double>(found) / sought;
}

class RealImages : public ::testing::Test {
 protected:
  void SetUp() override {
    if (shared_data().empty()) GTEST_SKIP() << "no folder $PEAKNET_SHARED_DATA";
    if (!std::filesystem::exists(model())) GTEST_SKIP() << "no " << model();
  }
  static std::string model() { return source_dir() + "/models/contrast.pt"; }
};

TEST_F(RealImages, TheRayonixHitIsWrittenWithThePeaksAPersonSees) {
  const std::string frames = shared_data() + "/real/lcls_mfx_rayonix_1920.h5";
  if (!std::filesystem::exists(frames)) GTEST_SKIP() << "no " << frames;
  System system({.model = model(), .shape = "[1,1920,1920]", .slots = 4, .batch = 1, .min_num_peak = 10});
  system.start_daemon();
  system.start_writer();
  auto feed = system.feed({"replay", frames});
  ASSERT_EQ(feed.wait(), Exit::code(0)) << feed.err();
  auto stop = system.ctl({"stop"});
  ASSERT_EQ(stop.wait(), Exit::code(0)) << stop.err();
  const auto events = system.events_in_files();
  ASSERT_EQ(events.size(), 1U);
  EXPECT_GE(events[0].x.size(), 10U);
  EXPECT_GE(recall(events[0], golden_peaks(shared_data() + "/real/golden_peaks_rayonix.h5", 0, 1920)), 0.8);
  check_items(system.files().at(0));
}

TEST_F(RealImages, TheFourCspadHitsAreWrittenWithThePeaksAPersonSees) {
  const std::string frames = shared_data() + "/real/lcls_cspad_thermolysin_4ev.h5";
  if (!std::filesystem::exists(frames)) GTEST_SKIP() << "no " << frames;
  System system(
      {.model = model(), .shape = "[32,185,388]", .dtype = "int16", .slots = 4, .batch = 1, .min_num_peak = 10});
  system.start_daemon();
  system.start_writer();
  auto feed = system.feed({"replay", frames});
  ASSERT_EQ(feed.wait(), Exit::code(0)) << feed.err();
  auto stop = system.ctl({"stop"});
  ASSERT_EQ(stop.wait(), Exit::code(0)) << stop.err();
  const auto events = system.events_in_files();
  ASSERT_EQ(events.size(), 4U);
  for (const auto& event : events) {
    EXPECT_GE(event.x.size(), 10U);
    const auto golden =
        golden_peaks(shared_data() + "/real/golden_peaks_cspad_sparse.h5", static_cast<int>(event.event_id), 185);
    EXPECT_GE(recall(event, golden), 0.8) << "event " << event.event_id;
  }
  check_items(system.files().at(0));
}

}  // namespace
}  // namespace peaknet::test
