#include "daemon/engine/engine.hpp"

#include <gtest/gtest.h>

#include <future>
#include <mutex>
#include <optional>

#include "tests/unit/daemon/engine/line.hpp"

namespace peaknet::engine::test {
namespace {

DevicePlan plan(const Line& line, const std::string& name, const Line::Choice& choice = {}) {
  return {name, {}, Line::device_maker(choice), line.model_maker()};
}
DevicePlan plan_that_fails(const Line& line, const std::string& name) {
  return {name,
          {},
          []() -> Result<std::unique_ptr<device::Device>> {
            return Error{"device.unknown", "no such device", "", ""};
          },
          line.model_maker()};
}
std::vector<DevicePlan> plans(DevicePlan first, DevicePlan second) {
  std::vector<DevicePlan> both;
  both.push_back(std::move(first));
  both.push_back(std::move(second));
  return both;
}
bool settles(const Engine& engine) {
  return eventually([&] { return !engine.warming(); }, kPatience);
}

TEST(Engine, two_devices_take_each_frame_of_the_one_q1_once) {
  Line line({.slots = 32});
  Engine engine(line.options_for({.depth = 2, .batch = 4}),
                plans(plan(line, "a", {.staged = true, .seed = 3}), plan(line, "b", {.staged = true, .seed = 4})),
                line.progress);
  EXPECT_EQ(engine.devices(), 2U);
  ASSERT_TRUE(settles(engine));
  EXPECT_EQ(engine.usable(), 2U);
  EXPECT_TRUE(engine.failures().empty());
  EXPECT_EQ(engine.model_info().path, "builtin:threshold=100");
  engine.open("run-1");
  line.commit(300);
  line.collect_all();
  line.expect_settled();
  EXPECT_TRUE(eventually([&] { return engine.frames_in_flight() == 0; }, kPatience));
  EXPECT_EQ(line.record(0).frames.load() + line.record(1).frames.load(), 300U);
}

TEST(Engine, is_warming_until_every_device_is_ready_or_lost) {
  Line line;
  std::promise<void> may_load;
  auto slow = plan(line, "slow");
  slow.make_model = [make = slow.make_model, gate = may_load.get_future().share()] {
    gate.wait();
    return make();
  };
  Engine engine(line.options_for({}), plans(plan(line, "quick"), std::move(slow)), line.progress);
  ASSERT_TRUE(eventually([&] { return engine.usable() == 1; }, kPatience));
  EXPECT_TRUE(engine.warming());
  engine.open("run-1");
  line.commit(5);
  line.collect(5);  // the one that is ready works already
  may_load.set_value();
  ASSERT_TRUE(settles(engine));
  EXPECT_EQ(engine.usable(), 2U);
}

TEST(Engine, goes_on_with_the_devices_that_are_left_and_names_the_others) {
  Line line;
  Engine engine(line.options_for({}), plans(plan_that_fails(line, "cuda:0"), plan(line, "cpu")), line.progress);
  ASSERT_TRUE(settles(engine));
  EXPECT_EQ(engine.usable(), 1U);
  ASSERT_EQ(engine.failures().size(), 1U);
  EXPECT_EQ(engine.failures()[0].id, "device.unknown");
  EXPECT_EQ(engine.model_info().path, "builtin:threshold=100") << "of the one that is ready";
  EXPECT_EQ(line.record(0).name.load(), "cuda:0");
  EXPECT_EQ(line.record(0).state.load(), "lost");
  EXPECT_EQ(line.record(0).error.load(), engine.failures()[0].text());
  EXPECT_EQ(line.record(1).name.load(), "cpu");
  EXPECT_EQ(line.record(1).state.load(), "ready");
  auto receipts = engine.rebuffer(2);
  ASSERT_EQ(receipts.size(), 1U);
  EXPECT_EQ(receipts[0].get().after, 2U);
  engine.open("run-1");
  line.commit(20);
  line.collect(20);
  line.expect_settled();
}

TEST(Engine, without_any_device_it_is_not_usable_and_frames_stay_where_they_are) {
  Line line;
  Engine engine(line.options_for({}), plans(plan_that_fails(line, "a"), plan_that_fails(line, "b")), line.progress);
  ASSERT_TRUE(settles(engine));
  EXPECT_EQ(engine.usable(), 0U);
  EXPECT_EQ(engine.failures().size(), 2U);
  EXPECT_EQ(engine.model_info().path, "");
  EXPECT_TRUE(engine.rebuffer(2).empty());
  engine.open("run-1");
  line.commit(3);
  EXPECT_EQ(line.in(SlotState::ready), 3U);
  EXPECT_EQ(engine.frames_in_flight(), 0U);
}

// A model that says who it is, refuses what a test wants refused, and marks as the others do.
class NamedModel final : public model::Model {
 public:
  explicit NamedModel(model::ModelInfo info, std::optional<Error> refuses = {})
      : info_(std::move(info)),
        refuses_(std::move(refuses)),
        inner_(model::make_builtin_model({.path = "builtin:threshold=100", .device = "cpu"}).value()) {}
  const model::ModelInfo& info() const override { return info_; }
  Status run(const kernels::TensorView& input, void* stream,
             const std::function<void(const kernels::TensorView&)>& use) override {
    if (refuses_) return *refuses_;
    return inner_->run(input, stream, use);
  }

