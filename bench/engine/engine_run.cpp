// One measurement of the engine on the host device for scripts/bench, as one line of JSON, microseconds per frame:
//
//   engine_run --model builtin:identity --size 512 --batch 8 --depth 3 --frames 800 [--threads 1]
//
//   {"engine_us": the whole engine: frames come from a producer, results go to a writer that throws them away
//    "bare_us":   a bare loop over what a batch needs: counts to float, the same model, logits to bits
//    "model_us":  a bare loop over the model alone}
//
// The three are measured in turns within one process, in the same batches and threads. A slot keeps its image, so that
// producer and writer cost next to nothing.
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/heap.hpp"
#include "base/must.hpp"
#include "base/pixel_type.hpp"
#include "bench/frames.hpp"
#include "daemon/device/host_device.hpp"
#include "daemon/engine/worker.hpp"
#include "daemon/kernels/reference_kernels.hpp"
#include "shm/consumer.hpp"
#include "shm/pool.hpp"
#include "shm/producer.hpp"

namespace peaknet::bench {
namespace {

using Clock = std::chrono::steady_clock;

struct Plan {
  std::string model = "builtin:identity";
  std::uint32_t size = 512;
  std::uint32_t batch = 8;
  std::uint32_t depth = 3;
  std::uint32_t frames = 800;
  std::uint32_t slots = 64;
  std::uint32_t threads = 1;
  std::uint32_t rounds = 3;
  bool keep_heap = true;
};

class Measurement {
 public:
  explicit Measurement(const Plan& plan)
      : plan_(plan),
        instance_("bench_engine_" + std::to_string(::getpid())),
        geometry_{plan.slots, 1, plan.size, plan.size, PixelType::uint16},
        owner_(must(shm::InstanceOwner::take(instance_, {}))),
        pool_(must(
            shm::Pool::create(instance_, 1, geometry_, shm::FullPolicy::block, owner_.control_segment()->uuid(), {}))) {
    owner_.control_segment()->layout().epoch.store(1);
    layout_.pixel_type = static_cast<std::uint32_t>(PixelType::uint16);
    layout_.panels = 1;
    layout_.height = layout_.width = layout_.padded_height = layout_.padded_width = plan.size;
    producer_ = must(shm::Producer::attach(instance_, {.label = "bench"}));
    writer_ = must(shm::Consumer::attach(instance_, shm::Queue::q2, "bench"));
    worker_ = std::make_unique<engine::Worker>(
        options(), [] { return Result<std::unique_ptr<device::Device>>(device::make_host_device()); },
        [this] { return load(); }, gate_, progress_);
    while (worker_->state() != engine::WorkerState::ready) {
      if (worker_->state() == engine::WorkerState::lost) throw std::runtime_error(worker_->failure().text());
      const shm::EventCount::Armed armed{&progress_, progress_.prepare()};
      if (worker_->state() != engine::WorkerState::ready) shm::EventCount::wait_any({&armed, 1});
    }
    fill();
    gate_.open("bench");
  }
  Measurement(const Measurement&) = delete;
  Measurement& operator=(const Measurement&) = delete;
  ~Measurement() {
    worker_.reset();
    producer_.reset();
    writer_.reset();
    pool_.reset();
    owner_.remove_if_unused(true);
  }

  double engine_us() {
    std::atomic<bool> failed{false};
    const auto begin = Clock::now();
    {
      std::jthread feeder([&] {
        for (std::uint32_t i = 0; i < plan_.frames && !failed; ++i) {
          auto frame = producer_->claim(std::chrono::seconds(60));
          failed = !frame || !frame->commit();
        }
      });
      for (std::uint32_t done = 0; done < plan_.frames && !failed;) {
        auto taken = writer_->take(plan_.frames);
        for (auto& frame : taken.frames) must(frame.finish(shm::Counter::written));
        done += static_cast<std::uint32_t>(taken.frames.size());
        if (taken.frames.empty()) writer_->wait_for_work(std::chrono::seconds(1));
      }
    }
    if (failed) throw std::runtime_error("the producer could not go on");
    return since(begin) / plan_.frames;
  }

  // In a thread of its own, as the engine's compute stream is.
  std::pair<double, double> bare_us() {
    std::pair<double, double> spans;
    std::exception_ptr problem;
    std::jthread([&] {
      try {
        spans = bare();
      } catch (...) {
        problem = std::current_exception();
      }
    }).join();
    if (problem) std::rethrow_exception(problem);
    return spans;
  }

