// Line: everything around the engine in one test: a pool, a producer of coded frames in front and a writer behind,
// which looks at every result. Used by the test's thread alone.
//
//   Line line({.slots = 16});
//   auto worker = line.worker({.depth = 3, .batch = 4});
//   line.gate.open("run-1");
//   line.commit(10);
//   line.collect(10);
//   line.expect_settled();      // each frame came out once, with its mask and description; frames balance
#pragma once

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "daemon/engine/engine.hpp"
#include "tests/support/child.hpp"
#include "tests/support/instance.hpp"
#include "tests/unit/daemon/device/happens_before.hpp"
#include "tests/unit/daemon/engine/coded_frame.hpp"
#include "tests/unit/daemon/engine/device_kind.hpp"
#include "tests/unit/daemon/engine/scripted_model.hpp"
#include "tests/unit/daemon/engine/staged_device.hpp"

namespace peaknet::engine::test {

using namespace std::chrono_literals;
using peaknet::test::eventually;
using peaknet::test::must;
using shm::Counter;
using shm::SlotState;

inline constexpr std::chrono::seconds kPatience{30};  // only a hang takes so long

class Line {
 public:
  struct Options {
    std::uint32_t slots = 24;
    std::uint32_t panels = 1;
  };
  explicit Line(const Options& options)
      : instance({.geometry = coded_geometry(options.slots, options.panels)}),
        geometry(instance.pool().geometry()),
        script(std::make_shared<Script>()),
        producer_(instance.producer()),
        writer_(instance.consumer(shm::Queue::q2)) {
    // Made here, as a program does before it has threads: ThreadSanitizer does not see inside libspdlog that the
    // logger's making is over before another thread uses it.
    spdlog::default_logger();
  }
  Line() : Line(Options{}) {}

  // --- the engine's side ---

  struct Choice {
    std::uint32_t depth = 3;
    std::uint32_t batch = 4;
    bool staged = false;  // a StagedDevice instead of the one of device_kind.hpp
    unsigned seed = 1;    // of the staged device
    std::chrono::nanoseconds max_delay = 1ms;
    std::uint32_t index = 0;
    std::shared_ptr<DeviceFault> fault = nullptr;
    std::chrono::nanoseconds stuck_after = 0ns;  // never
    std::shared_ptr<Shedding> shedding = nullptr;
    bool smaller_model = false;  // the same network under another number
  };
  WorkerOptions options_for(const Choice& choice) const {
    WorkerOptions options;
    options.instance = instance.name();
    options.name = choice.staged ? "staged" : device_name(choice.index);
    options.index = choice.index;
    options.depth = choice.depth;
    options.batch = choice.batch;
    options.max_delay = choice.max_delay;
    options.stuck_after = choice.stuck_after;
    options.last_patience = 50ms;
    options.layout = coded_layout(geometry);
    options.shedding = choice.shedding;
    return options;
  }
  static DeviceMaker device_maker(const Choice& choice) {
    return [choice]() -> Result<std::unique_ptr<device::Device>> {
      if (!choice.staged) return make_device(choice.index);
      return std::unique_ptr<device::Device>(new StagedDevice(choice.seed, choice.fault));
    };
  }
  ModelMaker model_maker() const {
    return [script = script]() -> Result<std::unique_ptr<model::Model>> {
      return std::unique_ptr<model::Model>(new ScriptedModel(script));
    };
  }
  ModelLoader model_loader() const {
    return [make = model_maker()](const std::string&) { return make(); };
  }
  std::unique_ptr<Worker> starting_worker(const Choice& choice) {
    return std::make_unique<Worker>(options_for(choice), device_maker(choice), model_maker(), gate, progress);
  }
  std::unique_ptr<Worker> worker(const Choice& choice) {
    auto made = starting_worker(choice);
    if (!eventually([&] { return made->state() == WorkerState::ready; }, kPatience))
      throw std::runtime_error("the worker is not ready");
    return made;
  }
  shm::DeviceRecord& record(std::uint32_t index = 0) const { return instance.layout().devices[index]; }

  // --- before it ---

  // Takes results to make room if the pool is full.
  void commit_one(Nature nature = Nature::good) {
    while (!try_commit(nature)) collect(1);
  }
  void commit(std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) commit_one();
  }
  // Commit if there is room; false if the pool is full.
  bool try_commit(Nature nature = Nature::good) {
    auto frame = producer_->claim(0s);
    if (!frame) return false;
    if (watch) {
      const auto image = frame->pixels<std::uint16_t>();
      watch->host(device::test::HappensBefore::Kind::write, image.data(), image.size_bytes(), "the producer");
    }
    if (nature == Nature::poisoned) script->poison_sent.store(true);
    fill(*frame, committed_, geometry, nature);
    must(frame->commit());
    ++committed_;
    return true;
  }
  std::uint64_t committed() const { return committed_; }
  shm::Producer& producer() { return *producer_; }

  // --- behind it ---