 private:
  model::ModelInfo info_;
  std::optional<Error> refuses_;
  std::unique_ptr<model::Model> inner_;
};

struct Shop {  // of models, for one engine
  std::vector<DevicePlan> plans(const Line& line, std::size_t devices) const {
    std::vector<DevicePlan> all;
    for (std::size_t i = 0; i < devices; ++i) {
      all.push_back({"device " + std::to_string(i),
                     {},
                     Line::device_maker({.staged = true, .seed = static_cast<unsigned>(i + 1)}),
                     line.model_maker(),
                     [this, i](const std::string& path) -> Result<std::unique_ptr<model::Model>> {
                       if (path == "unreadable") return Error{"model.unreadable", "it cannot be read", "", "try"};
                       std::optional<Error> refuses;
                       if (path == "broken" || (path == "broken on the second" && i == 1))
                         refuses = Error{"model.bad-output", "it returned one class", "", "try"};
                       std::vector<std::int64_t> rows;
                       if (path == "other rows") rows = {3, 5};
                       const std::string sha = path == "changing" ? std::to_string(i) : "sha of " + path;
                       return std::unique_ptr<model::Model>(new NamedModel({path, "test", sha, rows}, refuses));
                     }});
    }
    return all;
  }
};

TEST(Engine, another_model_takes_over_on_all_devices_while_frames_flow_and_results_say_which_made_them) {
  Line line({.slots = 32, .panels = 2});
  const Shop shop;
  auto options = line.options_for({.depth = 3, .batch = 4});
  std::mutex numbers;
  options.enter_model = [&](const model::ModelInfo& info, const std::string& golden) {
    const std::lock_guard hold(numbers);
    EXPECT_EQ(golden, "none");
    return info.path == "next" ? std::uint64_t{7} : std::uint64_t{3};
  };
  Engine engine(options, shop.plans(line, 2), line.progress);
  ASSERT_TRUE(settles(engine));
  engine.open("run-1");
  line.commit(60);
  auto change = engine.load("next");
  while (change.wait_for(0s) != std::future_status::ready) line.commit(1);
  const auto outcome = change.get();
  ASSERT_TRUE(outcome.ok()) << outcome.error().text();
  EXPECT_EQ(outcome->path, "next");
  EXPECT_EQ(engine.model_info().path, "next");
  line.collect_all();
  const std::size_t before = line.order().size();
  line.commit(60);
  line.collect_all();
  line.expect_settled();
  for (std::size_t i = 0; i < line.order().size(); ++i) {
    const auto number = line.models().at(line.order()[i]);
    EXPECT_TRUE(number == 7 || (i < before && number == 3)) << "result " << i << " of model " << number;
  }
}

TEST(Engine, a_model_that_is_refused_by_one_device_changes_none_and_the_old_one_goes_on) {
  Line line({.slots = 32, .panels = 2});
  const Shop shop;
  Engine engine(line.options_for({.depth = 2, .batch = 4}), shop.plans(line, 2), line.progress);
  ASSERT_TRUE(settles(engine));
  engine.open("run-1");
  for (const auto& [path, id] : {std::pair{"unreadable", "model.unreadable"}, std::pair{"broken", "model.bad-output"},
                                 std::pair{"broken on the second", "model.bad-output"},
                                 std::pair{"other rows", "model.bad-rows"}, std::pair{"changing", "model.changed"}}) {
    line.commit(20);
    const auto outcome = engine.load(path).get();
    ASSERT_FALSE(outcome.ok()) << path;
    EXPECT_EQ(outcome.error().id, id) << outcome.error().text();
    EXPECT_NE(outcome.error().untouched.find("stays in use"), std::string::npos) << outcome.error().text();
    EXPECT_EQ(engine.model_info().path, "builtin:threshold=100");
    line.collect_all();
  }
  EXPECT_EQ(engine.usable(), 2U);
  line.expect_settled();
}

TEST(Engine, a_second_load_is_refused_while_one_is_going_on_and_an_engine_without_a_loader_says_so) {
  Line line;
  std::promise<void> may_load;
  auto slow = plan(line, "slow");
  slow.load_other = [&, gate = may_load.get_future().share()](const std::string& path) {
    gate.wait();
    return Result<std::unique_ptr<model::Model>>(std::make_unique<NamedModel>(model::ModelInfo{path, "test", "1"}));
  };
  std::vector<DevicePlan> one;
  one.push_back(std::move(slow));
  Engine engine(line.options_for({}), std::move(one), line.progress);
  ASSERT_TRUE(settles(engine));
  auto first = engine.load("first");
  EXPECT_EQ(engine.load("second").get().error().id, "model.busy");
  may_load.set_value();
  EXPECT_TRUE(first.get().ok());
  Line other;
  Engine fixed(other.options_for({}), plans(plan(other, "a"), plan(other, "b")), other.progress);
  ASSERT_TRUE(settles(fixed));
  EXPECT_EQ(fixed.load("any").get().error().id, "model.no-device");
}

TEST(Engine, a_device_lost_on_the_way_leaves_its_frames_to_the_other) {
  Line line;
  const auto fault = std::make_shared<DeviceFault>();
  Engine engine(
      line.options_for({.depth = 2, .batch = 2}),
      plans(plan(line, "dying", {.staged = true, .fault = fault}), plan(line, "other", {.staged = true, .seed = 9})),
      line.progress);
  ASSERT_TRUE(settles(engine));
  engine.open("run-1");
  for (int i = 0; i < 200; ++i) {
    line.commit(1);
    if (i == 100) fault->lost.store(true);
  }
  line.collect_all();
  line.expect_settled();
  EXPECT_TRUE(eventually([&] { return engine.usable() == 1; }, kPatience));
  ASSERT_EQ(engine.failures().size(), 1U);
  EXPECT_EQ(engine.failures()[0].id, "device.lost");
  EXPECT_TRUE(eventually([&] { return engine.frames_in_flight() == 0; }, kPatience));
}

TEST(Engine, a_rebuffer_reaches_every_device) {
  Line line;
  Engine engine(line.options_for({.depth = 3}), plans(plan(line, "a"), plan(line, "b")), line.progress);
  ASSERT_TRUE(settles(engine));
  EXPECT_EQ(engine.depth(), 3U);
  auto receipts = engine.rebuffer(6);
  ASSERT_EQ(receipts.size(), 2U);
  for (auto& receipt : receipts) {
    const auto values = receipt.get();
    EXPECT_EQ(values.before, 3U);
    EXPECT_EQ(values.after, 6U);
  }
  EXPECT_EQ(engine.depth(), 6U);
  EXPECT_EQ(line.record(0).depth.load(), 6U);
  EXPECT_EQ(line.record(1).depth.load(), 6U);
}

TEST(Engine, a_run_is_opened_drained_and_shut_on_all_devices_at_once) {
  Line line;
  Engine engine(line.options_for({.depth = 1, .batch = 2}), plans(plan(line, "a"), plan(line, "b")), line.progress);
  ASSERT_TRUE(settles(engine));
  line.commit(6);
  engine.open("run-1");
  line.collect(6);
  engine.drain(line.instance.layout().next_sequence.load());
  line.commit(4);
  EXPECT_EQ(line.in(SlotState::ready), 4U);
  engine.shut();
  engine.open("run-2");
  line.collect(4);
  line.expect_settled();
  for (const auto& [id, run] : line.runs()) EXPECT_EQ(run, id < 6 ? "run-1" : "run-2");
}

TEST(Engine, ends_with_frames_on_every_device_and_publishes_them) {
  Line line;
  auto engine = std::make_unique<Engine>(line.options_for({.depth = 2, .batch = 2}),
                                         plans(plan(line, "a"), plan(line, "b")), line.progress);
  ASSERT_TRUE(settles(*engine));
  Hold hold(line.script);
  line.commit(20);
  engine->open("run-1");
  ASSERT_TRUE(line.reaches(SlotState::inferring, 8));
  EXPECT_EQ(engine->frames_in_flight(), 8U);
  std::jthread ending([&] { engine.reset(); });
  hold.let_all_pass();
  ending.join();
  EXPECT_EQ(line.in(SlotState::inferring), 0U);
  EXPECT_GE(line.in(SlotState::done), 8U);
  EXPECT_BALANCED(line.instance);
}

}  // namespace
}  // namespace peaknet::engine::test
