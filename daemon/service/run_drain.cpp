// How a run ends: RunControl's part for a drain in two phases, devices first, then writers.
#include <spdlog/spdlog.h>

#include <utility>

#include "daemon/service/run_control.hpp"
#include "shm/clock.hpp"

namespace peaknet::service {
namespace {

using Clock = std::chrono::steady_clock;
using shm::DaemonState;
using shm::SlotState;

constexpr std::chrono::seconds kWriterGrace{
    5};                                        // a writer that dies while we drain is restarted by its unit within this
constexpr std::chrono::seconds kHeldGrace{5};  // in which a lost device that can let go of its frames has done so

Error frames_are_held(std::size_t count) {
  return {"stop.frames-held",
          std::to_string(count) +
              " frames are on a device that is lost and does not let go of them; all others are "
              "in files",
          "they stay in shared memory", "restart peaknetd: it finds them again, and continues with this run's frames"};
}

}  // namespace

void RunControl::begin_drain(std::chrono::milliseconds at_most) {
  drain_ = Drain{};
  drain_->begun = Clock::now();
  drain_->deadline = drain_->begun + at_most;
  drain_->below = keeper_.layout().next_sequence.load();
  drain_->writer_seen = keeper_.writers() > 0;
  engine().drain(drain_->below);
  set_state(DaemonState::draining);
}

void RunControl::step_drain() {
  keeper_.tidy();  // a dead writer's or device's frames must be seen where they are
  Drain& drain = *drain_;
  const bool late = Clock::now() >= drain.deadline;
  if (drain.phase == Drain::Phase::devices) {
    const auto ready = keeper_.count(SlotState::ready, drain.below);
    const auto inferring = keeper_.count(SlotState::inferring, drain.below);
    const auto left = ready + inferring;
    if (left > 0 && engine().usable() == 0) {
      end_drain(Error{"stop.no-device", std::to_string(left) + " frames wait for a device and none is usable",
                      "they stay in shared memory", "restart peaknetd: it finds them again"});
      return;
    }
    if (left > 0 && held_for_good(drain, ready, inferring)) drain.held = left;
    if (left > drain.held && late) {
      end_drain(Error{"stop.timeout",
                      std::to_string(left) + " frames were not inferred within " +
                          std::to_string(milliseconds_since(drain.begun) / 1000) + " s",
                      "they stay in shared memory for the next run", "stop with a longer --timeout"});
      return;
    }
    if (left > drain.held) return;
    engine().shut();
    drain.phase = Drain::Phase::writers;
    drain.generation = keeper_.layout().run.close_generation.fetch_add(1) + 1;
    keeper_.pool()->header().done_event.notify();
  }
  const auto waiting = keeper_.count(SlotState::done, shm::kMaxSequence);
  const auto writing = keeper_.count(SlotState::writing, shm::kMaxSequence);
  if (waiting + writing == 0 && keeper_.writers_closed(drain.generation)) {
    end_drain(drain.held == 0 ? std::nullopt : std::optional(frames_are_held(drain.held)));
    return;
  }
  if (keeper_.writers() == 0) {
    if (!drain.writer_lost) drain.writer_lost = Clock::now();
    const bool may_come_back = drain.writer_seen && Clock::now() - *drain.writer_lost < kWriterGrace;
    if (!may_come_back) {
      end_drain(Error{"stop.no-writer", std::to_string(waiting) + " results wait for a writer and none is attached",
                      "they stay in shared memory", "start peaknet-writer, then peaknetctl start and stop again"});
      return;
    }
  } else {
    drain.writer_lost.reset();
  }
  if (late) {
    end_drain(Error{"stop.timeout",
                    std::to_string(waiting) + " results wait for a writer and " + std::to_string(writing) +
                        " are being written after " + std::to_string(milliseconds_since(drain.begun) / 1000) + " s",
                    "they stay in shared memory", "see peaknetctl status: what does the writer wait for?"});
  }
}

// All that is left is on lost devices that do not let go: nothing but the end of this process brings it back.
bool RunControl::held_for_good(Drain& drain, std::size_t ready, std::size_t inferring) const {
  const bool held = ready == 0 && inferring == engine().frames_held();
  if (!held) drain.held_since.reset();
  if (held && !drain.held_since) drain.held_since = Clock::now();
  return held && Clock::now() - *drain.held_since >= kHeldGrace;
}

void RunControl::end_drain(std::optional<Error> error) {
  engine().shut();
  keeper_.layout().run.ended_ns.store(shm::realtime_ns());
  const auto took = milliseconds_since(drain_->begun);
  auto answers = std::move(drain_->answers);
  drain_.reset();
  set_state(DaemonState::idle);
  if (error) {
    spdlog::error("run {} ended: {}", keeper_.layout().run.id.load(), error->text());
    keeper_.layout().daemon.failure.store(error->text());
  } else {
    spdlog::info("run {} ended after a drain of {} ms", keeper_.layout().run.id.load(), took);
  }
  for (auto& answer : answers) {
    if (error) {
      answer.send(*error);
      continue;
    }
    auto reply = run_reply();
    reply["took_ms"] = took;
    answer.send(std::move(reply));
  }
}

}  // namespace peaknet::service