  // Take what is there, at most `most`; returns how many.
  std::size_t take_results(std::size_t most) {
    auto taken = writer_->take(most);
    for (const auto& refused : taken.refused) ADD_FAILURE() << refused.text();
    for (auto& frame : taken.frames) {
      const auto& about = frame.descriptor();
      if (watch) {
        using Kind = device::test::HappensBefore::Kind;
        watch->host(Kind::read, frame.image().data(), frame.image().size(), "the writer");
        watch->host(Kind::read, frame.mask().data(), frame.mask().size_bytes(), "the writer");
      }
      const bool skipped = is(frame, shm::ResultStatus::skipped);
      if (skipped) skipped_.insert(about.event_id);
      if (skipped && !may_skip) ADD_FAILURE() << "event " << about.event_id << " was skipped";
      const bool unlucky = is(frame, shm::ResultStatus::error) && about.user[3] == 0 && unlucky_ < may_be_unlucky;
      if (unlucky) {
        ++unlucky_;
      } else if (const auto wrong = wrong_with(frame); !wrong.empty()) {
        ADD_FAILURE() << wrong;
      }
      if (++times_seen_[about.event_id] > 1) ADD_FAILURE() << "event " << about.event_id << " came out twice";
      runs_[about.event_id] = about.run_id();
      models_[about.event_id] = about.model;
      masks_[about.event_id] = {frame.mask().begin(), frame.mask().end()};
      order_.push_back(about.event_id);
      const bool failed = is(frame, shm::ResultStatus::error);
      if (failed) failed_.insert(about.event_id);
      must(frame.finish(failed ? Counter::failed_model : skipped ? Counter::dropped_shed : Counter::written));
    }
    return taken.frames.size();
  }
  // Wait for `count` further results and look at them. Nothing else needs to happen meanwhile.
  void collect(std::size_t count) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    std::size_t got = 0;
    while (got < count) {
      if (std::chrono::steady_clock::now() > end)
        throw std::runtime_error("only " + std::to_string(got) + " of " + std::to_string(count) + " results came");
      if (const auto n = take_results(count - got); n > 0) {
        got += n;
      } else {
        writer_->wait_for_work(shm::kWaitSlice);
      }
    }
  }
  void collect_all() { collect(committed_ - times_seen_.size()); }

  std::uint32_t in(SlotState state) const { return instance.slots_in(state); }
  bool reaches(SlotState state, std::uint32_t count) const {
    return eventually([&] { return in(state) == count; }, kPatience);
  }
  const std::map<std::uint64_t, std::string>& runs() const { return runs_; }
  const std::map<std::uint64_t, std::vector<std::uint64_t>>& masks() const { return masks_; }
  const std::map<std::uint64_t, std::uint64_t>& models() const { return models_; }  // that made the results
  const std::vector<std::uint64_t>& order() const { return order_; }
  const std::set<std::uint64_t>& failed() const { return failed_; }
  const std::set<std::uint64_t>& skipped() const { return skipped_; }

  // Everything committed came out once; nothing is anywhere any more; nobody slept through work.
  void expect_settled() const {
    EXPECT_EQ(times_seen_.size(), committed_);
    EXPECT_EQ(in(SlotState::free), geometry.slots);
    const auto accounting = instance.accounting();
    EXPECT_EQ(peaknet::test::unbalanced(accounting), "");
    EXPECT_EQ(accounting.total(Counter::committed), committed_);
    EXPECT_EQ(accounting.total(Counter::inferred) + skipped_.size(), committed_);
    EXPECT_EQ(accounting.total(Counter::skipped), skipped_.size());
    EXPECT_EQ(accounting.total(Counter::dropped_shed), skipped_.size());
    EXPECT_EQ(accounting.total(Counter::failed_model), failed_.size());
    EXPECT_EQ(accounting.total(Counter::late_wakes), 0U);
  }

  peaknet::test::TestInstance instance;
  const shm::Geometry geometry;
  Gate gate;
  shm::EventCount progress;
  std::shared_ptr<Script> script;
  std::shared_ptr<device::test::HappensBefore> watch;  // told what the producer and the writer touch, if there is one
  bool may_skip = false;                               // results may be "skipped"
  std::size_t may_be_unlucky = 0;  // so many good frames may be errors: they were alone on devices that failed

 private:
  static bool is(const shm::HeldFrame& frame, shm::ResultStatus status) {
    return frame.descriptor().result_status == static_cast<std::uint32_t>(status);
  }
  std::unique_ptr<shm::Producer> producer_;
  std::unique_ptr<shm::Consumer> writer_;
  std::uint64_t committed_ = 0;
  std::map<std::uint64_t, int> times_seen_;
  std::map<std::uint64_t, std::string> runs_;
  std::map<std::uint64_t, std::uint64_t> models_;
  std::map<std::uint64_t, std::vector<std::uint64_t>> masks_;
  std::vector<std::uint64_t> order_;
  std::set<std::uint64_t> failed_;
  std::set<std::uint64_t> skipped_;
  std::size_t unlucky_ = 0;
};

}  // namespace peaknet::engine::test
