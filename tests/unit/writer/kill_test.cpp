// kill -9 of a writer at random moments, again and again: every frame is in exactly one finished file, or counted.
#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <random>

#include "tests/support/child.hpp"
#include "tests/unit/writer/cxi/samples.hpp"
#include "tests/unit/writer/stage.hpp"
#include "writer/service.hpp"

namespace peaknet::writer {
namespace {

using shm::Counter;
using test::Child;
using Clock = std::chrono::steady_clock;

struct Way {
  const char* name;
  unsigned seed;
  int writers;
  std::uint64_t frames;
  config::Compression compression;
  config::Images images;
};

class KillTest : public ::testing::TestWithParam<Way> {};

TEST_P(KillTest, EveryFrameIsWrittenExactlyOnce) {
  const Way way = GetParam();
  SCOPED_TRACE("seed " + std::to_string(way.seed));
  std::mt19937 random(way.seed);
  test::Stage stage;
  test::TempFolder folder;
  auto settings = stage.settings(folder.path());
  settings.output.compression = way.compression;
  settings.output.images = way.images;
  settings.output.events_per_file = 7;
  settings.output.durable_ms = 20;
  settings.log.level = "error";

  std::vector<Child> writers(static_cast<std::size_t>(way.writers));
  const auto start = [&] {
    return Child::run([&] {
      serve(settings, {});
      return 0;
    });
  };
  const auto pause = [&] { return std::chrono::milliseconds(5 + random() % 120); };
  for (auto& writer : writers) writer = start();
  int kills = 0;
  auto next_kill = Clock::now() + pause();
  std::uint64_t filtered = 0;
  for (std::uint64_t number = 0; number < way.frames;) {
    const std::uint32_t peaks = number % 6 == 5 ? 2 : 12;
    if (stage.feed({.number = number, .peaks = peaks}, std::chrono::milliseconds(10))) {
      ++number;
      filtered += peaks < 5 ? 1 : 0;
    }
    stage.clear_quarantine();
    if (Clock::now() < next_kill) continue;
    auto& victim = writers[random() % writers.size()];
    EXPECT_EQ(victim.kill(), test::Exit::signal(SIGKILL));
    victim = start();
    ++kills;
    next_kill = Clock::now() + pause();
  }
  ASSERT_TRUE(stage.close_files(writers.size(), std::chrono::seconds(60)));
  for (auto& writer : writers) writer.kill();
  stage.clear_quarantine();

  const auto books = stage.instance().books();
  EXPECT_BALANCED(stage.instance());
  EXPECT_EQ(books.in_flight(), 0U);
  // A frame that happened to be held at three deaths counts as failed, whoever was to blame.
  const std::uint64_t quarantined = books.total(Counter::failed_quarantined);
  EXPECT_EQ(books.total(Counter::filtered) + books.total(Counter::written) + quarantined, way.frames);
  EXPECT_LE(books.total(Counter::filtered), filtered);
  const auto events = test::events_in(folder.path(), stage.geometry(), way.images == config::Images::hits);
  for (const auto& [name, times] : events) EXPECT_EQ(times, 1) << name;
  EXPECT_GE(events.size(), books.total(Counter::written));
  EXPECT_LE(events.size(), books.total(Counter::written) + quarantined);
  for (const auto& name : folder.names()) {
    // A .ledger.new is a beginning that was cut off before it meant anything; it is removed when it is old.
    EXPECT_TRUE(name.ends_with(".cxi") || name.ends_with(".ledger") || name.ends_with(".ledger.new")) << name;
  }
  std::printf("%d kills, %zu events in %zu files, %llu duplicates avoided, %llu quarantined\n", kills, events.size(),
              test::finished_files(folder.path()).size(),
              static_cast<unsigned long long>(books.total(Counter::duplicates)),
              static_cast<unsigned long long>(quarantined));
  EXPECT_GT(kills, 0);
}

INSTANTIATE_TEST_SUITE_P(Writers, KillTest,
                         ::testing::Values(Way{"One", 1, 1, 1200, config::Compression::none, config::Images::hits},
                                           Way{"Compressed", 2, 1, 800, config::Compression::bitshuffle_lz4,
                                               config::Images::hits},
                                           Way{"PeaksOnly", 3, 1, 800, config::Compression::none, config::Images::none},
                                           Way{"Three", 4, 3, 1200, config::Compression::none, config::Images::hits}),
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
