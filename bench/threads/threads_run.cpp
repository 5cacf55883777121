// One network on the processors, in two forms in turns. The last line is JSON for scripts/bench:
//
//   threads_run --model models/contrast.pt --size 512 --batch 8 --seconds 2 [--rounds 3]
//
//   {"ours":    {"rate": rows a second, "p50_ms": of a run, "p99_ms": ...},    as peaknetd runs it, engine.cpu_threads
//   0
//    "libtorch": {the same}}                                                   one call for the batch, with all threads
#include <ATen/Parallel.h>
#include <torch/script.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "base/heap.hpp"
#include "base/processors.hpp"
#include "bench/frames.hpp"
#include "daemon/model/model.hpp"

namespace peaknet::bench {
namespace {

using Clock = std::chrono::steady_clock;

struct Plan {
  std::string model;
  std::uint32_t size = 512;
  std::uint32_t batch = 8;
  double seconds = 2;
  std::uint32_t rounds = 3;
};

// The durations of runs, ms, over all rounds.
class Arm {
 public:
  explicit Arm(std::function<void()> run) : run_(std::move(run)) {
    for (int i = 0; i < 8; ++i) run_();
  }
  void measure(double seconds) {
    const auto begin = Clock::now();
    for (auto before = begin; std::chrono::duration<double>(before - begin).count() < seconds;) {
      run_();
      const auto now = Clock::now();
      took_.push_back(std::chrono::duration<double, std::milli>(now - before).count());
      before = now;
    }
  }
  std::string json(std::uint32_t rows) {
    std::sort(took_.begin(), took_.end());
    double sum = 0;
    for (const double one : took_) sum += one;
    char text[128];
    std::snprintf(text, sizeof text, R"({"rate": %.1f, "p50_ms": %.3f, "p99_ms": %.3f})",
                  1000.0 * static_cast<double>(took_.size()) * rows / sum, took_[took_.size() / 2],
                  took_[took_.size() * 99 / 100]);
    return text;
  }

 private:
  std::function<void()> run_;
  std::vector<double> took_;
};

std::vector<float> images(const Plan& plan) {
  std::vector<float> pixels;
  for (std::uint32_t i = 0; i < plan.batch; ++i) {
    const auto frame = make_frame(plan.size, 100, i + 1);
    pixels.insert(pixels.end(), frame.pixels.begin(), frame.pixels.end());
  }
  return pixels;
}

void measure(const Plan& plan) {
  auto pixels = images(plan);
  const auto view = kernels::contiguous(pixels.data(), kernels::Element::float32, plan.batch, 1, plan.size, plan.size);
  auto loaded = model::load_model({.path = plan.model, .device = "cpu"});
  if (!loaded) throw std::runtime_error(loaded.error().text());
  Arm ours([&] {
    const auto outcome = (*loaded)->run(view, nullptr, [](const kernels::TensorView&) {});
    if (!outcome) throw std::runtime_error(outcome.error().text());
  });

  const c10::InferenceMode no_gradients;
  auto module = torch::jit::load(plan.model);
  module.eval();
  const at::Tensor batch = at::from_blob(pixels.data(), {plan.batch, 1, plan.size, plan.size});
  const int threads = static_cast<int>(usable_processors());
  Arm libtorch([&] {
    at::set_num_threads(threads);
    module.forward({batch});
  });

  for (std::uint32_t i = 0; i < plan.rounds; ++i) {
    ours.measure(plan.seconds);
    libtorch.measure(plan.seconds);
  }
  std::printf("{\"ours\": %s, \"libtorch\": %s}\n", ours.json(plan.batch).c_str(), libtorch.json(plan.batch).c_str());
}

int run(int argc, char** argv) {
  Plan plan;
  CLI::App app{"One network on the processors, as peaknetd runs it and as LibTorch does.", "threads_run"};
  app.add_option("--model", plan.model)->required();
  app.add_option("--size", plan.size)->check(CLI::PositiveNumber);
  app.add_option("--batch", plan.batch)->check(CLI::PositiveNumber);
  app.add_option("--seconds", plan.seconds, "of each form in each round")->check(CLI::PositiveNumber);
  app.add_option("--rounds", plan.rounds)->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  try {
    keep_heap();
    measure(plan);
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "threads_run: %s\n", problem.what());
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace peaknet::bench

int main(int argc, char** argv) { return peaknet::bench::run(argc, argv); }
