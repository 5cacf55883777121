// One cell of the matrix of scripts/bench, as one line of JSON:
//
//   matrix_run --devices 2 --lanes 3 --cpu-ms 20 --seconds 4 [--batch 8] [--size 16] [--model builtin:threshold=100]
//
//   {"frames_per_s": 812.1, "busy": 0.982}     busy: of the devices, the mean, while Q1 was never empty
//
// --lanes 0 is the sequential form: one buffer on one device, and a wait after each step. Else the engine works as in
// peaknetd: a producer keeps Q1 full, and behind Q2 a writer for each device spends --cpu-ms on each batch. On
// simulated devices the program runs under tests/gpusim, which says how long copies and kernels take.
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/must.hpp"
#include "daemon/device/cuda_device.hpp"
#include "daemon/engine/engine.hpp"
#include "daemon/model/model.hpp"
#include "shm/consumer.hpp"
#include "shm/pool.hpp"
#include "shm/producer.hpp"

namespace peaknet::bench {
namespace {

using Clock = std::chrono::steady_clock;

struct Plan {
  std::uint32_t devices = 1, lanes = 3, batch = 8, size = 16;
  double cpu_ms = 0, seconds = 3;
  std::string model = "builtin:threshold=100";
};

std::string name_of(std::uint32_t device) { return "cuda:" + std::to_string(device); }

void work_on_the_processor(double milliseconds) {  // a stand-in that takes time and no processor from the others
  std::this_thread::sleep_for(std::chrono::duration<double, std::milli>(milliseconds));
}

// A pool, and the slots in it.
class Node {
 public:
  explicit Node(const Plan& plan)
      : instance("bench_matrix_" + std::to_string(::getpid())),
        geometry{plan.devices * plan.batch * 12, 1, plan.size, plan.size, PixelType::uint16},
        owner(must(shm::InstanceOwner::take(instance, {}))),
        pool(must(
            shm::Pool::create(instance, 1, geometry, shm::FullPolicy::block, owner.control_segment()->uuid(), {}))) {
    owner.control_segment()->layout().epoch.store(1);
    layout.pixel_type = static_cast<std::uint32_t>(PixelType::uint16);
    layout.panels = 1;
    layout.height = layout.width = layout.padded_height = layout.padded_width = plan.size;
  }
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  ~Node() {
    pool.reset();
    owner.remove_if_unused(true);
  }
  const std::string instance;
  const shm::Geometry geometry;
  shm::InstanceOwner owner;
  std::shared_ptr<shm::Pool> pool;
  kernels::FrameLayout layout;
};

struct Outcome {
  double frames_per_s = 0, busy = 0;
};

// One buffer: upload, wait, compute, wait, download, wait, the processor's work.
Outcome sequential(const Plan& plan) {
  const Node node(plan);
  const auto device = must(device::make_cuda_device(name_of(0)));
  must(device->adopt_payload(node.pool->payload(), node.geometry.slot_stride()));
  const auto model = must(model::load_model({.path = plan.model, .device = name_of(0)}));
  const std::size_t pixels = std::size_t{plan.size} * plan.size;
  const auto images = must(device->reserve(plan.batch * node.geometry.image_bytes()));
  const auto masks = must(device->reserve(plan.batch * node.geometry.mask_bytes()));
  const auto memory = must(device->reserve(plan.batch * pixels * sizeof(float)));
  const auto input =
      kernels::contiguous(memory->address(), kernels::Element::float32, plan.batch, 1, plan.size, plan.size);
  std::vector<const std::byte*> events(plan.batch);
  std::vector<std::uint64_t*> places(plan.batch);
  for (std::uint32_t i = 0; i < plan.batch; ++i)
    places[i] = reinterpret_cast<std::uint64_t*>(masks->address() + i * node.geometry.mask_bytes());
  double busy_s = 0;
  const auto one_batch = [&] {
    const auto up =
        device->upload({node.pool->image(0), node.geometry.image_bytes(), node.geometry.slot_stride(), plan.batch},
                       images->address(), node.geometry.image_bytes());
    for (std::uint32_t i = 0; i < plan.batch; ++i) events[i] = up.images.image(i);
    must(device->synchronize());
    Status outcome;
    const auto begin = Clock::now();
    device->compute([&](void* stream) {
      device->kernels().before(node.layout, events.data(), plan.batch, input, stream);
      outcome = model->run(input, stream, [&](const kernels::TensorView& logits) {
        device->kernels().after(node.layout, logits, places.data(), plan.batch, stream);
      });
    });
    must(device->synchronize());
    must(outcome);
    busy_s += std::chrono::duration<double>(Clock::now() - begin).count();
    for (std::uint32_t i = 0; i < plan.batch; ++i)
      device->download(places[i], {node.pool->mask(i), node.geometry.mask_words()});
    must(device->synchronize());
    work_on_the_processor(plan.cpu_ms);
  };
  for (int i = 0; i < 2; ++i) one_batch();
  busy_s = 0;
  const auto begin = Clock::now();
  std::uint64_t frames = 0;
  double span = 0;
  for (; span < plan.seconds; span = std::chrono::duration<double>(Clock::now() - begin).count()) {
    one_batch();
    frames += plan.batch;
  }
  return {static_cast<double>(frames) / span, busy_s / span};
}

class Pipeline {
 public:
  explicit Pipeline(const Plan& plan) : plan_(plan), node_(plan) {
    engine::WorkerOptions options;
    options.instance = node_.instance;
    options.depth = plan.lanes;
    options.batch = plan.batch;
    options.layout = node_.layout;
    const auto registrar = std::make_shared<device::CudaRegistrar>();
    std::vector<engine::DevicePlan> plans;
    for (std::uint32_t i = 0; i < plan.devices; ++i) {
      plans.push_back({name_of(i),
                       {},
                       [i, registrar] { return device::make_cuda_device(name_of(i), registrar); },
                       [i, path = plan.model] { return model::load_model({.path = path, .device = name_of(i)}); }});
    }
    engine_ = std::make_unique<engine::Engine>(options, std::move(plans), progress_);
    while (engine_->warming()) {
      const shm::EventCount::Armed armed{&progress_, progress_.prepare()};
      if (engine_->warming()) shm::EventCount::wait_any({&armed, 1});
    }
    for (const auto& failure : engine_->failures()) throw std::runtime_error(failure.text());
  }

