// Loading and warming on a device that does not come to an end, and models of a device that was lost.
#include <gtest/gtest.h>

#include "tests/unit/daemon/engine/line.hpp"

namespace peaknet::engine::test {
namespace {

// Runs that stand for ever: they must find all that they use until the process ends.
void hold_for_ever(const Line& line) {
  static std::vector<std::unique_ptr<Hold>> held;
  held.push_back(std::make_unique<Hold>(line.script));
}

TEST(Warming, a_run_that_hangs_is_given_up_and_the_device_is_lost) {
  for (const bool staged : {false, true}) {
    Line line;
    Hold hold(line.script);
    const auto worker = line.starting_worker({.depth = 2, .batch = 2, .staged = staged, .stuck_after = 20ms});
    ASSERT_TRUE(eventually([&] { return worker->state() == WorkerState::lost; }, kPatience));
    EXPECT_EQ(worker->failure().id, "device.stuck");
    EXPECT_NE(worker->failure().text().find("warm up"), std::string::npos) << worker->failure().text();
    EXPECT_EQ(line.record().state.load(), "lost");
    hold.let_all_pass();
  }
}

TEST(Warming, a_worker_ends_when_asked_though_its_device_hangs_and_no_bound_was_set) {
  Line line;
  hold_for_ever(line);
  auto worker = line.starting_worker({.depth = 1, .batch = 1});  // stuck_after: never
  ASSERT_TRUE(eventually([&] { return worker->state() == WorkerState::warming; }, kPatience));
  worker.reset();
  EXPECT_EQ(line.record().state.load(), "ended");
}

TEST(Warming, a_model_that_hangs_while_frames_flow_costs_the_device_and_its_frames_go_to_another) {
  Line line;
  const auto hanging = std::make_shared<Script>();
  DevicePlan first{"a", {}, Line::device_maker({}), line.model_maker()};
  first.load_other = [hanging](const std::string&) -> Result<std::unique_ptr<model::Model>> {
    return std::unique_ptr<model::Model>(new ScriptedModel(hanging));
  };
  std::vector<DevicePlan> plans;
  plans.push_back(std::move(first));
  plans.push_back({"b", {}, Line::device_maker({}), line.model_maker(), line.model_loader()});
  Engine engine(line.options_for({.depth = 2, .batch = 2, .stuck_after = 100ms}), std::move(plans), line.progress);
  ASSERT_TRUE(eventually([&] { return !engine.warming(); }, kPatience));
  engine.open("run-1");
  line.commit(20);
  Hold hold(hanging);
  const auto loaded = engine.load("another").get();
  ASSERT_FALSE(loaded);
  EXPECT_TRUE(eventually([&] { return engine.usable() == 1; }, kPatience));
  line.commit(20);
  hold.let_all_pass();
  line.collect_all();
  EXPECT_EQ(engine.failures().front().id, "device.stuck");
  line.expect_settled();
}

// A driver may hang in the thread of a load, too.
TEST(Warming, a_load_that_does_not_return_is_told_and_keeps_the_engine_neither_from_working_nor_from_ending) {
  Line line;
  const auto reached = std::make_shared<std::promise<void>>();
  const auto never = std::make_shared<std::promise<void>>();
  auto options = line.options_for({.depth = 2, .batch = 2, .stuck_after = 20ms});
  options.last_call = 100ms;
  std::vector<DevicePlan> plans;
  plans.push_back({"a",
                   {},
                   Line::device_maker({}),
                   line.model_maker(),
                   [reached, never, maker = line.model_maker()](const std::string&) {
                     reached->set_value();
                     never->get_future().wait();
                     return maker();
                   }});
  auto engine = std::make_unique<Engine>(options, std::move(plans), line.progress);
  ASSERT_TRUE(eventually([&] { return !engine->warming(); }, kPatience));
  engine->open("run-1");
  auto load = engine->load("another");
  reached->get_future().wait();
  ASSERT_TRUE(eventually(
      [&] {
        engine->look_after();
        return load.wait_for(0s) == std::future_status::ready;
      },
      kPatience));
  const auto outcome = load.get();
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().id, "device.stuck");
  EXPECT_NE(outcome.error().text().find("loading another has not returned"), std::string::npos)
      << outcome.error().text();
  EXPECT_EQ(engine->load("a third").get().error().id, "model.busy");
  line.commit(20);
  line.collect_all();
  EXPECT_EQ(engine->usable(), 1U) << "the device is none the worse";
  engine.reset();
  never->set_value();  // it comes back, and must use nothing of an engine that has gone
  line.expect_settled();
}

TEST(Warming, a_load_that_comes_back_after_it_was_given_up_changes_nothing_and_another_may_begin) {
  Line line;
  const auto reached = std::make_shared<std::promise<void>>();
  const auto late = std::make_shared<std::promise<void>>();
  std::vector<DevicePlan> plans;
  plans.push_back({"a",
                   {},
                   Line::device_maker({}),
                   line.model_maker(),
                   [reached, late, maker = line.model_maker()](const std::string& path) {
                     if (path == "late") {
                       reached->set_value();
                       late->get_future().wait();
                     }
                     return maker();
                   }});
  Engine engine(line.options_for({.depth = 2, .batch = 2, .stuck_after = 20ms}), std::move(plans), line.progress);
  ASSERT_TRUE(eventually([&] { return !engine.warming(); }, kPatience));
  auto load = engine.load("late");
  reached->get_future().wait();
  ASSERT_TRUE(eventually(
      [&] {
        engine.look_after();
        return load.wait_for(0s) == std::future_status::ready;
      },
      kPatience));
  EXPECT_EQ(load.get().error().id, "device.stuck");
  late->set_value();
  ASSERT_TRUE(eventually([&] { return engine.load("in time").get().ok(); }, kPatience));
  engine.open("run-1");
  line.commit(20);
  line.collect_all();
  EXPECT_EQ(engine.usable(), 1U);
}

// Else it would be waited for until the models are loaded and warm on each device.
TEST(Warming, an_engine_that_ends_gives_up_a_load_that_goes_on) {
  Line line;
  const auto hanging = std::make_shared<Script>();
  std::vector<DevicePlan> plans;
  plans.push_back({"a",
                   {},
                   Line::device_maker({}),
                   line.model_maker(),
                   [hanging](const std::string&) -> Result<std::unique_ptr<model::Model>> {
                     return std::unique_ptr<model::Model>(new ScriptedModel(hanging));
                   }});
  auto engine = std::make_unique<Engine>(line.options_for({.depth = 2, .batch = 2}), std::move(plans), line.progress);
  ASSERT_TRUE(eventually([&] { return !engine->warming(); }, kPatience));
  static std::vector<std::unique_ptr<Hold>> held;  // for ever, as above
  held.push_back(std::make_unique<Hold>(hanging));
  auto load = engine->load("another");
  held.back()->wait_until_held();
  engine.reset();
  EXPECT_FALSE(load.get());
}

// One whose destructor would end the process, as that of a container that frees memory of a lost GPU.
class FragileModel final : public model::Model {
 public:
  FragileModel(std::shared_ptr<Script> script, std::shared_ptr<std::atomic<int>> destroyed)
      : inner_(std::move(script)), destroyed_(std::move(destroyed)) {}
  FragileModel(const FragileModel&) = delete;
  FragileModel& operator=(const FragileModel&) = delete;
  ~FragileModel() override { destroyed_->fetch_add(1); }
  const model::ModelInfo& info() const override { return inner_.info(); }
  Status run(const kernels::TensorView& input, void* stream,
             const std::function<void(const kernels::TensorView&)>& use) override {
    return inner_.run(input, stream, use);
  }

