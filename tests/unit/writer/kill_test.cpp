// kill -9 of a writer at random moments, again and again: every frame is in exactly one finished file, or counted.
#include <gtest/gtest.h>

#include "tests/support/child.hpp"
#include "tests/unit/cxi/samples.hpp"
#include "tests/unit/writer/kill_storm.hpp"
#include "tests/unit/writer/stage.hpp"
#include "writer/service.hpp"

namespace peaknet::writer {
namespace {

using shm::Counter;
using test::Child;
using test::KillStorm;

class KillTest : public ::testing::TestWithParam<KillStorm> {};

TEST_P(KillTest, EveryFrameIsWrittenExactlyOnce) { test::expect_to_survive(GetParam()); }

INSTANTIATE_TEST_SUITE_P(
    Writers, KillTest,
    ::testing::Values(KillStorm{"One", 1, 1, 1200, 1, config::Compression::none, config::Images::hits},
                      KillStorm{"Compressed", 2, 1, 800, 1, config::Compression::bitshuffle_lz4, config::Images::hits},
                      KillStorm{"Masks", 5, 1, 800, 1, config::Compression::bitshuffle_lz4, config::Images::hits, true},
                      KillStorm{"PeaksOnly", 3, 1, 800, 1, config::Compression::none, config::Images::none},
                      KillStorm{"Three", 4, 3, 1200, 1, config::Compression::none, config::Images::hits}),
    [](const auto& which) { return which.param.name; });

// A writer dies after its events are durable and before it lets their slots go: the next one must neither write them
// again nor forget the ledger before all of them are gone.
TEST(KillTwice, WhoeverTakesTheFramesOfADeadWriterFindsThemInItsLedger) {
  test::Stage stage;
  test::TempFolder folder;
  const auto settings = stage.settings(folder.path());
  for (std::uint64_t i = 0; i < 4; ++i) ASSERT_TRUE(stage.feed({.number = i}));  // into slots 0 to 3
  auto writer = Child::run([&] {
    serve(settings, {});
    return 0;
  });
  ASSERT_TRUE(test::eventually([&] { return stage.instance().total(Counter::written) == 4; }));
  writer.kill();
  // Put the frames back into slots as if the kernel had stopped the writer just before it freed them.
  for (std::uint32_t slot = 0; slot < 4; ++slot) {
    const auto word = shm::StateWord::unpack(stage.instance().pool().word(slot).load());
    stage.instance().pool().word(slot).store(shm::StateWord{word.sequence, 1, 0, shm::SlotState::done}.pack());
  }
  {
    test::WriterThread next(settings);
    ASSERT_TRUE(stage.close_files());
  }
  EXPECT_EQ(stage.instance().total(Counter::duplicates), 4U);
  const auto events = test::events_in(folder.path(), stage.geometry());
  EXPECT_EQ(events.size(), 4U);
  for (const auto& [name, times] : events) EXPECT_EQ(times, 1) << name;
}

}  // namespace
}  // namespace peaknet::writer
