#include "daemon/engine/worker_loop.hpp"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/log_line.hpp"
#include "daemon/device/fault.hpp"
#include "daemon/device/marked_device.hpp"
#include "daemon/engine/bounded_wait.hpp"
#include "daemon/engine/cpu_list.hpp"

namespace peaknet::engine {
namespace {

bool is_of_device(const Error& error) { return device::fault_of(error) == device::Fault::device; }

}  // namespace

WorkerLoop::WorkerLoop(WorkerOptions options, DeviceMaker make_device, ModelMaker make_model, Gate& gate,
                       shm::EventCount& progress)
    : options_(std::move(options)),
      make_device_(std::move(make_device)),
      make_model_(std::move(make_model)),
      gate_(gate),
      progress_(progress),
      requests_(wake_, progress),
      watch_(options_),
      plan_(options_.batch, std::max(1U, options_.layout.panels)),
      report_(options_.index, options_.mappings.control_segment),
      publisher_(report_),
      shedding_(options_, report_, gate),
      models_(options_, plan_, watch_, report_),
      lanes_(options_.depth) {}

std::chrono::nanoseconds WorkerLoop::longest_call(const WorkerOptions& options) {
  return kPatienceInLoading * options.bound();
}

Error WorkerLoop::failure() const {
  const std::lock_guard hold(mutex_);
  return failure_;
}

void WorkerLoop::set_state(WorkerState state, const char* text) {
  if (auto* shown = report_.shown()) shown->state.store(text);
  state_.store(state, std::memory_order_release);
  progress_.notify();
}

// --- the end of a device ---

bool WorkerLoop::device_lost() const { return !broken_.ok() && is_of_device(broken_.error()); }

void WorkerLoop::fail(Error error) {
  if (state() == WorkerState::lost) return;  // a call of it was given up: the rest is a consequence
  report_.lost(error);
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
  for (auto& model : requests_.close(device_lost())) models_.discard(std::move(model));
}

void WorkerLoop::look_after(Clock::time_point now) {
  const auto standing = watch_.standing(now);
  if (standing && state() != WorkerState::lost && watch_.overdue(*standing)) give_up_call(*standing);
}

bool WorkerLoop::leave_behind_if_standing(Clock::time_point now) {
  const auto standing = watch_.standing(now);
  if (!standing || !watch_.overdue_at_the_end(*standing)) return false;
  if (state() != WorkerState::lost) give_up_call(*standing);
  return watch_.leave_behind();
}

void WorkerLoop::give_up_call(const DeviceWatch::Standing& standing) {
  watch_.give_up(standing, [this](const Error& why) { fail(why); });
}

// --- the beginning ---

bool WorkerLoop::prepare() {
  watch_.mark()->adopt();
  if (auto opened = open(); !opened) {
    if (opened.error().id == kGivenUp && state() != WorkerState::lost) {
      set_state(WorkerState::ended, "ended");
      return false;
    }
    fail(opened.error());
    return false;
  }
  set_state(WorkerState::ready, "ready");
  return true;
}

Status WorkerLoop::open() {
  if (auto attached = attach(); !attached) return attached;
  if (auto well = device_->health(); !well) return well;
  record().state.store("loading");
  record().error.store("");
  record().in_flight.store(0);
  record().depth.store(depth());
  report_.publish_plan(plan_);
  shedding_.show(*queue_);
  if (auto adopted = device_->adopt_payload(queue_->participant().pool().payload(), queue_->geometry().slot_stride());
      !adopted)
    return adopted;
  record().h2d_mode.store(device_->h2d_mode());
  if (const auto detour = device_->detour()) {
    log::warn("device {}: {}", options_.index, detour->text());
    report_.record_error(*detour);
  }
  if (options_.calibration) {
    auto placed = calibration_.place(*device_, *options_.calibration);
    if (!placed) return placed.error();
    options_.layout.calibration = *placed;
    if (auto reached = watch_.wait_until_idle(*device_, kPatienceInWarmUp, "its calibration"); !reached) return reached;
  }
  if (auto reserved = lanes_.reserve(*device_, options_, queue_->geometry(), plan_, report_); !reserved)
    return reserved;
  runner_.emplace(options_, *device_, *queue_, lanes_, report_, wake_);
  return load_models();
}

// Make the device and become a participant. The device first: the lock that says "alive" is then closed after the
// device's context when the process dies.
Status WorkerLoop::attach() {
  if (!options_.cpus.empty()) {
    if (auto stays = stay_on(options_.cpus); !stays) return stays;
  }
  if (auto* shown = report_.shown()) {  // also without a device: which one is lost, and why
    shown->name.store(options_.name);
    shown->state.store("loading");
    shown->error.store("");
  }
  auto device = [this] {
    const device::CallMark::Inside inside(*watch_.mark(), "making the device");
    return make_device_();
  }();
  if (device) device_ = std::make_unique<device::MarkedDevice>(std::move(*device), watch_.mark());
  auto queue = shm::Consumer::attach(options_.instance, shm::Queue::q1, "device " + options_.name, options_.mappings);
  if (queue) {
    queue_ = std::move(*queue);
    report_.attach(queue_->participant());
    options_.mappings = {};
    record().name.store(options_.name);
  }
  if (!device) return device.error();
  if (!queue) return queue.error();
  return {};
}

Status WorkerLoop::load_models() {
  auto made = models_.make(*device_, make_model_);
  if (!made) return made.error();
  set_state(WorkerState::warming, "warming");
  if (auto works = models_.begin_with(*device_, lanes_.input(), std::move(*made)); !works) return works;
  return models_.load_smaller(*device_, lanes_.input());
}

// --- a turn ---

WorkerLoop::Turn WorkerLoop::turn(bool ending) {
  watch_.step();
  // A process that was stopped for an hour must not say that its device did nothing for so long.
  const auto now = options_.now();
  stalled_ += std::min<Clock::duration>(now - std::exchange(looked_, now), kLongestLook);
  bool moved = reap();
  shedding_.look(*queue_);
  if (broken_.ok()) moved |= apply_changes();
  if (broken_.ok()) moved |= change_model();
  if (broken_.ok()) models_.retire(*device_);
  if (broken_.ok()) moved |= dispatch(ending);
  if (broken_.ok()) broken_ = device_->health();
  if (broken_.ok()) find_stuck_batch(ending);
  if (!broken_.ok()) {
    fail(broken_.error());
    return Turn::over;
  }
  if (ending && lanes_.idle() && retry_queue_.empty()) {
    set_state(WorkerState::ended, "ended");
    return Turn::over;
  }
  return moved ? Turn::moved : Turn::still;
}

void WorkerLoop::find_stuck_batch(bool ending) {
  const bool bounded = options_.stuck_after.count() > 0 || ending;
  if (lanes_.idle() || !bounded || stalled_ < options_.bound()) return;
  broken_ = Error{"device.stuck",
                  options_.name + ": a batch of " + std::to_string(lanes_.oldest().batch.frames.size()) +
                      " frames is not done after " +
                      std::to_string(std::chrono::duration_cast<std::chrono::seconds>(options_.bound()).count()) + " s",
                  "its frames go back to Q1 when the device lets go of them, at the latest when peaknetd ends",
                  "see nvidia-smi and dmesg (Xid); a larger engine.stuck_seconds if the model is that slow"};
}

bool WorkerLoop::reap() {
  bool any = false;
  while (broken_.ok() && !lanes_.idle() && device_->done(lanes_.oldest().downloaded)) {
    // After a fault events may look done with nothing behind them: ask after the event was seen, before it is believed.
    if (broken_ = device_->health(); !broken_.ok()) break;
    if (const Status& outcome = lanes_.oldest().outcome; !outcome.ok() && is_of_device(outcome.error())) {
      broken_ = outcome;
      break;
    }
    stalled_ = {};
    finish(lanes_.take_oldest());
    any = true;
  }
  if (any && lanes_.idle() && retry_queue_.empty()) progress_.notify();
  return any;
}

void WorkerLoop::finish(Lane& lane) {
  const auto busy = lane.busy ? lane.busy : device_->elapsed(lane.begun, lane.computed);
  if (busy) record().busy_ns.fetch_add(static_cast<std::uint64_t>(busy->count()), std::memory_order_relaxed);
  FrameBatch batch = std::exchange(lane.batch, {});
  const auto model = std::exchange(lane.model, nullptr);
  if (lane.outcome.ok()) {
    publisher_.publish(lane, batch, model->info().path);
  } else {
    const Error why = std::exchange(lane.outcome, {}).error();
    if (device::fault_of(why) == device::Fault::memory) shrink_batches(lane.rows, why);
    requeue(std::move(batch), why);
  }
  publisher_.show_in_flight();
}

// So many rows at once are too many for the device.
void WorkerLoop::shrink_batches(std::uint32_t rows, const Error& why) {
  const std::uint32_t before = plan_.rows_at_once(plan_.largest());
  if (!plan_.lower(rows)) broken_ = why;
  const auto after = plan_.rows_at_once(plan_.largest());
  if (after == before) return;
  report_.shrank(why, std::to_string(after) + " rows at once are the most from now on, not " + std::to_string(before),
                 plan_);
}

void WorkerLoop::requeue(FrameBatch batch, const Error& why) {
  auto requeued = retry_queue_.requeue(std::move(batch), device::fault_of(why));
  record().retried.fetch_add(requeued.retried, std::memory_order_relaxed);
  if (requeued.failed) publisher_.fail(std::move(*requeued.failed), why);
}

bool WorkerLoop::apply_changes() {
  return requests_.serve_rebuffers([this](const WorkerRequests::Rebuffer& wanted) { return apply(wanted); },
                                   [this](std::uint32_t depth) { return !lanes_.any_in_flight_from(depth); });
}

RebufferReceipt WorkerLoop::apply(const WorkerRequests::Rebuffer& wanted) {
  const std::uint32_t batch = plan_.largest();
  if (wanted.batch != 0) plan_.limit(wanted.batch);
  const std::uint32_t before = lanes_.set_depth(wanted.depth);
  if (before != wanted.depth || plan_.largest() != batch) {
    record().depth.store(wanted.depth);
    report_.publish_plan(plan_);
    record().rebuffers.fetch_add(1, std::memory_order_relaxed);
  }
  return {before, wanted.depth, batch, plan_.largest(), frames_in_flight()};
}

bool WorkerLoop::change_model() {
  auto change = requests_.begin_model_change();
  if (!change) return false;
  if (!change->offered) {
    requests_.answer_model_change(models_.commit(change->take_over));
    return true;
  }
  const Status outcome = models_.stage(*device_, lanes_.input(), std::move(change->offered));
  if (!outcome && is_of_device(outcome.error())) broken_ = outcome;
  requests_.answer_model_change(outcome);
  return true;
}

bool WorkerLoop::dispatch(bool ending) {
  Lane* lane = lanes_.free();
  if (lane == nullptr) return false;
  if (!retry_queue_.empty()) {
    if (!retry_queue_.may_start(lanes_.idle())) return false;
    launch(*lane, retry_queue_.next(plan_.largest()));
    return true;
  }
  return !ending && take_frames(*lane);
}

// From Q1, if enough of them wait, or the device has nothing to do, or they have waited long enough.
bool WorkerLoop::take_frames(Lane& lane) {
  const Gate::Opening opening = gate_.read();
  const std::uint32_t waiting = opening.below == 0 ? 0 : queue_->waiting(opening.below);
  const auto now = options_.now();
  if (waiting == 0) {
    waiting_since_ = {};
    return false;
  }
  if (waiting_since_ == Clock::time_point{}) waiting_since_ = now;
  const ShedLevel effort = shedding_.effort();
  const std::uint32_t kept = kept_of(waiting, effort);
  const bool full = kept >= plan_.largest();
  const bool late = now - waiting_since_ >= shedding_.longest_wait(effort);
  if (!full && !lanes_.idle() && !late) return false;

  const std::uint64_t wanted = std::uint64_t{plan_.choose(kept).frames} * effort.keep_one_of;
  auto taken =
      gate_.pass([&](const Gate::Opening& current) { return queue_->take(wanted, current.below, current.run); });
  for (const Error& refused : taken.refused) {
    log::error("{}", refused.text());
    report_.record_error(refused);
  }
  waiting_since_ = {};
  if (taken.frames.empty()) return !taken.refused.empty();
  if (effort.keep_one_of > 1) shedding_.skip_some(taken.frames, effort.keep_one_of);
  publisher_.took(taken.frames.size());
  if (auto good = retry_queue_.isolate_suspects(std::move(taken.frames)); !good.frames.empty())
    launch(lane, std::move(good));
  if (lanes_.idle() && retry_queue_.empty()) progress_.notify();  // nothing is under way, whoever waits for that
  return true;
}

void WorkerLoop::launch(Lane& lane, FrameBatch batch) {
  if (lanes_.idle()) stalled_ = {};
  runner_->launch(lane, std::move(batch), plan_, models_, shedding_.effort().smaller_model);
  publisher_.show_in_flight();
}

// --- between turns ---

std::optional<WorkerLoop::PlannedWait> WorkerLoop::plan_wait(bool ending) {
  auto& ready = queue_->event();
  auto& gate_changed = gate_.changed();
  PlannedWait planned{
      {shm::EventCount::Armed{&wake_, wake_.prepare()}, shm::EventCount::Armed{&gate_changed, gate_changed.prepare()},
       shm::EventCount::Armed{&ready, ready.prepare()}},
      0,
      std::nullopt,
      Waited::no_frame};
  // Look once more at everything that would have woken us before.
  const Gate::Opening opening = gate_.read();
  const Lane* lane = lanes_.free();
  const bool frames_wait = !ending && opening.below != 0 && queue_->has_work(opening.below);
  if (!lanes_.idle() && device_->done(lanes_.oldest().downloaded)) return std::nullopt;
  if (requests_.pending()) return std::nullopt;
  if (lane != nullptr && retry_queue_.may_start(lanes_.idle())) return std::nullopt;
  if (!lanes_.idle() && options_.stuck_after.count() > 0)
    planned.due = looked_ + std::min<Clock::duration>(options_.stuck_after - stalled_, kLongestLook);
  const bool may_take = lane != nullptr && retry_queue_.empty() && !ending;
  if (may_take && frames_wait) {
    if (lanes_.idle() || waiting_since_ == Clock::time_point{}) return std::nullopt;
    const ShedLevel effort = shedding_.effort();
    const auto due = waiting_since_ + shedding_.longest_wait(effort);
    if (due <= options_.now() || kept_of(queue_->waiting(opening.below), effort) >= plan_.largest())
      return std::nullopt;
    planned.due = planned.due ? std::min(*planned.due, due) : due;
  }
  planned.why = why_it_waits(opening.below == 0, lane != nullptr, frames_wait);
  // Frames that nobody may take now must not wake us: while the gate is shut only the other two events count.
  planned.count = opening.below != 0 && may_take ? 3 : 2;
  return planned;
}

WorkerLoop::Waited WorkerLoop::why_it_waits(bool shut, bool has_lane, bool frames_wait) const {
  if (shut) return Waited::stopped;
  if (!has_lane) return Waited::no_lane;
  if (frames_wait) return Waited::forming;
  // Nothing waits, and nothing can come: every slot holds a result that no writer has finished with.
  const auto states = queue_->participant().pool().count_states();
  const auto in = [&](shm::SlotState state) { return states[static_cast<std::size_t>(state)]; };
  const bool room = in(shm::SlotState::free) + in(shm::SlotState::filling) > 0;
  const bool results = in(shm::SlotState::done) + in(shm::SlotState::writing) > 0;
  return !room && results ? Waited::writer_behind : Waited::no_frame;
}

void WorkerLoop::record_wait(const PlannedWait& planned, bool woken, std::chrono::nanoseconds span) {
  record().waited_ns[static_cast<std::size_t>(planned.why)].fetch_add(static_cast<std::uint64_t>(span.count()),
                                                                      std::memory_order_relaxed);
  if (woken || planned.count < 3 || (planned.why != Waited::no_frame && planned.why != Waited::writer_behind)) return;
  const auto& ready = planned.events[2];
  if (ready.event->unchanged_since(ready.ticket) && queue_->has_work(gate_.read().below))
    report_.count(shm::Counter::late_wakes, 1);
}

// --- the end ---

bool WorkerLoop::release(std::chrono::nanoseconds at_most) {
  close();
  retry_queue_.clear();
  if (device_) {
    if (!device_->release(at_most)) return false;
    lanes_.forget_models();
    if (device_lost()) {
      models_.leave_all_behind();
    } else {
      device_->compute([this](void*) { models_.forget_all(); });  // where they lived
    }
    device_.reset();
    models_.forget_all();
  }
  // Nothing touches the slots any more.
  empty_lanes();
  runner_.reset();
  lanes_.release();
  models_.forget_trial();
  calibration_.clear();
  publisher_.none_in_flight();
  if (queue_) record().in_flight.store(0);
  report_.detach();
  queue_.reset();
  progress_.notify();
  return true;
}

// Frames that were on the device when it was given up. Without a fault of the device they go back as they came.
void WorkerLoop::empty_lanes() {
  const bool suspect = device_lost();
  for (Lane* lane : lanes_.take_all()) {
    FrameBatch batch = std::exchange(lane->batch, {});
    if (suspect) publisher_.give_back_suspects(std::move(batch));
  }
}

}  // namespace peaknet::engine
