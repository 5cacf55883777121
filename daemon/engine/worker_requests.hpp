// WorkerRequests: what other threads ask of a worker, with their promises: another depth or batch (rebuffer), another
// model (stage, commit). The worker serves them between two batches, in the order they came.
//
// Threads: the first part any; serving the worker's; close() also who gave up its call. Errors: once closed, and by
// close(), promises break (std::future_error): nobody will do it. After a crash: nothing is left.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/result.hpp"
#include "daemon/engine/worker_options.hpp"
#include "daemon/model/model.hpp"
#include "shm/event_count.hpp"

namespace peaknet::engine {

class WorkerRequests {
 public:
  // Both outlive this. `wake` is notified of each request, `progress` of each answer to a rebuffer.
  WorkerRequests(shm::EventCount& wake, shm::EventCount& progress) : wake_(wake), progress_(progress) {}
  WorkerRequests(const WorkerRequests&) = delete;
  WorkerRequests& operator=(const WorkerRequests&) = delete;

  // --- any thread ---

  std::future<RebufferReceipt> rebuffer(std::uint32_t depth, std::uint32_t batch);
  std::future<Status> stage(std::unique_ptr<model::Model> model);
  std::future<Status> commit(bool take_over);

  // --- the worker's thread ---

  // Is there a request that was not begun?
  bool pending() const;

  struct Rebuffer {
    std::uint32_t depth;
    std::uint32_t batch;  // 0: as it is
  };
  // One after the other: `apply` once; answered when `settled` says so of its depth, and only then the next. True: one
  // was applied or answered.
  bool serve_rebuffers(const std::function<RebufferReceipt(const Rebuffer&)>& apply,
                       const std::function<bool(std::uint32_t depth)>& settled);

  struct ModelChange {
    std::unique_ptr<model::Model> offered;  // null: settle what was offered before
    bool take_over = false;
  };
  // The next one, if there is one; then answer it. An answer has no effect if close() came before it.
  std::optional<ModelChange> begin_model_change();
  void answer_model_change(Status outcome);

  // --- the worker's thread, or in its place who gave up its call ---

  // Nobody answers any more. `lost`: the device is lost, and models that were made for it stay until the process ends
  // (left_behind.hpp); else those that wait are returned. May be called again.
  std::vector<std::unique_ptr<model::Model>> close(bool lost);

 private:
  struct PendingRebuffer {
    Rebuffer wanted;
    std::promise<RebufferReceipt> done;
    std::optional<RebufferReceipt> receipt;  // once it is applied
  };
  struct PendingModel {
    ModelChange wanted;
    std::promise<Status> done;
  };
  std::future<Status> line_up(ModelChange change);

  shm::EventCount& wake_;
  shm::EventCount& progress_;
  mutable std::mutex mutex_;
  bool closed_ = false;
  bool lost_ = false;
  std::deque<PendingRebuffer> rebuffers_;
  std::deque<PendingModel> models_;
  std::optional<std::promise<Status>> changing_;  // not under the mutex: of who serves, or closes in his place
};

}  // namespace peaknet::engine
