// Engine: the workers of a node, one per device, pulling from the one Q1. The service's view of them.
// Called from the service's supervisor thread alone, but for the worker threads it owns. No torch, no CUDA, no ZeroMQ
// in here.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "daemon/device/call_mark.hpp"
#include "daemon/engine/worker.hpp"

namespace peaknet::engine {

struct DevicePlan {
  std::string name;            // "cpu", "cuda:0"
  std::vector<unsigned> cpus;  // that its worker runs on; empty: any
  DeviceMaker make_device;
  ModelMaker make_model;
  ModelLoader load_other{};         // for Engine::load; empty: the model stays what it is
  ModelMaker make_smaller_model{};  // for shedding; empty: none
};

class Engine {
 public:
  // Starts a worker for each plan. `options.index` and `options.name` are set per worker. `progress` outlives the
  // engine.
  Engine(const WorkerOptions& options, std::vector<DevicePlan> plans, shm::EventCount& progress);
  // Ends all workers at once, see ~Worker. A load of a model that is going on is waited for, but if it stands in a call
  // that does not return.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Take frames as run `run`; take only those below `below` any more; take none.
  void open(const std::string& run) { gate_.open(run); }
  void drain(std::uint64_t below) { gate_.drain(below); }
  void shut() { gate_.shut(); }

  bool warming() const;          // some worker is not yet ready or lost
  std::uint32_t usable() const;  // workers that are ready
  std::uint32_t devices() const { return static_cast<std::uint32_t>(workers_.size()); }
  std::uint32_t frames_in_flight() const;  // on devices that work
  std::uint32_t frames_held() const;       // by lost devices that have not let go of them
  // Called now and then: a device one of whose calls does not return is lost (WorkerLoop::look_after), and so is a
  // load.
  void look_after();
  // Of each worker that is not lost: changes as long as its thread goes on, also while it loads and warms a model.
  std::vector<std::uint64_t> steps() const;
  std::uint32_t depth() const { return workers_.front()->depth(); }
  std::uint32_t largest_batch() const { return largest_batch_; }  // that the lanes were reserved for
  std::vector<Error> failures() const;                            // of the lost ones
  model::ModelInfo model_info() const;                            // of the first that is ready

  // Change the depth, and the largest batch (0: leave it), of every worker. The futures of those that are ready.
  std::vector<std::future<RebufferReceipt>> rebuffer(std::uint32_t depth, std::uint32_t batch = 0);

  // Take another model, on all devices that are ready or on none, while frames flow: loaded beside the one that works,
  // in a thread of its own, checked and warmed on each device between batches, then taken over between batches. The
  // result comes with a notification of `progress`. Errors: model.busy (one load at a time), model.* with what is wrong
  // with it, model.no-device, model.device-lost, device.stuck (the load does not return: no other can begin before it
  // does); the old model goes on after each of them.
  std::future<Result<model::ModelInfo>> load(const std::string& path);

 private:
  // A load that is going on, shared with its thread, which nobody waits for if it does not come back.
  struct Load {
    Load(std::string of, std::vector<ModelLoader> by) : path(std::move(of)), loaders(std::move(by)) {}
    const std::string path;
    const std::vector<ModelLoader> loaders;  // by worker
    device::CallMark mark;
    std::promise<Result<model::ModelInfo>> answer;
    std::promise<void> end;
    std::future<void> ended = end.get_future();
  };
  void run(Load& load);
  using Models = std::vector<std::unique_ptr<model::Model>>;
  Status load_all(Load& load, std::vector<Worker*>& ready, Models& models);
  Result<model::ModelInfo> change_model(Load& load);
  void finish_load();

  std::uint32_t largest_batch_;
  std::chrono::nanoseconds longest_call_, last_call_;
  shm::EventCount& progress_;
  Gate gate_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<ModelLoader> loaders_;  // by worker
  std::atomic<bool> loading_{false};
  std::shared_ptr<Load> load_;  // the last one
  std::jthread loader_;
};

}  // namespace peaknet::engine
