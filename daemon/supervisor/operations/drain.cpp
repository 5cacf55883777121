#include "daemon/supervisor/operations/drain.hpp"

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

namespace peaknet::supervisor {
namespace {

using shm::DaemonState;
using shm::SlotState;

// A writer that dies while we drain is restarted by its unit within this.
constexpr std::chrono::seconds kWriterGrace{5};
// In which a lost device that can let go of its frames has done so.
constexpr std::chrono::seconds kHeldGrace{5};

Error frames_are_held(std::size_t count) {
  return {"stop.frames-held",
          std::to_string(count) +
              " frames are on a device that is lost and does not let go of them; all others are "
              "in files",
          "they stay in shared memory", "restart peaknetd: it finds them again, and continues with this run's frames"};
}

}  // namespace

Drain::Drain(PoolManager& pool_manager, EngineHost& room, RunState& run, std::chrono::milliseconds at_most)
    : pool_manager_(pool_manager),
      engine_host_(room),
      run_(run),
      below_(pool_manager.layout().next_sequence.load()),
      writer_seen_(pool_manager.writers() > 0),
      begun_(Clock::now()),
      deadline_(begun_ + at_most) {
  engine_host_.engine().drain(below_);
  run_.set(DaemonState::draining);
}

bool Drain::step() {
  pool_manager_.maintain();  // a dead writer's or device's frames must be seen where they are
  if (phase_ == Phase::devices) {
    if (!devices_are_done()) return over_;
    engine_host_.engine().shut();
    phase_ = Phase::writers;
    generation_ = tell_writers();
  }
  if (writers_are_done()) end(held_ == 0 ? std::nullopt : std::optional(frames_are_held(held_)));
  return over_;
}

// All that can be inferred is. Ends the drain where the rest never will be.
bool Drain::devices_are_done() {
  const auto ready = pool_manager_.count(SlotState::ready, below_);
  const auto inferring = pool_manager_.count(SlotState::inferring, below_);
  const auto left = ready + inferring;
  if (left > 0 && engine_host_.engine().usable() == 0) {
    end(Error{"stop.no-device", std::to_string(left) + " frames wait for a device and none is usable",
              "they stay in shared memory", "restart peaknetd: it finds them again"});
    return false;
  }
  if (left > 0 && held_for_good(ready, inferring)) held_ = left;
  if (left <= held_) return true;
  if (late()) {
    end(Error{"stop.timeout",
              std::to_string(left) + " frames were not inferred within " +
                  std::to_string(milliseconds_since(begun_) / 1000) + " s",
              "they stay in shared memory for the next run", "stop with a longer --timeout"});
  }
  return false;
}

// To finish their files. Returns what they must confirm.
std::uint64_t Drain::tell_writers() {
  const auto generation = pool_manager_.layout().run.close_generation.fetch_add(1) + 1;
  pool_manager_.pool()->header().done_event.notify();
  return generation;
}

// Ends the drain where they never will be.
bool Drain::writers_are_done() {
  const auto waiting = pool_manager_.count(SlotState::done, shm::kMaxSequence);
  const auto writing = pool_manager_.count(SlotState::writing, shm::kMaxSequence);
  if (waiting + writing == 0 && pool_manager_.writers_closed(generation_)) return true;
  if (pool_manager_.writers() == 0) {
    if (!writer_lost_) writer_lost_ = Clock::now();
    const bool may_come_back = writer_seen_ && Clock::now() - *writer_lost_ < kWriterGrace;
    if (!may_come_back) {
      end(Error{"stop.no-writer", std::to_string(waiting) + " results wait for a writer and none is attached",
                "they stay in shared memory", "start peaknet-writer, then peaknetctl start and stop again"});
      return false;
    }
  } else {
    writer_lost_.reset();
  }
  if (late()) {
    end(Error{"stop.timeout",
              std::to_string(waiting) + " results wait for a writer and " + std::to_string(writing) +
                  " are being written after " + std::to_string(milliseconds_since(begun_) / 1000) + " s",
              "they stay in shared memory", "see peaknetctl status: what does the writer wait for?"});
  }
  return false;
}

// All that is left is on lost devices that do not let go: nothing but the end of this process brings it back.
bool Drain::held_for_good(std::size_t ready, std::size_t inferring) {
  const bool held = ready == 0 && inferring == engine_host_.engine().frames_held();
  if (!held) held_since_.reset();
  if (held && !held_since_) held_since_ = Clock::now();
  return held && Clock::now() - *held_since_ >= kHeldGrace;
}

void Drain::end_now(control::Answer asker, const Error& why) {
  for (auto& waiting : std::exchange(answers_, {})) waiting.send(why);
  engine_host_.engine().shut();
  tell_writers();
  answers_.push_back(std::move(asker));
  end(std::nullopt);
}

void Drain::end(std::optional<Error> error) {
  over_ = true;
  engine_host_.engine().shut();
  const auto took = milliseconds_since(begun_);
  run_.end(error ? &*error : nullptr, took);
  for (auto& answer : std::exchange(answers_, {})) {
    if (error) {
      answer.send(*error);
      continue;
    }
    auto reply = run_.reply();
    reply["took_ms"] = took;
    answer.send(std::move(reply));
  }
}

}  // namespace peaknet::supervisor