  Outcome measure() {
    engine_->open("bench");
    std::vector<std::jthread> threads;
    threads.emplace_back([this](const std::stop_token& stop) { produce(stop); });
    for (std::uint32_t i = 0; i < plan_.devices; ++i)
      threads.emplace_back([this](const std::stop_token& stop) { write(stop); });
    std::this_thread::sleep_for(
        std::chrono::seconds(1));  // until the pipeline is full; a measurement is a matter of time
    const auto begin = Clock::now();
    const auto frames = written_.load();
    const auto busy = busy_ns();
    std::this_thread::sleep_for(std::chrono::duration<double>(plan_.seconds));
    const double span = std::chrono::duration<double>(Clock::now() - begin).count();
    const Outcome outcome{static_cast<double>(written_.load() - frames) / span,
                          static_cast<double>(busy_ns() - busy) / 1e9 / span / plan_.devices};
    for (auto& thread : threads) thread.request_stop();
    return outcome;
  }

 private:
  std::uint64_t busy_ns() const {
    std::uint64_t sum = 0;
    for (std::uint32_t i = 0; i < plan_.devices; ++i)
      sum += node_.owner.control_segment()->layout().devices[i].busy_ns.load();
    return sum;
  }
  void produce(const std::stop_token& stop) {
    const auto producer = must(shm::Producer::attach(node_.instance, {.label = "bench"}));
    while (!stop.stop_requested()) {
      auto frame = producer->claim(std::chrono::milliseconds(100));
      if (frame) must(frame->commit());
    }
  }
  void write(const std::stop_token& stop) {
    const auto writer = must(shm::Consumer::attach(node_.instance, shm::Queue::q2, "bench"));
    while (!stop.stop_requested()) {
      auto taken = writer->take(plan_.batch);
      if (taken.frames.empty()) {
        writer->wait_for_work(std::chrono::milliseconds(100));
        continue;
      }
      const auto count = taken.frames.size();
      work_on_the_processor(plan_.cpu_ms * static_cast<double>(count) / plan_.batch);
      for (auto& frame : taken.frames) must(frame.finish(shm::Counter::written));
      written_.fetch_add(count);
    }
  }

  const Plan& plan_;
  Node node_;
  shm::EventCount progress_;
  std::unique_ptr<engine::Engine> engine_;
  std::atomic<std::uint64_t> written_{0};
};

int run(int argc, char** argv) {
  Plan plan;
  CLI::App app{"One cell of the matrix of scripts/bench"};
  app.add_option("--devices", plan.devices);
  app.add_option("--lanes", plan.lanes);
  app.add_option("--batch", plan.batch);
  app.add_option("--size", plan.size);
  app.add_option("--cpu-ms", plan.cpu_ms);
  app.add_option("--seconds", plan.seconds);
  app.add_option("--model", plan.model);
  CLI11_PARSE(app, argc, argv);
  spdlog::set_level(spdlog::level::warn);
  const Outcome outcome = plan.lanes == 0 ? sequential(plan) : Pipeline(plan).measure();
  std::printf("{\"frames_per_s\": %.2f, \"busy\": %.4f}\n", outcome.frames_per_s, outcome.busy);
  return 0;
}

}  // namespace
}  // namespace peaknet::bench

int main(int argc, char** argv) {
  try {
    return peaknet::bench::run(argc, argv);
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "matrix_run: %s\n", failure.what());
    return 1;
  }
}
