// The networks of models/ in a real peaknetd: their golden images give their golden masks, and in the demo's frames each hit
// has its peaks and a blank frame has none.
#include <gtest/gtest.h>

#include <cstddef>

#include "tests/integration/system.hpp"

namespace peaknet::test {
namespace {

struct Shipped {
  const char* file;
  const char* normalize;
  friend std::ostream& operator<<(std::ostream& out, const Shipped& one) { return out << one.file; }
};

class ShippedNetworks : public ::testing::TestWithParam<Shipped> {};

TEST_P(ShippedNetworks, AreTakenWithTheirGoldenFilesAndFindTheHitsOfTheDemo) {
  const std::string model = source_dir() + "/models/" + GetParam().file;
  System system({.model = model,
                 .shape = "[1,1024,1024]",
                 .slots = 8,
                 .batch = 2,
                 .min_num_peak = 10,
                 .more = {std::string("preprocess.normalize: ") + GetParam().normalize}});
  system.start_daemon();
  system.start_writer();
  const auto shown = system.ctl_json({"model", "show"});
  EXPECT_EQ(shown.at("path"), model);
  EXPECT_EQ(shown.at("golden"), "equal") << shown.dump();
  auto feed = system.feed({"replay", "--blank-between", "1", source_dir() + "/scripts/demo_data/lysozyme_hits.h5"});
  ASSERT_EQ(feed.wait(), Exit::code(0)) << feed.err();
  ASSERT_EQ(system.ctl({"stop"}).wait(), Exit::code(0));
  const auto events = system.events_in_files();
  EXPECT_EQ(events.size(), 4U) << "the four hits, and no blank frame";
  for (const auto& event : events) EXPECT_GE(event.x.size(), 30U) << "event " << event.event_id;
}

INSTANTIATE_TEST_SUITE_P(, ShippedNetworks,
                         ::testing::Values(Shipped{"contrast.pt", "none"},
                                           Shipped{"peaknet_small/peaknet_small.pt", "instance"}),
                         [](const auto& info) {
                           return std::string(info.param.file) == "contrast.pt" ? "contrast" : "peaknet_small";
                         });

}  // namespace
}  // namespace peaknet::test
