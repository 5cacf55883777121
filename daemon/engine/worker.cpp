#include "daemon/engine/worker.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "daemon/device/ranges.hpp"
#include "shm/clock.hpp"

namespace peaknet::engine {
namespace {

constexpr int kWarmUps = 3;  // runs per bucket before `ready`: runtimes specialise during the first ones

enum class Waited : std::uint8_t { no_frame, no_lane, forming, stopped };

std::size_t element_bytes(kernels::Element element) { return static_cast<std::size_t>(kernels::size_of(element)); }

std::size_t aligned(std::size_t bytes) { return shm::Geometry::round_up(bytes, shm::kPage); }

}  // namespace

Worker::Worker(WorkerOptions options, DeviceMaker make_device, ModelMaker make_model, Gate& gate,
               shm::EventCount& progress)
    : options_(std::move(options)),
      make_device_(std::move(make_device)),
      make_model_(std::move(make_model)),
      gate_(gate),
      progress_(progress),
      depth_(options_.depth),
      plan_(options_.batch),
      thread_([this](const std::stop_token& stop) { run(stop); }) {}

Worker::~Worker() {
  thread_.request_stop();
  wake_.notify();
  thread_.join();
}

Error Worker::failure() const {
  const std::lock_guard hold(mutex_);
  return failure_;
}

model::ModelInfo Worker::model_info() const {
  const std::lock_guard hold(mutex_);
  return model_info_;
}

std::future<RebufferReceipt> Worker::rebuffer(std::uint32_t depth) {
  Change change{.depth = depth, .done = {}, .receipt = {}};
  auto future = change.done.get_future();
  {
    const std::lock_guard hold(mutex_);
    if (lost_) return future;  // nobody would ever answer: the promise breaks here
    changes_.push_back(std::move(change));
  }
  wake_.notify();
  return future;
}

shm::DeviceRecord& Worker::record() { return queue_->member().layout().devices[options_.index]; }

void Worker::set_state(WorkerState state, const char* text) {
  if (queue_) record().state.store(text);
  state_.store(state, std::memory_order_release);
  progress_.notify();
}

void Worker::lose(Error error) {
  spdlog::error("device {}: {}", options_.index, error.text());
  if (queue_) {
    record().error.store(error.text());
    queue_->member().note(error);
  }
  {
    const std::lock_guard hold(mutex_);
    failure_ = std::move(error);
    lost_ = true;
    changes_.clear();  // breaks the promises: whoever waits learns that there is no device any more
  }
  set_state(WorkerState::lost, "lost");
}

void Worker::run(const std::stop_token& stop) {
  if (auto ready = prepare(); !ready) {
    lose(ready.error());
  } else {
    set_state(WorkerState::ready, "ready");
    serve(stop);
  }
  // Everything of the device goes in the thread that used it. If it was lost, its streams end before the frames go back
  // to Q1, where another device may have them, and the frames go before the queue.
  if (device_) device_->compute([this](void*) { model_.reset(); });
  device_.reset();
  order_.clear();
  retries_.clear();
  lanes_.clear();
  in_flight_.store(0, std::memory_order_release);
  if (queue_) record().in_flight.store(0);
  queue_.reset();
  progress_.notify();
}

void Worker::serve(const std::stop_token& stop) {
  for (;;) {
    const bool ending = stop.stop_requested();
    bool moved = reap();
    moved |= apply_changes();
    moved |= dispatch(ending);
    if (auto health = device_->health(); !health) {
      lose(health.error());
      return;
    }
    if (ending && order_.empty() && retries_.empty()) break;
    if (!moved) sleep(ending, stop);
  }
  set_state(WorkerState::ended, "ended");
}

Status Worker::prepare() {
  // The device first: the lock that says "alive" is then closed after the device's context when the process dies.
  auto device = make_device_();
  if (device) device_ = std::move(*device);
  auto queue = shm::Consumer::attach(options_.instance, shm::Queue::q1, "device " + options_.name);
  if (queue) {
    queue_ = std::move(*queue);
    record().name.store(options_.name);  // also without a device: the counters page says which one is lost, and why
  }
  if (!device) return device.error();
  if (!queue) return queue.error();
  record().state.store("loading");
  record().error.store("");
  record().in_flight.store(0);
  record().depth.store(depth_.load());
  record().batch.store(options_.batch);
  for (std::size_t i = 0; i < record().buckets.size(); ++i) {
    record().buckets[i].store(i < plan_.buckets().size() ? plan_.buckets()[i] : 0);
  }

  if (auto adopted = device_->adopt_payload(queue_->member().pool().payload()); !adopted) return adopted;
  record().h2d_mode.store(device_->h2d_mode());

  const auto& layout = options_.layout;
  const std::size_t rows = std::size_t{plan_.largest()} * layout.panels;
  const std::size_t input_bytes = rows * layout.padded_height * layout.padded_width * element_bytes(options_.element);
  const std::size_t image_bytes = plan_.largest() * aligned(queue_->geometry().image_bytes());
  const std::size_t mask_bytes = plan_.largest() * aligned(queue_->geometry().mask_bytes());
  for (std::uint32_t i = 0; i < kMaxDepth; ++i) {  // all that rebuffer may ever want, so that it cannot fail for memory
    auto lane = std::make_unique<Lane>();
    lane->index = i;
    for (const auto& [memory, bytes] : {std::pair{&lane->input, input_bytes}, std::pair{&lane->images, image_bytes},
                                        std::pair{&lane->masks, mask_bytes}}) {
      auto reserved = device_->reserve(bytes);
      if (!reserved) return reserved.error();
      *memory = std::move(*reserved);
    }
    lane->uploaded = device_->make_event();
    lane->computed = device_->make_event();
    lane->downloaded = device_->make_event();
    lanes_.push_back(std::move(lane));
  }
  return warm_up();
}

Status Worker::warm_up() {
  Status outcome;
  device_->compute([&](void*) {
    auto loaded = make_model_();
    if (loaded) {
      model_ = std::move(*loaded);
    } else {
      outcome = loaded.error();
    }
  });
  if (auto reached = device_->synchronize(); !reached) return reached;
  if (!outcome) return outcome;
  {
    const std::lock_guard hold(mutex_);
    model_info_ = model_->info();
  }
  set_state(WorkerState::warming, "warming");

  // Every bucket, in the very way a batch runs, on the lane's own zeroed memory: slow first calls and wrong shapes show
  // up here.
  const auto& layout = options_.layout;
  for (const std::uint32_t bucket : plan_.buckets()) {
    const auto input =
        kernels::contiguous(lanes_.front()->input->address(), options_.element, std::int64_t{bucket} * layout.panels, 1,
                            layout.padded_height, layout.padded_width);
    for (int i = 0; i < kWarmUps && outcome.ok(); ++i) {
      device_->compute([&](void* stream) { outcome = model_->run(input, stream, [](const kernels::TensorView&) {}); });
      if (auto reached = device_->synchronize(); !reached) return reached;
    }
    if (!outcome) return outcome;
  }
  return {};
}

bool Worker::reap() {
  bool any = false;
  while (!order_.empty() && device_->done(order_.front()->downloaded)) {
    finish(*order_.front());
    order_.pop_front();
    any = true;
  }
  if (any && order_.empty() && retries_.empty()) progress_.notify();
  return any;
}

void Worker::finish(Lane& lane) {
  auto& counters = record();
  counters.busy_ns.fetch_add(static_cast<std::uint64_t>(lane.busy_ns), std::memory_order_relaxed);
  const auto count = static_cast<std::uint32_t>(lane.frames.size());
  if (lane.outcome.ok()) {
    for (auto& frame : lane.frames) {
      if (auto published = frame.publish(shm::ResultStatus::mask); !published)
        spdlog::error("{}", published.error().text());
    }
    counters.frames.fetch_add(count, std::memory_order_relaxed);
    counters.batches.fetch_add(1, std::memory_order_relaxed);
    in_flight_.fetch_sub(count, std::memory_order_release);
  } else if (count == 1) {
    queue_->member().note(lane.outcome.error());
    const std::uint64_t errors = counters.model_errors.fetch_add(1, std::memory_order_relaxed) + 1;
    if (std::has_single_bit(errors)) {  // the 1st, 2nd, 4th, ...: a broken model must not fill the log
      spdlog::error("{}: {} (failure {} of this device)", lane.frames.front().descriptor().frame_name(),
                    lane.outcome.error().text(), errors);
    }
    if (auto published = lane.frames.front().publish(shm::ResultStatus::error); !published)
      spdlog::error("{}", published.error().text());
    in_flight_.fetch_sub(1, std::memory_order_release);
  } else {
    // One frame may have spoilt the batch of all: each gets a batch of its own.
    for (auto& frame : lane.frames) retries_.push_back(std::move(frame));
  }
  lane.frames.clear();
  counters.in_flight.store(in_flight_.load(), std::memory_order_relaxed);
}

bool Worker::apply_changes() {
  bool any = false;
  const std::lock_guard hold(mutex_);
  while (!changes_.empty()) {
    Change& change = changes_.front();
    if (!change.applied) {
      change.receipt = {depth_.load(), change.depth, in_flight_.load()};
      if (depth_.exchange(change.depth) != change.depth) {
        record().depth.store(change.depth);
        record().rebuffers.fetch_add(1, std::memory_order_relaxed);
      }
      change.applied = true;
      any = true;
    }
    const bool beyond =
        std::any_of(lanes_.begin() + change.depth, lanes_.end(), [](const auto& lane) { return lane->in_flight(); });
    if (beyond) break;  // those lanes finish as always and are not used again
    change.done.set_value(change.receipt);
    changes_.pop_front();
    progress_.notify();
    any = true;
  }
  return any;
}

Lane* Worker::free_lane() {
  const auto end = lanes_.begin() + depth_.load(std::memory_order_relaxed);
  const auto found = std::find_if(lanes_.begin(), end, [](const auto& lane) { return !lane->in_flight(); });
  return found == end ? nullptr : found->get();
}

bool Worker::dispatch(bool ending) {
  Lane* lane = free_lane();
  if (lane == nullptr) return false;
  if (!retries_.empty()) {
    std::vector<shm::HeldFrame> single;
    single.push_back(std::move(retries_.front()));
    retries_.pop_front();
    launch(*lane, std::move(single), 1);
    return true;
  }
  if (ending) return false;
  const Gate::Opening opening = gate_.read();
  const std::uint32_t waiting = opening.below == 0 ? 0 : queue_->waiting(opening.below);
  const auto now = std::chrono::steady_clock::now();
  if (waiting == 0) {
    waiting_since_ = {};
    return false;
  }
  if (waiting_since_ == std::chrono::steady_clock::time_point{}) waiting_since_ = now;
  const bool full = waiting >= plan_.largest();
  const bool device_idle = order_.empty();
  const bool late = now - waiting_since_ >= options_.max_delay;
  if (!full && !device_idle && !late) return false;

  const auto batch = plan_.choose(waiting);
  auto taken =
      gate_.pass([&](const Gate::Opening& current) { return queue_->take(batch.frames, current.below, current.run); });
  for (const Error& refused : taken.refused) {
    spdlog::error("{}", refused.text());
    queue_->member().note(refused);
  }
  waiting_since_ = {};
  if (taken.frames.empty()) return !taken.refused.empty();
  // Another device may have taken some of them: the bucket follows what we really got.
  const auto count = static_cast<std::uint32_t>(taken.frames.size());
  const auto bucket = *std::lower_bound(plan_.buckets().begin(), plan_.buckets().end(), count);
  in_flight_.fetch_add(count, std::memory_order_release);
  launch(*lane, std::move(taken.frames), bucket);
  return true;
}

void Worker::launch(Lane& lane, std::vector<shm::HeldFrame> frames, std::uint32_t bucket) {
  using device::Range;
  using device::Stream;
  const std::string lane_tag = "[buf=" + std::to_string(lane.index) + "]";
  const Range whole("Worker" + std::to_string(options_.index) + "/Batch" + std::to_string(batches_++) + lane_tag,
                    frames.size());
  lane.frames = std::move(frames);
  lane.bucket = bucket;
  lane.events.clear();
  lane.places.clear();
  const std::size_t image_stride = aligned(queue_->geometry().image_bytes());
  const std::size_t mask_stride = aligned(queue_->geometry().mask_bytes());
  {
    const Range range("H2D" + lane_tag, lane.frames.size());
    for (std::size_t i = 0; i < lane.frames.size(); ++i) {
      lane.events.push_back(device_->upload(lane.frames[i].image(), lane.images->address() + i * image_stride));
      auto* place = reinterpret_cast<std::uint64_t*>(lane.masks->address() + i * mask_stride);
      lane.places.push_back(device_->result_place(lane.frames[i].mask(), place));
    }
    device_->record(lane.uploaded, Stream::upload);
  }

  device_->wait(Stream::compute, lane.uploaded);
  device_->compute([this, &lane, lane_tag, &kernels = device_->kernels()](void* stream) {
    const Range range("Compute" + lane_tag, lane.events.size());
    const std::int64_t begin = shm::monotonic_ns();
    const auto& layout = options_.layout;
    const auto count = static_cast<std::uint32_t>(lane.events.size());
    const auto input =
        kernels::contiguous(lane.input->address(), options_.element, std::int64_t{lane.bucket} * layout.panels, 1,
                            layout.padded_height, layout.padded_width);
    kernels.before(layout, lane.events.data(), count, input, stream);
    lane.outcome = model_->run(input, stream, [&](const kernels::TensorView& logits) {
      kernels.after(layout, logits, lane.places.data(), count, stream);
    });
    lane.busy_ns = shm::monotonic_ns() - begin;
  });
  device_->record(lane.computed, Stream::compute);

  device_->wait(Stream::download, lane.computed);
  {
    const Range range("D2H" + lane_tag, lane.frames.size());
    for (std::size_t i = 0; i < lane.frames.size(); ++i) device_->download(lane.places[i], lane.frames[i].mask());
    device_->record(lane.downloaded, Stream::download);
  }
  device_->on_done(lane.downloaded, Stream::download, [this] { wake_.notify(); });

  order_.push_back(&lane);
  auto& counters = record();
  counters.in_flight.store(in_flight_.load(), std::memory_order_relaxed);
  counters.padded_rows.fetch_add((bucket - lane.frames.size()) * options_.layout.panels, std::memory_order_relaxed);
  const auto index = static_cast<std::size_t>(std::lower_bound(plan_.buckets().begin(), plan_.buckets().end(), bucket) -
                                              plan_.buckets().begin());
  counters.batch_sizes[std::min(index, counters.batch_sizes.size() - 1)].fetch_add(1, std::memory_order_relaxed);
}

void Worker::sleep(bool ending, const std::stop_token& stop) {
  auto& ready = queue_->event();
  auto& gate_changed = gate_.changed();
  const std::array armed = {shm::EventCount::Armed{&wake_, wake_.prepare()},
                            shm::EventCount::Armed{&gate_changed, gate_changed.prepare()},
                            shm::EventCount::Armed{&ready, ready.prepare()}};
  // Look once more at everything that would have woken us before.
  if (stop.stop_requested() != ending) return;
  const Gate::Opening opening = gate_.read();
  const bool lane_free = free_lane() != nullptr;
  const bool frames_wait = !ending && opening.below != 0 && queue_->has_work(opening.below);
  if (!order_.empty() && device_->done(order_.front()->downloaded)) return;
  {
    const std::lock_guard hold(mutex_);
    if (!changes_.empty() && !changes_.front().applied) return;
  }
  std::chrono::nanoseconds at_most = shm::kWaitSlice;
  if (lane_free && frames_wait) {
    if (order_.empty() || waiting_since_ == std::chrono::steady_clock::time_point{}) return;
    const auto due = waiting_since_ + options_.max_delay - std::chrono::steady_clock::now();
    if (due <= std::chrono::nanoseconds(0) || queue_->waiting(opening.below) >= plan_.largest()) return;
    at_most = due;
  }
  const Waited why = opening.below == 0 ? Waited::stopped
                     : !lane_free       ? Waited::no_lane
                     : frames_wait      ? Waited::forming
                                        : Waited::no_frame;
  const std::int64_t begin = shm::monotonic_ns();
  // Frames that nobody may take now must not wake us: while the gate is shut only the other two events count.
  const std::size_t count = opening.below == 0 || !lane_free ? 2 : 3;
  const bool woken = shm::EventCount::wait_any(std::span(armed).first(count), at_most);
  record().waited_ns[static_cast<std::size_t>(why)].fetch_add(static_cast<std::uint64_t>(shm::monotonic_ns() - begin),
                                                              std::memory_order_relaxed);
  if (!woken && why == Waited::no_frame && ready.unchanged_since(armed[2].ticket) && queue_->has_work(opening.below)) {
    queue_->member().count(shm::Counter::late_wakes);
  }
}

}  // namespace peaknet::engine