 private:
  ScriptedModel inner_;
  std::shared_ptr<std::atomic<int>> destroyed_;
};

TEST(Warming, a_model_is_destroyed_with_its_device_but_never_on_one_that_was_lost) {
  for (const bool lost : {false, true}) {
    Line line;
    const auto destroyed = std::make_shared<std::atomic<int>>(0);
    const auto fault = std::make_shared<DeviceFault>();
    const Line::Choice choice{.depth = 2, .batch = 2, .staged = true, .fault = fault};
    const auto make = [&line, destroyed]() -> Result<std::unique_ptr<model::Model>> {
      return std::unique_ptr<model::Model>(new FragileModel(line.script, destroyed));
    };
    auto worker =
        std::make_unique<Worker>(line.options_for(choice), Line::device_maker(choice), make, line.gate, line.progress);
    ASSERT_TRUE(eventually([&] { return worker->state() == WorkerState::ready; }, kPatience));
    fault->lost.store(lost);
    worker->rebuffer(3);  // something to look at the device for
    if (lost) {
      ASSERT_TRUE(eventually([&] { return worker->state() == WorkerState::lost; }, kPatience));
    }
    worker.reset();
    EXPECT_EQ(destroyed->load(), lost ? 0 : 1);
  }
}

}  // namespace
}  // namespace peaknet::engine::test
