#include "daemon/engine/worker_loop.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <bit>
#include <iterator>
#include <numeric>
#include <utility>

#include "daemon/device/fault.hpp"
#include "daemon/device/marked_device.hpp"
#include "daemon/device/ranges.hpp"
#include "daemon/engine/bounded_wait.hpp"
#include "daemon/engine/cpu_list.hpp"
#include "daemon/engine/left_behind.hpp"
#include "daemon/engine/trial.hpp"
#include "shm/clock.hpp"

namespace peaknet::engine {
namespace {

constexpr int kWarmUps = 3;            // runs per bucket before `ready`: runtimes specialise during the first ones
constexpr int kTries = 4;              // of a batch that fails for a reason that may pass
constexpr std::uint32_t kDevices = 2;  // that a frame may take down

// Of so many waiting frames, those that go to a device. A few may be left over for the next batch.
std::uint32_t kept_of(std::uint32_t waiting, const Effort& effort) {
  return (waiting + effort.keep_one_of - 1) / effort.keep_one_of;
}

bool runs_with(const model::Model& model, std::uint32_t rows) {
  const auto& offered = model.info().rows;
  return offered.empty() || std::find(offered.begin(), offered.end(), rows) != offered.end();
}

bool lost_device(const Error& error) { return device::fault_of(error) == device::Fault::device; }

std::size_t aligned(std::size_t bytes) { return shm::Geometry::round_up(bytes, shm::kPage); }

}  // namespace

WorkerLoop::WorkerLoop(WorkerOptions options, DeviceMaker make_device, ModelMaker make_model, Gate& gate,
                       shm::EventCount& progress)
    : options_(std::move(options)),
      make_device_(std::move(make_device)),
      make_model_(std::move(make_model)),
      gate_(gate),
      progress_(progress),
      depth_(options_.depth),
      patience_(kPatienceInLoading),
      plan_(options_.batch, std::max(1U, options_.layout.panels)) {}

std::chrono::nanoseconds WorkerLoop::longest_call(const WorkerOptions& options) {
  return kPatienceInLoading * options.bound();
}

Error WorkerLoop::failure() const {
  const std::lock_guard hold(mutex_);
  return failure_;
}

model::ModelInfo WorkerLoop::model_info() const {
  const std::lock_guard hold(mutex_);
  return model_info_;
}

std::future<RebufferReceipt> WorkerLoop::rebuffer(std::uint32_t depth, std::uint32_t batch) {
  Change change{.depth = depth, .batch = batch, .done = {}, .receipt = {}};
  auto future = change.done.get_future();
  {
    const std::lock_guard hold(mutex_);
    if (closed_) return future;  // the promise breaks here
    changes_.push_back(std::move(change));
  }
  wake_.notify();
  return future;
}

shm::DeviceRecord& WorkerLoop::record() { return queue_->member().layout().devices[options_.index]; }

// Also before the worker is attached.
shm::DeviceRecord* WorkerLoop::shown() {
  if (queue_) return &record();
  const auto& directory = options_.mappings.directory;
  return directory ? &directory->layout().devices[options_.index] : nullptr;
}

void WorkerLoop::set_state(WorkerState state, const char* text) {
  if (auto* shown = this->shown()) shown->state.store(text);
  state_.store(state, std::memory_order_release);
  progress_.notify();
}

void WorkerLoop::lose(Error error) {
  if (state() == WorkerState::lost) return;  // a call of it was given up: the rest is a consequence
  spdlog::error("device {}: {}", options_.index, error.text());
  if (auto* shown = this->shown()) shown->error.store(error.text());
  if (queue_) queue_->member().note(error);
  {
    const std::lock_guard hold(mutex_);
    failure_ = error;
  }
  broken_ = std::move(error);
  close();
  set_state(WorkerState::lost, "lost");
}

// Breaks the promises: whoever waits learns that nobody will do it.
void WorkerLoop::close() {
  std::deque<ModelChange> offers;
  {
    const std::lock_guard hold(mutex_);
    closed_ = true;
    changes_.clear();
    offers.swap(model_changes_);
  }
  changing_.reset();
  const bool lost = !broken_.ok() && lost_device(broken_.error());
  for (auto& offer : offers) {
    if (lost) {
      leave_behind(std::shared_ptr<model::Model>(std::move(offer.offered)));
    } else if (offer.offered) {
      retired_.push_back(std::make_shared<model::RecordedModel>(std::move(offer.offered), nullptr));
    }
  }
}

void WorkerLoop::look_after(Clock::time_point now) {
  const auto standing = mark_->standing(now);
  if (standing && state() != WorkerState::lost && standing->time >= patience_.load() * options_.bound())
    give_up_call(*standing);
}

bool WorkerLoop::leave_behind_if_standing(Clock::time_point now) {
  const auto standing = mark_->standing(now);
  if (!standing || standing->time < options_.last_call) return false;
  if (state() != WorkerState::lost) give_up_call(*standing);
  return mark_->leave_behind();
}

void WorkerLoop::give_up_call(const device::CallMark::Standing& standing) {
  const Error why{"device.stuck",
                  options_.name + ": a call of the driver (" + standing.call + ") has not returned for " +
                      std::to_string(std::chrono::duration_cast<std::chrono::seconds>(standing.time).count()) + " s",
                  "its frames stay on it until then or until peaknetd ends; other devices go on",
                  "see nvidia-smi and dmesg (Xid); restart peaknetd"};
  mark_->give_up(why, [&] { lose(why); });
}

bool WorkerLoop::prepare() {
  mark_->adopt();
  if (auto opened = open(); !opened) {
    if (opened.error().id == kGivenUp && state() != WorkerState::lost) {
      set_state(WorkerState::ended, "ended");
      return false;
    }
    lose(opened.error());
    return false;
  }
  set_state(WorkerState::ready, "ready");
  return true;
}

Status WorkerLoop::open() {
  if (!options_.cpus.empty()) {
    if (auto stays = stay_on(options_.cpus); !stays) return stays;
  }
  if (auto* shown = this->shown()) {  // also without a device: which one is lost, and why
    shown->name.store(options_.name);
    shown->state.store("loading");
    shown->error.store("");
  }
  // The device first: the lock that says "alive" is then closed after the device's context when the process dies.
  auto device = [this] {
    const device::CallMark::Inside inside(*mark_, "making the device");
    return make_device_();
  }();
  if (device) device_ = std::make_unique<device::MarkedDevice>(std::move(*device), mark_);
  auto queue = shm::Consumer::attach(options_.instance, shm::Queue::q1, "device " + options_.name, options_.mappings);
  if (queue) {
    queue_ = std::move(*queue);
    options_.mappings = {};
    record().name.store(options_.name);
  }
  if (!device) return device.error();
  if (!queue) return queue.error();
  if (auto well = device_->health(); !well) return well;
  record().state.store("loading");
  record().error.store("");
  record().in_flight.store(0);
  record().depth.store(depth_.load());
  show_plan();
  show_shedding();
  if (auto adopted = device_->adopt_payload(queue_->member().pool().payload(), queue_->geometry().slot_stride());
      !adopted)
    return adopted;
  record().h2d_mode.store(device_->h2d_mode());
  if (const auto detour = device_->detour()) {
    spdlog::warn("device {}: {}", options_.index, detour->text());
    queue_->member().note(*detour);
  }
  if (auto placed = place_calibration(); !placed) return placed;
  if (auto reserved = reserve_lanes(); !reserved) return reserved;
  return load_first();
}

void WorkerLoop::show_plan() {
  record().batch.store(plan_.largest());
  for (std::size_t i = 0; i < record().buckets.size(); ++i) {
    record().buckets[i].store(i < plan_.buckets().size() ? plan_.buckets()[i] : 0);
  }
  record().rows_at_once.store(plan_.rows_at_once(plan_.largest()));
}

// All that rebuffer may ever want, so that it cannot fail for memory; with smaller buckets where the device has no room
// for what was configured.
Status WorkerLoop::reserve_lanes() {
  const auto& layout = options_.layout;
  for (;;) {
    const std::size_t row = std::size_t{layout.padded_height} * layout.padded_width *
                            static_cast<std::size_t>(kernels::size_of(options_.element));
    const std::size_t input_bytes = plan_.rows_of_lane() * row;
    const std::size_t image_bytes = plan_.largest() * aligned(queue_->geometry().image_bytes());
    const std::size_t mask_bytes = plan_.largest() * aligned(queue_->geometry().mask_bytes());
    Status outcome;
    const auto reserve = [&](std::unique_ptr<device::Memory>& memory, std::size_t bytes) {
      if (!outcome) return;
      auto reserved = device_->reserve(bytes);
      if (reserved) {
        memory = std::move(*reserved);
      } else {
        outcome = reserved.error();
      }
    };
    reserve(input_, input_bytes);
    for (std::uint32_t i = 0; i < kMaxDepth && outcome.ok(); ++i) {
      auto lane = std::make_unique<Lane>();
      lane->index = i;
      reserve(lane->images, image_bytes);
      reserve(lane->masks, mask_bytes);
      if (outcome) outcome = reserve_findings(*lane);
      lanes_.push_back(std::move(lane));
    }
    if (outcome.ok()) {
      // What no frame has filled is read all the same: input by warm-up and as padding, a mask where the network
      // failed.
      device_->clear(input_->address(), input_bytes);
      for (const auto& lane : lanes_) {
        device_->clear(lane->masks->address(), mask_bytes);
        lane->findings.clear(*device_);
      }
      break;
    }
    lanes_.clear();
    input_.reset();
    if (device::fault_of(outcome.error()) != device::Fault::memory || plan_.largest() == 1) return outcome;
    plan_.lower(plan_.rows_at_once(plan_.largest()));
    spdlog::warn("device {}: {}; the largest batch is now {}", options_.index, outcome.error().text(), plan_.largest());
    queue_->member().note(outcome.error());
    record().shrinks.fetch_add(1, std::memory_order_relaxed);
    show_plan();
  }
  for (auto& lane : lanes_) {
    lane->uploaded = device_->make_event();
    lane->begun = device_->make_event(true);
    lane->computed = device_->make_event(true);
    lane->downloaded = device_->make_event();
  }
  return {};
}

Status WorkerLoop::reserve_findings(Lane& lane) {
  auto findings = Findings::reserve(*device_, plan_.largest(), options_.layout.panels);
  if (!findings) return findings.error();
  lane.findings = std::move(*findings);
  return {};
}

Status WorkerLoop::place_calibration() {
  if (!options_.calibration) return {};
  const auto place = [&](const auto& values) -> Result<const std::byte*> {
    const auto bytes = std::as_bytes(std::span(values));
    if (bytes.empty()) return static_cast<const std::byte*>(nullptr);
    auto memory = device_->reserve(bytes.size());
    if (!memory) return memory.error();
    calibration_.push_back(std::move(*memory));
    const device::ImageRun run{bytes.data(), bytes.size(), bytes.size(), 1};
    return device_->upload(run, calibration_.back()->address(), bytes.size()).images.first;
  };
  const auto pedestal = place(options_.calibration->pedestal);
  if (!pedestal) return pedestal.error();
  const auto gain = place(options_.calibration->gain);
  if (!gain) return gain.error();
  const auto bad = place(options_.calibration->bad);
  if (!bad) return bad.error();
  options_.layout.calibration = {reinterpret_cast<const float*>(*pedestal), reinterpret_cast<const float*>(*gain),
                                 reinterpret_cast<const std::uint8_t*>(*bad)};
  return wait_for_device(kPatienceInWarmUp, "its calibration");
}

// Until the device has done everything, for `patience` times the longest batch. Errors: device.stuck; what the device
// has failed with; kGivenUp when the worker is to end meanwhile.
Status WorkerLoop::wait_for_device(int patience, const char* doing) {
  Status verdict;
  const WaitBound limit{.longest = patience * options_.bound(),
                        .untouched = "no frame was on it for that; other devices go on",
                        .goes_on =
                            [&] {
                              steps_.fetch_add(1, std::memory_order_relaxed);
                              verdict = mark_->verdict();
                              return verdict.ok() && !ending_.load();
                            },
                        .now = options_.now};
  auto reached =
      wait_bounded([this](auto slice) { return device_->idle_within(slice); }, options_.name + ": " + doing, limit);
  if (!verdict) return verdict;
  steps_.fetch_add(1, std::memory_order_relaxed);
  return reached ? device_->health() : reached;
}

Status WorkerLoop::load_first() {
  auto made = make_on_stream(make_model_);
  if (!made) return made.error();
  auto model = std::move(*made);
  set_state(WorkerState::warming, "warming");
  retired_.push_back(model);  // if it is refused it goes where it came from, on the compute stream
  auto proven = prove(model, plan_, true);
  if (!proven) return proven.error();
  retired_.clear();
  install({std::move(model), std::move(*proven)});
  return load_smaller();
}

Result<std::shared_ptr<model::RecordedModel>> WorkerLoop::make_on_stream(const ModelMaker& make) {
  struct Loaded {
    Status outcome;
    std::shared_ptr<model::RecordedModel> model;
  };
  const auto shared = std::make_shared<Loaded>();  // a device that is stuck may still come to it when nobody waits
  patience_.store(kPatienceInLoading);
  device_->compute([shared, make, graphs = device_->graphs()](void*) {
    auto loaded = make();
    if (loaded) {
      shared->model = std::make_shared<model::RecordedModel>(std::move(*loaded), graphs);
    } else {
      shared->outcome = loaded.error();
    }
  });
  if (auto reached = wait_for_device(kPatienceInLoading, "loading a model"); !reached) return reached.error();
  if (!shared->outcome) return shared->outcome.error();
  return std::move(shared->model);
}

// That of shedding: for the same batches.
Status WorkerLoop::load_smaller() {
  if (!options_.make_smaller_model) return {};
  auto made = make_on_stream(options_.make_smaller_model);
  if (!made) return made.error();
  retired_.push_back(*made);
  BatchPlan plan = plan_;
  const auto proven = prove(*made, plan, false);
  if (!proven) return proven.error();
  const auto& info = (*made)->info();
  if (plan.buckets() != plan_.buckets() || plan.rows_at_once(1) != plan_.rows_at_once(1)) {
    return Error{"model.bad-rows",
                 "shedding.model " + info.path + " runs with other numbers of rows than " + model_->info().path,
                 "nothing was started", "make both with the same models/export.py --batch"};
  }
  retired_.clear();
  smaller_model_ = std::move(*made);
  smaller_model_number_ = options_.enter_model ? options_.enter_model(info, *proven) : 0;
  spdlog::info("device {}: smaller model {} ({}), stored input: {}", options_.index, info.path, info.kind, *proven);
  return {};
}

// Its stored input, and every bucket, in the very way a batch runs, on the same memory: slow first calls, wrong
// shapes and wrong numbers show up here. The compute stream keeps it apart from batches in flight. With `may_shrink`
// what is too large for the device is not used. Returns what to tell of the stored input.
Result<std::string> WorkerLoop::prove(const std::shared_ptr<model::RecordedModel>& model, BatchPlan& plan,
                                      bool may_shrink) {
  const auto& layout = options_.layout;
  if (!plan.offer(model->info().rows)) {
    std::string rows;
    for (const auto count : model->info().rows) rows += (rows.empty() ? "" : ", ") + std::to_string(count);
    return Error{"model.bad-rows",
                 model->info().path + " runs with " + rows + " rows alone, and an event has " +
                     std::to_string(layout.panels) + " panels",
                 "it was not used", "make it with models/export.py for 1, 2, 4, ... times that many rows"};
  }
  patience_.store(kPatienceInWarmUp);
  const auto wait = [this] { return wait_for_device(kPatienceInWarmUp, "the run of a stored input"); };
  auto golden = try_golden(*device_, *model, options_.element, trial_, wait);
  if (!golden) return golden;
  const auto warm = [this] { return wait_for_device(kPatienceInWarmUp, "a run to warm up"); };
  const auto warm_up = WarmUp::prepare(*device_, layout);
  if (!warm_up) return warm_up.error();
  for (std::size_t i = 0; i < plan.buckets().size(); ++i) {
    const std::uint32_t rows = plan.rows_at_once(plan.buckets()[i]);
    const auto input =
        kernels::contiguous(input_->address(), options_.element, rows, 1, layout.padded_height, layout.padded_width);
    int tries = 0;
    for (int done = 0; done < kWarmUps;) {
      const Status outcome = warm_up->run(model, input, plan.buckets()[i], trial_, warm);
      if (outcome.ok()) {
        ++done;
        continue;
      }
      const auto fault = device::fault_of(outcome.error());
      if (fault == device::Fault::transient && ++tries < kTries) continue;
      if (fault != device::Fault::memory || !may_shrink || !plan.lower(rows)) return outcome.error();
      spdlog::warn("device {}: {}; the largest batch is now {} rows", options_.index, outcome.error().text(),
                   plan.rows_at_once(plan.largest()));
      queue_->member().note(outcome.error());
      record().shrinks.fetch_add(1, std::memory_order_relaxed);
      show_plan();
      if (!plan.split()) return golden;
      --i;  // one event in several passes: that shape is a new one
      break;
    }
    if (!plan.split() && model->records()) {
      if (auto recorded = record_runs(model, input, plan.buckets()[i]); !recorded) return recorded.error();
    }
  }
  return golden;
}

// Runs of this batch as a graph, if that gives the same bits. An error is one of the device.
Status WorkerLoop::record_runs(const std::shared_ptr<model::RecordedModel>& model, const kernels::TensorView& input,
                               std::uint32_t events) {
  const auto shared = std::make_shared<Status>();  // as in prove()
  device_->compute([shared, model, input](void* stream) { *shared = model->record(input, stream); });
  const auto wait = [this] { return wait_for_device(kPatienceInWarmUp, "the recording of a graph"); };
  if (auto reached = wait(); !reached) return reached;
  if (!shared->ok()) {
    spdlog::info("device {}: {}", options_.index, shared->error().text());
    return {};
  }
  return try_recorded(*device_, model, options_.layout, input, events, trial_, wait);
}

// From the next batch on.
void WorkerLoop::install(Candidate candidate) {
  if (model_) retired_.push_back(std::move(model_));
  model_ = std::move(candidate.model);
  const auto info = model_->info();
  model_number_ = options_.enter_model ? options_.enter_model(info, candidate.golden) : 0;
  record().graphs.store(model_->summary());
  spdlog::info("device {}: model {} ({}), stored input: {}", options_.index, info.path, info.kind, candidate.golden);
  const std::lock_guard hold(mutex_);
  model_info_ = info;
}

std::future<Status> WorkerLoop::offer(std::unique_ptr<model::Model> model) {
  ModelChange change;
  change.offered = std::move(model);
  return line_up(std::move(change));
}

std::future<Status> WorkerLoop::settle(bool take_over) {
  ModelChange change;
  change.take_over = take_over;
  return line_up(std::move(change));
}

// The promise of one that is not lined up is broken.
std::future<Status> WorkerLoop::line_up(ModelChange change) {
  auto future = change.done.get_future();
  {
    const std::lock_guard hold(mutex_);
    if (closed_) {
      if (lost_device(failure_)) leave_behind(std::shared_ptr<model::Model>(std::move(change.offered)));
      return future;
    }
    model_changes_.push_back(std::move(change));
  }
  wake_.notify();
  return future;
}

bool WorkerLoop::change_model() {
  {
    const std::lock_guard hold(mutex_);
    if (model_changes_.empty()) return false;
    changing_ = std::move(model_changes_.front());
    model_changes_.pop_front();
  }
  if (!changing_->offered) {
    answer_change(settle_now(changing_->take_over));
    return true;
  }
  const auto model = std::make_shared<model::RecordedModel>(std::move(changing_->offered), device_->graphs());
  retired_.push_back(model);  // wherever this ends, it goes away on the compute stream
  BatchPlan plan = plan_;
  plan.limit(options_.batch);
  auto proven = prove(model, plan, false);
  if (proven) {
    if (candidate_) candidate_.reset();
    candidate_ = Candidate{model, std::move(*proven)};
    answer_change({});
  } else {
    if (lost_device(proven.error())) broken_ = proven.error();
    answer_change(proven.error());
  }
  return true;
}

// It may have been answered by the loss of the device.
void WorkerLoop::answer_change(Status outcome) {
  if (auto change = std::exchange(changing_, std::nullopt)) change->done.set_value(std::move(outcome));
}

Status WorkerLoop::settle_now(bool take_over) {
  if (!take_over) {
    candidate_.reset();
    return {};
  }
  if (!candidate_) return Error{"model.not-offered", "no model waits to take over", "the model stays", ""};
  plan_.offer(candidate_->model->info().rows);
  show_plan();
  install(std::move(*candidate_));
  candidate_.reset();
  return {};
}

// Models that nobody needs any more go where they lived.
void WorkerLoop::retire() {
  std::erase_if(retired_, [this](std::shared_ptr<model::RecordedModel>& model) {
    if (model.use_count() > 1) return false;
    device_->compute([gone = std::move(model)](void*) mutable { gone.reset(); });
    return true;
  });
}

WorkerLoop::Turn WorkerLoop::turn(bool ending) {
  steps_.fetch_add(1, std::memory_order_relaxed);
  // A process that was stopped for an hour must not say that its device did nothing for so long.
  const auto now = options_.now();
  stalled_ += std::min<Clock::duration>(now - std::exchange(looked_, now), kLongestLook);
  bool moved = reap();
  look_at_backlog();
  if (broken_.ok()) moved |= apply_changes();
  if (broken_.ok()) moved |= change_model();
  if (broken_.ok()) retire();
  if (broken_.ok()) moved |= dispatch(ending);
  if (broken_.ok()) broken_ = device_->health();
  const bool bounded = options_.stuck_after.count() > 0 || ending;
  if (broken_.ok() && !order_.empty() && bounded && stalled_ >= options_.bound()) {
    broken_ =
        Error{"device.stuck",
              options_.name + ": a batch of " + std::to_string(order_.front()->parcel.frames.size()) +
                  " frames is not done after " +
                  std::to_string(std::chrono::duration_cast<std::chrono::seconds>(options_.bound()).count()) + " s",
              "its frames go back to Q1 when the device lets go of them, at the latest when peaknetd ends",
              "see nvidia-smi and dmesg (Xid); a larger engine.stuck_seconds if the model is that slow"};
  }
  if (!broken_.ok()) {
    lose(broken_.error());
    return Turn::over;
  }
  if (ending && order_.empty() && again_.empty()) {
    set_state(WorkerState::ended, "ended");
    return Turn::over;
  }
  return moved ? Turn::moved : Turn::still;
}

bool WorkerLoop::reap() {
  bool any = false;
  while (broken_.ok() && !order_.empty() && device_->done(order_.front()->downloaded)) {
    // After a fault events may look done with nothing behind them: ask after the event was seen, before it is believed.
    if (broken_ = device_->health(); !broken_.ok()) break;
    Lane& lane = *order_.front();
    if (!lane.outcome.ok() && device::fault_of(lane.outcome.error()) == device::Fault::device) {
      broken_ = lane.outcome;
      break;
    }
    order_.pop_front();
    stalled_ = {};
    finish(lane);
    any = true;
  }
  if (any && order_.empty() && again_.empty()) progress_.notify();
  return any;
}

void WorkerLoop::finish(Lane& lane) {
  auto& counters = record();
  const auto busy = lane.busy ? lane.busy : device_->elapsed(lane.begun, lane.computed);
  if (busy) counters.busy_ns.fetch_add(static_cast<std::uint64_t>(busy->count()), std::memory_order_relaxed);
  Parcel parcel = std::exchange(lane.parcel, {});
  const auto model = std::exchange(lane.model, nullptr);
  if (lane.outcome.ok()) {
    publish_results(lane, parcel, model->info().path);
  } else {
    const Error why = std::exchange(lane.outcome, {}).error();
    if (device::fault_of(why) == device::Fault::memory) {
      const std::uint32_t before = plan_.rows_at_once(plan_.largest());
      if (!plan_.lower(lane.rows)) broken_ = why;
      if (const auto after = plan_.rows_at_once(plan_.largest()); after != before) {
        counters.shrinks.fetch_add(1, std::memory_order_relaxed);
        show_plan();
        spdlog::warn("device {}: {}; {} rows at once are the most from now on, not {}", options_.index, why.text(),
                     after, before);
        queue_->member().note(why);
      }
    }
    take_up_again(std::move(parcel), why);
  }
  counters.in_flight.store(in_flight_.load(), std::memory_order_relaxed);
}

void WorkerLoop::publish_results(const Lane& lane, Parcel& parcel, const std::string& model) {
  auto& counters = record();
  std::uint32_t good = 0;
  for (std::size_t i = 0; i < parcel.frames.size(); ++i) {
    auto& frame = parcel.frames[i];
    if (lane.findings.not_finite(i)) {
      fail(std::move(frame), not_finite(model + " gives logits that are NaN or infinite",
                                        "the frame is counted as failed{model}; others of its batch are not touched"));
      continue;
    }
    ++good;
    if (auto published = frame.publish(shm::ResultStatus::mask, lane.model_number); !published)
      spdlog::error("{}", published.error().text());
  }
  counters.frames.fetch_add(good, std::memory_order_relaxed);
  counters.batches.fetch_add(1, std::memory_order_relaxed);
  in_flight_.fetch_sub(good, std::memory_order_release);
  if (const std::uint64_t odd = lane.findings.odd_pixels(); odd > 0)
    queue_->member().count(shm::Counter::pixels_not_finite, odd);
}

// An error result, for a frame that the network cannot take.
void WorkerLoop::fail(shm::HeldFrame frame, Error why) {
  why.what = frame.descriptor().frame_name() + ": " + why.what;
  queue_->member().note(why);
  const std::uint64_t errors = record().model_errors.fetch_add(1, std::memory_order_relaxed) + 1;
  if (std::has_single_bit(errors))  // the 1st, 2nd, 4th, ...: a broken model must not fill the log
    spdlog::error("{} (failure {} of this device)", why.text(), errors);
  publish_error(std::move(frame));
}

// What becomes of frames whose batch failed.
void WorkerLoop::take_up_again(Parcel parcel, const Error& why) {
  auto& counters = record();
  const auto fault = device::fault_of(why);
  const bool whole = fault != device::Fault::frame && (fault != device::Fault::transient || ++parcel.tries < kTries);
  if (!whole && parcel.frames.size() == 1) {
    fail(std::move(parcel.frames.front()), why);
    return;
  }
  counters.retried.fetch_add(parcel.frames.size(), std::memory_order_relaxed);
  if (whole) {
    again_.push_front(std::move(parcel));
    return;
  }
  for (auto& frame : parcel.frames) {  // one of them may have spoilt the batch of all
    Parcel single{.frames = {}, .alone = parcel.alone};
    single.frames.push_back(std::move(frame));
    again_.push_back(std::move(single));
  }
}

// Of the frames that are to be tried again, what goes into the next batch.
Parcel WorkerLoop::next_again() {
  Parcel& first = again_.front();
  Parcel parcel{.frames = {}, .tries = first.tries, .alone = first.alone};
  const std::size_t count = std::min<std::size_t>(first.frames.size(), plan_.largest());  // may have become smaller
  const auto end = first.frames.begin() + static_cast<std::ptrdiff_t>(count);
  parcel.frames.assign(std::move_iterator(first.frames.begin()), std::move_iterator(end));
  first.frames.erase(first.frames.begin(), end);
  if (first.frames.empty()) again_.pop_front();
  return parcel;
}

void WorkerLoop::publish_error(shm::HeldFrame frame) {
  if (auto published = frame.publish(shm::ResultStatus::error); !published)
    spdlog::error("{}", published.error().text());
  in_flight_.fetch_sub(1, std::memory_order_release);
}

bool WorkerLoop::apply_changes() {
  bool any = false;
  const std::lock_guard hold(mutex_);
  while (!changes_.empty()) {
    Change& change = changes_.front();
    if (!change.applied) {
      const std::uint32_t batch = plan_.largest();
      if (change.batch != 0) plan_.limit(change.batch);
      change.receipt = {depth_.load(), change.depth, batch, plan_.largest(), in_flight_.load()};
      if (depth_.exchange(change.depth) != change.depth || plan_.largest() != batch) {
        record().depth.store(change.depth);
        show_plan();
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

Lane* WorkerLoop::free_lane() {
  if (!order_.empty() && order_.back()->parcel.alone) return nullptr;  // whatever happens now, that frame did it
  const auto end = lanes_.begin() + depth_.load(std::memory_order_relaxed);
  const auto found = std::find_if(lanes_.begin(), end, [](const auto& lane) { return !lane->in_flight(); });
  return found == end ? nullptr : found->get();
}

bool WorkerLoop::holds_the_device(const Parcel& parcel) const { return !parcel.alone || order_.empty(); }

void WorkerLoop::look_at_backlog() {
  if (!options_.shedding) return;
  const Gate::Opening opening = gate_.read();
  // Frames that nobody may take are no load.
  const std::uint32_t waiting = opening.below == 0 ? 0 : queue_->waiting(opening.below);
  const auto states = queue_->member().pool().count_states();
  const auto in = [&](shm::SlotState state) { return states[static_cast<std::size_t>(state)]; };
  const auto step =
      options_.shedding->look(options_.now(), waiting, in(shm::SlotState::free) + in(shm::SlotState::filling));
  if (!step) return;
  const bool climbs = step->to > step->from;
  const std::string effort = describe(step->effort);
  auto& shown = queue_->member().layout().shedding;
  (climbs ? shown.climbs : shown.descents).fetch_add(1, std::memory_order_relaxed);
  show_shedding();
  const Error event{climbs ? "shedding.up" : "shedding.down",
                    "rung " + std::to_string(step->from) + " -> " + std::to_string(step->to) + ", backlog " +
                        std::to_string(static_cast<int>(100 * step->backlog)) + " %: " + effort,
                    "skipped frames are named in the writer's frame book and counted as dropped{shed}",
                    climbs ? "fewer frames, more devices, or a smaller model" : ""};
  spdlog::warn("{}", event.text());
  queue_->member().note(event);
  gate_.changed().notify();  // the others may start what they were waiting with
}

void WorkerLoop::show_shedding() {
  auto& shown = queue_->member().layout().shedding;
  shown.rungs.store(options_.shedding ? options_.shedding->rungs() : 0);
  shown.rung.store(options_.shedding ? options_.shedding->rung() : 0);
  shown.keep_one_of.store(effort().keep_one_of);
  shown.effort.store(options_.shedding ? describe(effort()) : "");
  shown.since_ns.store(shm::realtime_ns());
}

bool WorkerLoop::dispatch(bool ending) {
  Lane* lane = free_lane();
  if (lane == nullptr) return false;
  if (!again_.empty()) {
    if (!holds_the_device(again_.front())) return false;
    launch(*lane, next_again());
    return true;
  }
  if (ending) return false;
  const Gate::Opening opening = gate_.read();
  const std::uint32_t waiting = opening.below == 0 ? 0 : queue_->waiting(opening.below);
  const auto now = options_.now();
  if (waiting == 0) {
    waiting_since_ = {};
    return false;
  }
  if (waiting_since_ == Clock::time_point{}) waiting_since_ = now;
  const Effort effort = this->effort();
  const std::uint32_t kept = kept_of(waiting, effort);
  const bool full = kept >= plan_.largest();
  const bool device_idle = order_.empty();
  const bool late = now - waiting_since_ >= longest_wait(effort);
  if (!full && !device_idle && !late) return false;

  const std::uint64_t wanted = std::uint64_t{plan_.choose(kept).frames} * effort.keep_one_of;
  auto taken =
      gate_.pass([&](const Gate::Opening& current) { return queue_->take(wanted, current.below, current.run); });
  for (const Error& refused : taken.refused) {
    spdlog::error("{}", refused.text());
    queue_->member().note(refused);
  }
  waiting_since_ = {};
  if (taken.frames.empty()) return !taken.refused.empty();
  if (effort.keep_one_of > 1) skip_some(taken.frames, effort.keep_one_of);
  in_flight_.fetch_add(static_cast<std::uint32_t>(taken.frames.size()), std::memory_order_release);
  if (!taken.frames.empty()) sort_out(std::move(taken.frames), *lane);
  if (order_.empty() && again_.empty()) progress_.notify();  // nothing is under way, whoever waits for that
  return true;
}

// Suspects are neither skipped nor counted: they have waited long enough.
void WorkerLoop::skip_some(std::vector<shm::HeldFrame>& frames, std::uint32_t keep_one_of) {
  const auto fresh = [](const shm::HeldFrame& frame) { return frame.attempts() == 0; };
  const auto count = static_cast<std::uint32_t>(std::count_if(frames.begin(), frames.end(), fresh));
  std::uint32_t next = options_.shedding->skip_first(count, keep_one_of);
  std::vector<shm::HeldFrame> kept;
  std::uint64_t skipped = 0;
  for (auto& frame : frames) {
    if (!fresh(frame) || next == 0) {
      if (fresh(frame)) next = keep_one_of - 1;
      kept.push_back(std::move(frame));
      continue;
    }
    --next;
    ++skipped;
    if (auto published = frame.publish(shm::ResultStatus::skipped); !published)
      spdlog::error("{}", published.error().text());
  }
  record().skipped.fetch_add(skipped, std::memory_order_relaxed);
  frames = std::move(kept);
}

// Frames that are suspect wait until they can have the device for themselves; the others go.
void WorkerLoop::sort_out(std::vector<shm::HeldFrame> taken, Lane& lane) {
  Parcel good;
  for (auto& frame : taken) {
    if (frame.attempts() == 0) {
      good.frames.push_back(std::move(frame));
      continue;
    }
    Parcel suspect{.frames = {}, .alone = true};
    suspect.frames.push_back(std::move(frame));
    again_.push_back(std::move(suspect));
  }
  if (!good.frames.empty()) launch(lane, std::move(good));
}

void WorkerLoop::launch(Lane& lane, Parcel parcel) {
  using device::Range;
  using device::Stream;
  const std::string lane_tag = "[buf=" + std::to_string(lane.index) + "]";
  const Range whole("Worker" + std::to_string(options_.index) + "/Batch" + std::to_string(batches_++) + lane_tag,
                    parcel.frames.size());
  lane.parcel = std::move(parcel);
  const auto& frames = lane.parcel.frames;
  // Another device may have taken some of them: the bucket follows what we really got.
  lane.bucket = plan_.bucket_for(static_cast<std::uint32_t>(frames.size()));
  lane.rows = plan_.rows_at_once(lane.bucket);
  lane.passes = plan_.split() ? plan_.passes() : 1;
  const bool smaller = smaller_model_ && effort().smaller_model && runs_with(*smaller_model_, lane.rows);
  lane.model = smaller ? smaller_model_ : model_;
  lane.model_number = smaller ? smaller_model_number_ : model_number_;
  lane.events.assign(frames.size(), nullptr);
  lane.places.clear();
  lane.parts.clear();
  const std::size_t image_stride = aligned(queue_->geometry().image_bytes());
  const std::size_t mask_stride = aligned(queue_->geometry().mask_bytes());
  {
    const Range range("H2D" + lane_tag, frames.size());
    upload(lane, image_stride);
    for (std::size_t i = 0; i < frames.size(); ++i) {
      auto* place = reinterpret_cast<std::uint64_t*>(lane.masks->address() + i * mask_stride);
      lane.places.push_back(device_->result_place(frames[i].mask(), place));
    }
    device_->record(lane.uploaded, Stream::upload);
  }
  lane.findings.begin(*device_, static_cast<std::uint32_t>(frames.size()), lane.passes);
  if (lane.passes > 1) {
    const auto& layout = options_.layout;
    const std::uint64_t pass = layout.words_per_row() * layout.height * lane.rows;
    for (std::uint32_t i = 0; i < lane.passes; ++i) lane.parts.push_back(lane.places.front() + i * pass);
  }

  device_->wait(Stream::compute, lane.uploaded);
  device_->record(lane.begun, Stream::compute);
  device_->compute([this, &lane, lane_tag](void* stream) {
    const Range range("Compute" + lane_tag, lane.events.size());
    const std::int64_t begin = shm::monotonic_ns();
    compute(lane, stream);
    lane.busy.reset();  // a GPU has only been told what to do
    if (stream == nullptr) lane.busy = std::chrono::nanoseconds(shm::monotonic_ns() - begin);
  });
  device_->record(lane.computed, Stream::compute);

  device_->wait(Stream::download, lane.computed);
  {
    const Range range("D2H" + lane_tag, frames.size());
    for (std::size_t i = 0; i < frames.size(); ++i) device_->download(lane.places[i], frames[i].mask());
    lane.findings.download(*device_);
    device_->record(lane.downloaded, Stream::download);
  }
  device_->on_done(lane.downloaded, Stream::download, [this] { wake_.notify(); });

  if (order_.empty()) stalled_ = {};
  order_.push_back(&lane);
  count_launch(lane);
}

// One transfer for each run of neighbouring slots. The order of the frames is what it was; only where their images lie
// in the lane follows the slots.
void WorkerLoop::upload(Lane& lane, std::size_t lane_stride) {
  const auto& frames = lane.parcel.frames;
  const std::size_t slot_stride = queue_->geometry().slot_stride();
  std::vector<std::size_t> by_slot(frames.size());
  std::iota(by_slot.begin(), by_slot.end(), 0U);
  std::sort(by_slot.begin(), by_slot.end(), [&](auto a, auto b) { return frames[a].slot() < frames[b].slot(); });
  std::uint64_t transfers = 0;
  for (std::size_t begin = 0; begin < by_slot.size();) {
    std::size_t end = begin + 1;
    while (end < by_slot.size() && frames[by_slot[end]].slot() == frames[by_slot[end - 1]].slot() + 1) ++end;
    const auto image = frames[by_slot[begin]].image();
    const auto uploaded =
        device_->upload({image.data(), image.size(), slot_stride, static_cast<std::uint32_t>(end - begin)},
                        lane.images->address() + begin * lane_stride, lane_stride);
    for (std::size_t i = begin; i < end; ++i)
      lane.events[by_slot[i]] = uploaded.images.image(static_cast<std::uint32_t>(i - begin));
    transfers += uploaded.transfers;
    begin = end;
  }
  record().transfers.fetch_add(transfers, std::memory_order_relaxed);
}

// On the compute stream: counts -> network -> bits, for the whole batch, or pass by pass for an event that is split.
void WorkerLoop::compute(Lane& lane, void* stream) {
  const auto& layout = options_.layout;
  auto& kernels = device_->kernels();
  const auto count = static_cast<std::uint32_t>(lane.events.size());
  const auto rows_at = [&](std::uint32_t first, std::uint32_t rows) {
    auto view =
        kernels::contiguous(input_->address(), options_.element, rows, 1, layout.padded_height, layout.padded_width);
    view.data = input_->address() + std::size_t{first} * static_cast<std::size_t>(view.strides[0]) *
                                        static_cast<std::size_t>(kernels::size_of(view.element));
    return view;
  };
  kernels.before(layout, lane.events.data(), count, rows_at(0, lane.passes * lane.rows),
                 lane.findings.odd_pixels_of_events(), stream);
  if (lane.passes == 1) {
    lane.outcome = lane.model->run(rows_at(0, lane.rows), stream, [&](const kernels::TensorView& logits) {
      kernels.after(layout, logits, lane.places.data(), lane.findings.not_finite_of_events(), count, stream);
    });
    return;
  }
  lane.outcome = {};
  for (std::uint32_t pass = 0; pass < lane.passes && lane.outcome.ok(); ++pass) {
    auto part = layout;
    part.panels = std::min(lane.rows, layout.panels - pass * lane.rows);
    lane.outcome =
        lane.model->run(rows_at(pass * lane.rows, lane.rows), stream, [&](const kernels::TensorView& logits) {
          kernels.after(part, logits, &lane.parts[pass], lane.findings.not_finite_of_pass(pass), 1, stream);
        });
  }
}

void WorkerLoop::count_launch(const Lane& lane) {
  auto& counters = record();
  const auto rows = lane.parcel.frames.size() * options_.layout.panels;
  counters.in_flight.store(in_flight_.load(), std::memory_order_relaxed);
  counters.padded_rows.fetch_add(std::uint64_t{lane.passes} * lane.rows - rows, std::memory_order_relaxed);
  if (lane.passes > 1) counters.split.fetch_add(1, std::memory_order_relaxed);
  const auto index = static_cast<std::size_t>(
      std::lower_bound(plan_.buckets().begin(), plan_.buckets().end(), lane.bucket) - plan_.buckets().begin());
  counters.batch_sizes[std::min(index, counters.batch_sizes.size() - 1)].fetch_add(1, std::memory_order_relaxed);
}

std::optional<WorkerLoop::Nap> WorkerLoop::nap(bool ending) {
  auto& ready = queue_->event();
  auto& gate_changed = gate_.changed();
  Nap nap{
      {shm::EventCount::Armed{&wake_, wake_.prepare()}, shm::EventCount::Armed{&gate_changed, gate_changed.prepare()},
       shm::EventCount::Armed{&ready, ready.prepare()}},
      0,
      std::nullopt,
      Waited::no_frame};
  // Look once more at everything that would have woken us before.
  const Gate::Opening opening = gate_.read();
  const Lane* lane = free_lane();
  const bool frames_wait = !ending && opening.below != 0 && queue_->has_work(opening.below);
  if (!order_.empty() && device_->done(order_.front()->downloaded)) return std::nullopt;
  {
    const std::lock_guard hold(mutex_);
    if (!changes_.empty() && !changes_.front().applied) return std::nullopt;
    if (!model_changes_.empty()) return std::nullopt;
  }
  if (lane != nullptr && !again_.empty() && holds_the_device(again_.front())) return std::nullopt;
  if (!order_.empty() && options_.stuck_after.count() > 0)
    nap.due = looked_ + std::min<Clock::duration>(options_.stuck_after - stalled_, kLongestLook);
  const bool may_take = lane != nullptr && again_.empty() && !ending;
  if (may_take && frames_wait) {
    if (order_.empty() || waiting_since_ == Clock::time_point{}) return std::nullopt;
    const auto due = waiting_since_ + longest_wait(effort());
    if (due <= options_.now() || kept_of(queue_->waiting(opening.below), effort()) >= plan_.largest())
      return std::nullopt;
    nap.due = nap.due ? std::min(*nap.due, due) : due;
  }
  if (opening.below == 0) {
    nap.why = Waited::stopped;
  } else if (lane == nullptr) {
    nap.why = Waited::no_lane;
  } else if (frames_wait) {
    nap.why = Waited::forming;
  } else {
    // Nothing waits, and nothing can come: every slot holds a result that no writer has finished with.
    const auto states = queue_->member().pool().count_states();
    const auto in = [&](shm::SlotState state) { return states[static_cast<std::size_t>(state)]; };
    const bool room = in(shm::SlotState::free) + in(shm::SlotState::filling) > 0;
    if (!room && in(shm::SlotState::done) + in(shm::SlotState::writing) > 0) nap.why = Waited::writer_behind;
  }
  // Frames that nobody may take now must not wake us: while the gate is shut only the other two events count.
  nap.count = opening.below != 0 && may_take ? 3 : 2;
  return nap;
}

void WorkerLoop::slept(const Nap& nap, bool woken, std::chrono::nanoseconds span) {
  record().waited_ns[static_cast<std::size_t>(nap.why)].fetch_add(static_cast<std::uint64_t>(span.count()),
                                                                  std::memory_order_relaxed);
  if (woken || nap.count < 3 || (nap.why != Waited::no_frame && nap.why != Waited::writer_behind)) return;
  const auto& ready = nap.events[2];
  if (ready.event->unchanged_since(ready.ticket) && queue_->has_work(gate_.read().below))
    queue_->member().count(shm::Counter::late_wakes);
}

bool WorkerLoop::let_go(std::chrono::nanoseconds at_most) {
  close();
  again_.clear();  // they are not on the device
  if (device_) {
    if (!device_->let_go(at_most)) return false;
    for (auto& lane : lanes_) lane->model.reset();
    if (!broken_.ok() && lost_device(broken_.error())) {
      leave_models();
    } else {
      device_->compute([this](void*) { forget_models(); });  // where they lived
    }
    device_.reset();
    forget_models();
  }
  // Nothing touches the slots any more.
  empty_lanes();
  lanes_.clear();
  input_.reset();
  trial_.reset();
  calibration_.clear();
  in_flight_.store(0, std::memory_order_release);
  if (queue_) record().in_flight.store(0);
  queue_.reset();
  progress_.notify();
  return true;
}

// Models of a lost device are never destroyed: what frees their memory there may throw in a destructor (AOTInductor's
// containers do), and would end the process and the devices that go on. They stay until the process ends.
void WorkerLoop::leave_models() {
  for (auto* model : {&model_, &smaller_model_}) leave_behind(std::move(*model));
  for (auto& model : retired_) leave_behind(std::move(model));
  if (candidate_) leave_behind(std::move(candidate_->model));
}

void WorkerLoop::forget_models() {
  candidate_.reset();
  retired_.clear();
  smaller_model_.reset();
  model_.reset();
}

// Frames that were on a device when it was lost. Any of them may have done it.
void WorkerLoop::empty_lanes() {
  const bool theirs = !broken_.ok() && lost_device(broken_.error());
  for (Lane* lane : std::exchange(order_, {})) {
    for (auto& frame : std::exchange(lane->parcel, {}).frames) {
      if (!theirs) continue;  // goes back as it came
      if (frame.attempts() + 1 < kDevices) {
        frame.give_back_suspect();
        continue;
      }
      spdlog::error("{} was on {} devices that failed, the last time alone: it becomes an error result",
                    frame.descriptor().frame_name(), kDevices);
      queue_->member().note(
          {"frame.quarantined",
           frame.descriptor().frame_name() + " was on " + std::to_string(kDevices) + " devices when they failed",
           "it is counted as failed and not tried again", "look at the frame, and at the model"});
      record().quarantined.fetch_add(1, std::memory_order_relaxed);
      publish_error(std::move(frame));
    }
  }
}

}  // namespace peaknet::engine
