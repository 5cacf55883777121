#include "tests/unit/writer/power_cuts.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <set>

#include "ctl/files/audit.hpp"
#include "tests/support/child.hpp"
#include "tests/unit/writer/power_disk.hpp"
#include "tests/unit/writer/stage.hpp"
#include "writer/service.hpp"

namespace peaknet::test {
namespace {

using Clock = std::chrono::steady_clock;

// Sequences of the frames that are in a slot: nobody was told that they are written. A slot that changes hands while we
// look holds a frame that is not acknowledged yet, or has just been.
std::set<std::uint64_t> in_slots(Stage& stage) {
  std::set<std::uint64_t> found;
  const shm::Pool& pool = stage.instance().pool();
  for (std::uint32_t slot = 0; slot < pool.geometry().slots; ++slot) {
    using shm::SlotState;
    const auto state = shm::StateWord::unpack(pool.word(slot).load()).state;
    if (state != SlotState::free && state != SlotState::filling) found.insert(pool.descriptor(slot).producer_seq);
  }
  return found;
}

// What a writer of that instance does when it starts after the machine came up again: there is no shared memory any
// more, only the folder.
void start_once_more(const config::Config& settings) {
  WriterThread writer(settings);
  const auto recovered = [&] {
    for (const auto& entry : std::filesystem::directory_iterator(settings.output.dir)) {
      if (entry.path().extension() == ".part") return false;
    }
    return true;
  };
  EXPECT_TRUE(eventually(recovered));
  writer.stop();
  EXPECT_EQ(writer.failure(), "");
}

struct Outcome {
  std::uint64_t acknowledged = 0;
  std::uint64_t recovered = 0;  // events in files
};

void one_cut(unsigned seed, Outcome& outcome) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  PowerDisk disk(96 << 20);
  ASSERT_TRUE(disk.works());
  config::Config settings;
  std::set<std::uint64_t> acknowledged;
  {
    Stage stage;
    settings = stage.settings(disk.path());
    settings.output.events_per_file = 5 + static_cast<std::uint32_t>(random() % 10);
    settings.output.durable_ms = 5.0 + static_cast<double>(random() % 30);
    settings.output.compression = random() % 2 == 0 ? config::Compression::none : config::Compression::bitshuffle_lz4;
    settings.output.images = random() % 4 == 0 ? config::Images::none : config::Images::hits;
    settings.log.level = "error";
    Child writer = Child::run([&] {
      writer::serve(settings, {});
      return 0;
    });
    const auto moment = Clock::now() + std::chrono::milliseconds(50 + random() % 250);
    std::uint64_t number = 0;
    std::set<std::uint64_t> hits;
    while (Clock::now() < moment) {
      const bool hit = number % 6 != 5;
      if (!stage.feed({.number = number, .peaks = hit ? 12U : 2U}, std::chrono::milliseconds(10))) continue;
      if (hit) hits.insert(number);
      ++number;
    }
    // Before the cut: an fsync that is at work while the kernel simulates it may return as if all were well, which no
    // machine without power does.
    const auto still_there = in_slots(stage);
    for (const std::uint64_t hit : hits)
      if (!still_there.contains(hit)) acknowledged.insert(hit);
    ASSERT_TRUE(disk.cut());
    writer.kill();
    stage.recover_dead();  // it may have let a slot go and not yet counted it: that is in its journal then
    EXPECT_GE(stage.instance().total(shm::Counter::written), acknowledged.size());
  }
  ASSERT_TRUE(disk.restore());
  start_once_more(settings);

  const auto audit = must(writer::audit_folders({disk.path()}));
  for (const auto& problem : audit.problems) {
    // With the power went the shared memory: frames that nobody had been told of are gone, and with them, perhaps, the
    // last copy of the counters.
    const bool of_the_unacknowledged = problem.id == "audit.missing" || problem.id == "audit.in-flight" ||
                                       problem.id == "audit.no-books" || problem.id == "audit.nothing";
    EXPECT_TRUE(of_the_unacknowledged) << problem.text();
  }
  std::uint64_t in_files = 0;
  for (const auto& instance : audit.instances) {
    in_files += instance.in_files;
    EXPECT_EQ(instance.unfinished, 0U);
    for (const auto& span : instance.without_end) {
      for (std::uint64_t i = span.first; i <= span.last; ++i)
        EXPECT_FALSE(acknowledged.contains(i)) << "frame " << i << " had been acknowledged";
    }
  }
  EXPECT_GE(in_files, acknowledged.size());
  if (settings.output.images == config::Images::hits) {
    const auto events = events_in(disk.path(), {16, 2, 48, 64, PixelType::uint16});
    EXPECT_EQ(events.size(), in_files);
    for (const std::uint64_t number : acknowledged) {
      const auto found = std::find_if(events.begin(), events.end(), [&](const auto& event) {
        return event.first.ends_with(" frame " + std::to_string(number));
      });
      EXPECT_TRUE(found != events.end() && found->second == 1) << "frame " << number;
    }
  }
  outcome.acknowledged += acknowledged.size();
  outcome.recovered += in_files;
}

}  // namespace

void expect_to_survive_power_cuts(int cuts, unsigned seed) {
  {
    const PowerDisk disk(16 << 20);
    if (!disk.works()) GTEST_SKIP() << "needs to be root, mkfs.ext4 and loop devices";
  }
  Outcome outcome;
  for (int i = 0; i < cuts && !::testing::Test::HasFailure(); ++i) one_cut(seed + static_cast<unsigned>(i), outcome);
  std::printf("%d power cuts: %llu events acknowledged, %llu in files\n", cuts,
              static_cast<unsigned long long>(outcome.acknowledged),
              static_cast<unsigned long long>(outcome.recovered));
  EXPECT_GT(outcome.acknowledged, 0U);
}

}  // namespace peaknet::test