 private:
  static double since(Clock::time_point begin) {
    return std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
  }
  Result<std::unique_ptr<model::Model>> load() const {
    return model::load_model({.path = plan_.model, .device = "cpu", .cpu_threads = plan_.threads});
  }
  engine::WorkerOptions options() const {
    engine::WorkerOptions options;
    options.instance = instance_;
    options.name = "cpu";
    options.depth = plan_.depth;
    options.batch = plan_.batch;
    options.layout = layout_;
    return options;
  }
  // Every slot gets its image once.
  void fill() {
    std::vector<Frame> frames;
    for (std::uint32_t i = 0; i < 4; ++i) frames.push_back(make_frame(plan_.size, 100, i + 1));
    for (std::uint32_t slot = 0; slot < plan_.slots; ++slot) {
      const auto& pixels = frames[slot % frames.size()].pixels;
      std::memcpy(pool_->image(slot), pixels.data(), pixels.size() * sizeof(std::uint16_t));
    }
  }

  std::pair<double, double> bare() const {
    auto model = must(load());
    kernels::ReferenceKernels kernels;
    std::vector<float> input(std::size_t{plan_.batch} * plan_.size * plan_.size);
    const auto view =
        kernels::contiguous(input.data(), kernels::Element::float32, plan_.batch, 1, plan_.size, plan_.size);
    std::vector<const std::byte*> events(plan_.batch);
    std::vector<std::uint64_t*> masks(plan_.batch);
    const auto nothing = [](const kernels::TensorView&) {};
    for (int i = 0; i < 3; ++i) must(model->run(view, nullptr, nothing));
    const std::uint32_t batches = std::max(1U, plan_.frames / plan_.batch);
    std::uint32_t slot = 0;
    const auto loop = [&](bool whole) {
      const auto begin = Clock::now();
      for (std::uint32_t i = 0; i < batches; ++i) {
        for (std::uint32_t k = 0; k < plan_.batch; ++k, slot = (slot + 1) % plan_.slots) {
          events[k] = pool_->image(slot);
          masks[k] = pool_->mask(slot);
        }
        if (!whole) {
          must(model->run(view, nullptr, nothing));
          continue;
        }
        kernels.before(layout_, events.data(), plan_.batch, view, nullptr);
        must(model->run(view, nullptr, [&](const kernels::TensorView& logits) {
          kernels.after(layout_, logits, masks.data(), plan_.batch, nullptr);
        }));
      }
      return since(begin) / (batches * plan_.batch);
    };
    loop(true);
    const double whole = loop(true);
    return {whole, loop(false)};
  }

  Plan plan_;
  std::string instance_;
  shm::Geometry geometry_;
  shm::InstanceOwner owner_;
  std::shared_ptr<shm::Pool> pool_;
  kernels::FrameLayout layout_;
  engine::Gate gate_;
  shm::EventCount progress_;
  std::unique_ptr<shm::Producer> producer_;
  std::unique_ptr<shm::Consumer> writer_;
  std::unique_ptr<engine::Worker> worker_;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

int run(int argc, char** argv) {
  Plan plan;
  CLI::App app{"One measurement of the engine on the host device.", "engine_run"};
  app.add_option("--model", plan.model);
  app.add_option("--size", plan.size);
  app.add_option("--batch", plan.batch);
  app.add_option("--depth", plan.depth);
  app.add_option("--frames", plan.frames);
  app.add_option("--slots", plan.slots);
  app.add_option("--threads", plan.threads);
  app.add_option("--rounds", plan.rounds);
  app.add_flag("--keep-heap,!--release-heap", plan.keep_heap);
  CLI11_PARSE(app, argc, argv);
  spdlog::set_level(spdlog::level::warn);
  try {
    if (plan.keep_heap) keep_heap();
    Measurement measurement(plan);
    measurement.engine_us();
    std::vector<double> engine;
    std::vector<double> bare;
    std::vector<double> model;
    for (std::uint32_t i = 0; i < plan.rounds; ++i) {
      engine.push_back(measurement.engine_us());
      const auto [whole, alone] = measurement.bare_us();
      bare.push_back(whole);
      model.push_back(alone);
    }
    std::printf("{\"engine_us\": %.2f, \"bare_us\": %.2f, \"model_us\": %.2f}\n", median(engine), median(bare),
                median(model));
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "engine_run: %s\n", problem.what());
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace peaknet::bench

int main(int argc, char** argv) { return peaknet::bench::run(argc, argv); }
