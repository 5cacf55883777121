// Runs that are replayed as graphs, on a test device that has them.
#include <gtest/gtest.h>

#include "tests/unit/daemon/engine/seat.hpp"

namespace peaknet::engine::test {
namespace {

struct Recorder {
  explicit Recorder(const std::function<void(TestDeviceHandle&)>& prepare, std::uint32_t panels = 1)
      : line({.slots = 24, .panels = panels}), seat(line, order, time, {.depth = 3, .batch = 4}) {
    line.watch = order;
    seat.start(7, [&](TestDeviceHandle& handle) {
      handle.has_graphs = true;
      prepare(handle);
    });
    line.gate.open("run");
    before = seat.replays();
  }
  // Every batch size; all results are looked at.
  void process() {
    for (const std::uint32_t count : {1U, 2U, 4U, 3U, 11U}) {
      line.commit(count);
      while (seat.turn() || seat.device_step()) {
      }
      line.take_results(1000);
    }
    line.expect_settled();
    EXPECT_EQ(order->violations(), std::vector<std::string>{});
  }
  std::string summary() const { return line.record().graphs.load(); }

  std::shared_ptr<HappensBefore> order = std::make_shared<HappensBefore>();
  TestTime time;
  Line line;
  Seat seat;
  std::uint64_t before = 0;  // replays in the verification
};

TEST(RecordedRuns, every_batch_size_is_replayed_from_any_lane_and_the_results_are_right) {
  Recorder recorder([](TestDeviceHandle&) {});
  EXPECT_EQ(recorder.summary(), "replayed with 1, 2, 4 rows");
  EXPECT_EQ(recorder.before, 3U) << "each was compared with a run";
  recorder.process();
  EXPECT_EQ(recorder.seat.replays() - recorder.before, recorder.line.record().batches.load());
}

TEST(RecordedRuns, several_panels_are_rows_of_one_graph) {
  Recorder recorder([](TestDeviceHandle&) {}, 3);
  EXPECT_EQ(recorder.summary(), "replayed with 3, 6, 12 rows");
  recorder.process();
}

TEST(RecordedRuns, what_cannot_be_recorded_runs_as_it_is_and_the_reason_is_told) {
  Recorder recorder([](TestDeviceHandle& handle) { handle.refuses_graphs = true; });
  EXPECT_EQ(recorder.summary(), "none; not with 1: refused on demand");
  recorder.process();
  EXPECT_EQ(recorder.seat.replays(), 0U);
}

TEST(RecordedRuns, a_replay_that_marks_other_pixels_is_not_used) {
  Recorder recorder([](TestDeviceHandle& handle) { handle.spoils_graphs = true; });
  EXPECT_TRUE(recorder.summary().starts_with("none; not with 1: its replay marks ")) << recorder.summary();
  recorder.process();
  EXPECT_EQ(recorder.seat.replays(), recorder.before);
}

TEST(RecordedRuns, the_memory_of_plain_runs_is_given_back_when_replays_take_their_place_and_kept_where_they_do_not) {
  const Recorder recorded([](TestDeviceHandle&) {});
  EXPECT_EQ(recorded.line.script->trims.load(), 3U) << "once for each size of a batch";
  const Recorder refused([](TestDeviceHandle& handle) { handle.refuses_graphs = true; });
  EXPECT_EQ(refused.line.script->trims.load(), 0U);
  const Recorder spoilt([](TestDeviceHandle& handle) { handle.spoils_graphs = true; });
  EXPECT_EQ(spoilt.line.script->trims.load(), 0U);
}

TEST(RecordedRuns, an_event_that_is_split_runs_unrecorded) {
  Recorder recorder([](TestDeviceHandle& handle) { handle.most_rows = 2; }, 5);
  EXPECT_EQ(recorder.summary(), "none");
  recorder.process();
  EXPECT_GT(recorder.line.record().split.load(), 0U);
}

TEST(RecordedRuns, a_device_without_graphs_says_nothing_of_them) {
  Recorder recorder([](TestDeviceHandle& handle) { handle.has_graphs = false; });
  EXPECT_EQ(recorder.summary(), "");
  recorder.process();
}

}  // namespace
}  // namespace peaknet::engine::test
