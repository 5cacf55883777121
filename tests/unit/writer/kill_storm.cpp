#include "tests/unit/writer/kill_storm.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <random>

#include "cxi/run_sums.hpp"
#include "tests/support/child.hpp"
#include "tests/unit/cxi/samples.hpp"
#include "tests/unit/writer/stage.hpp"
#include "writer/service.hpp"

namespace peaknet::test {

using shm::Counter;
using Clock = std::chrono::steady_clock;

void expect_to_survive(const KillStorm& way) {
  SCOPED_TRACE("seed " + std::to_string(way.seed));
  std::mt19937 random(way.seed);
  test::Stage stage;
  test::TempFolder folder;
  auto settings = stage.settings(folder.path());
  settings.output.compression = way.compression;
  settings.output.images = way.images;
  settings.output.segmentation = way.segmentation;
  settings.output.events_per_file = 7;
  settings.output.durable_ms = 20;
  settings.log.level = "error";

  int kills = 0;
  std::uint64_t frames = 0;
  std::vector<Child> writers(static_cast<std::size_t>(way.writers));
  const auto start = [&] {
    return Child::run([&] {
      writer::serve(settings, {});
      return 0;
    });
  };
  const auto pause = [&] { return std::chrono::milliseconds(5 + random() % 120); };
  for (auto& writer : writers) writer = start();
  auto next_kill = Clock::now() + pause();
  // Every second victim dies at any moment, also while it starts; the others not before the writers have finished a frame
  // since the last death, and after `most` nobody dies. So a machine on which a start takes longer than a pause comes to
  // an end too.
  const auto done = [&] {
    const auto accounting = stage.instance().accounting();
    return accounting.total(Counter::written) + accounting.total(Counter::filtered);
  };
  std::uint64_t done_at_last_kill = 0;
  const int most = std::max(150, way.kills);
  std::uint64_t filtered = 0;
  for (std::uint64_t number = 0; number < way.frames || kills < way.kills;) {
    const std::uint32_t peaks = number % 6 == 5 ? 2 : 12;
    if (stage.feed({.number = number, .peaks = peaks}, std::chrono::milliseconds(10))) {
      frames = ++number;
      filtered += peaks < 5 ? 1 : 0;
    }
    stage.clear_quarantine();
    if (kills == most || Clock::now() < next_kill || (kills % 2 == 1 && done() == done_at_last_kill)) continue;
    auto& victim = writers[random() % writers.size()];
    EXPECT_EQ(victim.kill(), test::Exit::signal(SIGKILL));
    victim = start();
    ++kills;
    done_at_last_kill = done();
    next_kill = Clock::now() + pause();
  }
  ASSERT_TRUE(stage.close_files(writers.size(), std::chrono::seconds(60)));
  for (auto& writer : writers) writer.kill();

  const auto accounting = stage.instance().accounting();
  EXPECT_BALANCED(stage.instance());
  EXPECT_EQ(accounting.in_flight(), 0U);
  // A frame that happened to be held at three deaths counts as failed, whoever was to blame.
  const std::uint64_t quarantined = accounting.total(Counter::failed_quarantined);
  EXPECT_EQ(accounting.total(Counter::filtered) + accounting.total(Counter::written) + quarantined, frames);
  EXPECT_LE(accounting.total(Counter::filtered), filtered);
  const auto events = test::events_in(folder.path(), stage.geometry(), way.images == config::Images::hits);
  for (const auto& [name, times] : events) EXPECT_EQ(times, 1) << name;
  EXPECT_GE(events.size(), accounting.total(Counter::written));
  EXPECT_LE(events.size(), accounting.total(Counter::written) + quarantined);
  for (const auto& name : folder.names()) {
    // A .new is a beginning that was cut off before it meant anything: of a ledger (removed when it is old), a run's
    // list or its master (made anew by the next).
    EXPECT_TRUE(name.ends_with(".cxi") || name.ends_with(".ledger") || name.ends_with(".lst") ||
                name.ends_with(".frames") || name.ends_with(".sums.h5") || name.ends_with(".new"))
        << name;
  }
  // Sums may lack what a killed writer had not put down; they have nothing twice.
  std::vector<std::filesystem::path> sums;
  for (const auto& name : folder.names()) {
    if (writer::stem_of_sums(name)) sums.push_back(folder.path() / name);
  }
  EXPECT_LE(writer::hits_in(sums), events.size());
  std::printf("%d kills, %zu events in %zu files, %llu duplicates avoided, %llu quarantined\n", kills, events.size(),
              test::finished_files(folder.path()).size(),
              static_cast<unsigned long long>(accounting.total(Counter::duplicates)),
              static_cast<unsigned long long>(quarantined));
  EXPECT_GE(kills, std::max(1, way.kills));
  EXPECT_EQ(test::audit_problems(folder.path()), "");
}

}  // namespace peaknet::test
