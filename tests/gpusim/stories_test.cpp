// Stories of the engine on simulated GPUs: the real pool, the real engine and CudaDevice, with everything that a seed
// chooses: devices, depth, batch, panels, slots, how images reach the device, whether runs are recorded, and what
// happens on the way. Each frame comes out once, as itself; the frame accounting balances; the runtime finds nothing.
//
// A story can be told again: PEAKNET_TEST_SEED=n tells that one alone.
#include <gtest/gtest.h>

#include <cstdlib>
#include <exception>
#include <optional>
#include <random>
#include <string>

#include "tests/gpusim/simulator.hpp"
#include "tests/unit/daemon/engine/line.hpp"

namespace peaknet::engine::test {
namespace {

enum class Event : std::uint8_t { none, rebuffer, other_model, breaks_down, hangs, driver_hangs };
constexpr std::array kEventNames = {"nothing",        "rebuffer",      "another model", "a device breaks down",
                                    "a device hangs", "a driver hangs"};

#ifdef PEAKNET_SOAK
constexpr unsigned kStories = 1000;
#else
constexpr unsigned kStories = 24;
#endif

class Story {
 public:
  explicit Story(unsigned seed)
      : random_(seed),
        event_(static_cast<Event>(below(kEventNames.size()))),
        devices_(event_ >= Event::breaks_down ? 2 : 1 + below(2)) {
    setting("GPUSIM_SEED", std::to_string(1 + seed));
    setting("GPUSIM_DEVICES", "2");
    setting("GPUSIM_NO_REGISTER", below(3) == 0 ? "1" : "");  // staged
    gpusim::reset();
    line_ = std::make_unique<Line>(Line::Options{.slots = 8 + below(24), .panels = 1 + below(3)});
    line_->may_be_unlucky = 8;
    line_->script->may_record.store(below(2) == 0);
  }

  void tell() {
    start();
    const std::uint32_t frames = 60 + below(100);
    const std::uint32_t when = below(frames);
    for (std::uint32_t i = 0; i < frames; ++i) {
      if (i == when) happen();
      line_->commit_one();
    }
    line_->collect_all();
    if (rebuffered_)
      for (auto& receipt : *rebuffered_) receipt.wait();
    if (loaded_) loaded_->wait();
    helper_ = {};
    engine_.reset();
    line_->expect_settled();
    EXPECT_EQ(gpusim::take_findings(), 0U);
  }
  std::string text() const {
    return std::to_string(devices_) + " devices, " + std::string(line_->record().h2d_mode.load()) + ", " +
           kEventNames[static_cast<std::size_t>(event_)];
  }

 private:
  std::uint32_t below(std::size_t limit) { return static_cast<std::uint32_t>(random_() % limit); }
  static void setting(const char* name, const std::string& value) { ::setenv(name, value.c_str(), 1); }

  void start() {
    Line::Choice choice;
    choice.depth = 1 + below(4);
    batch_ = choice.batch = 1 + below(6);
    auto options = line_->options_for(choice);
    // A busy machine makes the simulation slow, and only a hang is to be taken for one.
    options.stuck_after = event_ == Event::hangs || event_ == Event::driver_hangs ? 2s : 60s;
    options.last_patience = 5s;
    std::vector<DevicePlan> plans;
    for (std::uint32_t i = 0; i < devices_; ++i) {
      DevicePlan plan{device_name(i), {}, Line::device_maker({.index = i}), line_->model_maker()};
      plan.load_other = [maker = line_->model_maker()](const std::string&) { return maker(); };
      plans.push_back(std::move(plan));
    }
    engine_ = std::make_unique<Engine>(options, std::move(plans), line_->progress);
    ASSERT_TRUE(eventually([&] { return !engine_->warming(); }, kPatience));
    ASSERT_EQ(engine_->usable(), devices_);
    engine_->open("run-1");
  }

  void happen() {
    switch (event_) {
      case Event::none:
        break;
      case Event::rebuffer:
        rebuffered_ = engine_->rebuffer(1 + below(5), 1 + below(batch_));
        break;
      case Event::other_model:
        loaded_ = engine_->load("another");
        break;
      case Event::breaks_down:
        gpusim::break_after("", 1 + below(12));
        break;
      case Event::hangs:
      case Event::driver_hangs:
        if (event_ == Event::hangs) {
          gpusim::hang_after("", 1 + below(12));
        } else {
          gpusim::block_after("", 1 + below(100));
        }
        helper_ = std::jthread([this](const std::stop_token& stop) {  // until the device has been given up
          eventually(
              [&] {
                engine_->look_after();
                return stop.stop_requested() || !engine_->failures().empty();
              },
              kPatience);
          gpusim::free_hung();
        });
        break;
    }
  }

  std::mt19937 random_;
  Event event_;
  std::uint32_t devices_, batch_ = 1;
  std::unique_ptr<Line> line_;
  std::unique_ptr<Engine> engine_;
  std::optional<std::vector<std::future<RebufferReceipt>>> rebuffered_;
  std::optional<std::future<Result<model::ModelInfo>>> loaded_;
  std::jthread helper_;
};

TEST(GpuStories, whatever_happens_on_two_gpus_each_frame_comes_out_once_as_itself_and_the_runtime_finds_nothing) {
  if (!gpusim::simulated()) GTEST_SKIP() << "this is no simulated CUDA runtime";
  const char* one = std::getenv("PEAKNET_TEST_SEED");
  const unsigned first = one != nullptr ? static_cast<unsigned>(std::atoi(one)) : 1;
  for (unsigned seed = first; seed < first + (one != nullptr ? 1 : kStories); ++seed) {
    Story story(seed);
    SCOPED_TRACE("PEAKNET_TEST_SEED=" + std::to_string(seed) + ": " + story.text());
    try {
      story.tell();
    } catch (const std::exception& failure) {
      ADD_FAILURE() << failure.what();
    }
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace peaknet::engine::test
