#include "daemon/engine/worker_requests.hpp"

#include <utility>

#include "daemon/engine/left_behind.hpp"

namespace peaknet::engine {

std::future<RebufferReceipt> WorkerRequests::rebuffer(std::uint32_t depth, std::uint32_t batch) {
  PendingRebuffer request{.wanted = {depth, batch}, .done = {}, .receipt = {}};
  auto future = request.done.get_future();
  {
    const std::lock_guard hold(mutex_);
    if (closed_) return future;  // the promise breaks here
    rebuffers_.push_back(std::move(request));
  }
  wake_.notify();
  return future;
}

std::future<Status> WorkerRequests::stage(std::unique_ptr<model::Model> model) {
  return line_up({.offered = std::move(model)});
}

std::future<Status> WorkerRequests::commit(bool take_over) {
  return line_up({.offered = nullptr, .take_over = take_over});
}

// The promise of one that is not lined up is broken.
std::future<Status> WorkerRequests::line_up(ModelChange change) {
  PendingModel request{.wanted = std::move(change), .done = {}};
  auto future = request.done.get_future();
  {
    const std::lock_guard hold(mutex_);
    if (closed_) {
      if (lost_) leave_behind(std::shared_ptr<model::Model>(std::move(request.wanted.offered)));
      return future;
    }
    models_.push_back(std::move(request));
  }
  wake_.notify();
  return future;
}

bool WorkerRequests::pending() const {
  const std::lock_guard hold(mutex_);
  return (!rebuffers_.empty() && !rebuffers_.front().receipt) || !models_.empty();
}

bool WorkerRequests::serve_rebuffers(const std::function<RebufferReceipt(const Rebuffer&)>& apply,
                                     const std::function<bool(std::uint32_t depth)>& settled) {
  bool any = false;
  const std::lock_guard hold(mutex_);
  while (!rebuffers_.empty()) {
    PendingRebuffer& first = rebuffers_.front();
    if (!first.receipt) {
      first.receipt = apply(first.wanted);
      any = true;
    }
    if (!settled(first.wanted.depth)) break;
    first.done.set_value(*first.receipt);
    rebuffers_.pop_front();
    progress_.notify();
    any = true;
  }
  return any;
}

std::optional<WorkerRequests::ModelChange> WorkerRequests::begin_model_change() {
  const std::lock_guard hold(mutex_);
  if (models_.empty()) return std::nullopt;
  auto request = std::move(models_.front());
  models_.pop_front();
  changing_ = std::move(request.done);
  return std::move(request.wanted);
}

void WorkerRequests::answer_model_change(Status outcome) {
  if (auto done = std::exchange(changing_, std::nullopt)) done->set_value(std::move(outcome));
}

std::vector<std::unique_ptr<model::Model>> WorkerRequests::close(bool lost) {
  std::deque<PendingModel> models;
  {
    const std::lock_guard hold(mutex_);
    closed_ = true;
    lost_ |= lost;
    rebuffers_.clear();
    models.swap(models_);
  }
  changing_.reset();
  std::vector<std::unique_ptr<model::Model>> left;
  for (auto& request : models) {
    if (lost) {
      leave_behind(std::shared_ptr<model::Model>(std::move(request.wanted.offered)));
    } else if (request.wanted.offered) {
      left.push_back(std::move(request.wanted.offered));
    }
  }
  return left;
}

}  // namespace peaknet::engine
