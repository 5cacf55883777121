#include "daemon/supervisor/tune_stand.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <numeric>
#include <utility>

#include "base/resident_memory.hpp"
#include "base/small_floats.hpp"
#include "base/text.hpp"
#include "daemon/device/fault.hpp"
#include "daemon/engine/bounded_wait.hpp"
#include "daemon/engine/cpu_list.hpp"
#include "daemon/engine/left_behind.hpp"
#include "daemon/engine/model_verification.hpp"
#include "daemon/supervisor/engine_plan.hpp"

namespace peaknet::supervisor {
namespace {

using Clock = std::chrono::steady_clock;
using device::Stream;

constexpr int kWarmUps = 5;
constexpr int kLeastRuns = 10;
constexpr int kMostRuns = 200;
constexpr int kRounds = 4;  // in which the rates are measured in turn: what else the machine does meets all alike

double milliseconds(std::chrono::nanoseconds span) { return std::chrono::duration<double, std::milli>(span).count(); }

TuneLatency latency_of(std::vector<double> spans) {
  std::sort(spans.begin(), spans.end());
  const auto n = static_cast<double>(spans.size());
  const auto at = [&](double part) { return spans[static_cast<std::size_t>(std::lround(part * (n - 1)))]; };
  TuneLatency latency;
  latency.runs = static_cast<std::uint32_t>(spans.size());
  latency.mean = std::accumulate(spans.begin(), spans.end(), 0.0) / n;
  double square = 0;
  for (const double span : spans) square += (span - latency.mean) * (span - latency.mean);
  latency.stddev = std::sqrt(square / n);
  latency.min = spans.front();
  latency.median = at(0.5);
  latency.p95 = at(0.95);
  latency.p99 = at(0.99);
  latency.max = spans.back();
  return latency;
}

// Of rounds with as many batches each: all batches over all time.
double rate_of(const std::vector<double>& rounds) {
  double time = 0;
  for (const double rate : rounds) time += 1 / rate;
  return static_cast<double>(rounds.size()) / time;
}

}  // namespace

TuneStand::Bay::Bay(device::Device& device)
    : begun(device, true), uploaded(device, true), computed(device, true), downloaded(device, true) {}

TuneStand::TuneStand(const config::Config& config, std::shared_ptr<const TuneSlots> slots, std::size_t index,
                     std::stop_token stop, const TuneOptions& options)
    : options_(worker_options(config)),
      memory_fraction_(config.engine.memory_fraction),
      slots_(std::move(slots)),
      index_(index),
      stop_(std::move(stop)),
      tuned_(options),
      plan_(options_.batch, std::max(1U, options_.layout.panels)) {
  note_precision(config);
}

std::vector<std::uint32_t> TuneStand::buckets() const {
  if (tuned_.batches.empty()) return plan_.buckets();
  std::vector<std::uint32_t> sizes;
  const auto there = plan_.buckets();
  for (const std::uint32_t events : tuned_.batches) {
    if (model_->info().rows.empty() || std::find(there.begin(), there.end(), events) != there.end())
      sizes.push_back(events);
  }
  std::sort(sizes.begin(), sizes.end());
  sizes.erase(std::unique(sizes.begin(), sizes.end()), sizes.end());
  return sizes;
}

void TuneStand::note_precision(const config::Config& config) {
  const bool bfloat16 = config.engine.precision == config::Precision::bfloat16;
  slow_precision_ = config.engine.precision != config::Precision::float32 &&
                    computes_itself(bfloat16 ? SmallFloat::bfloat16 : SmallFloat::float16) == false;
}

Status TuneStand::open(const engine::DevicePlan& plan) {
  name_ = report_.device = plan.name;
  if (on_host() && slow_precision_) {
    report_.slow_precision =
        "this processor has no units for engine.precision: each operation converts, and float32 is faster";
  }
  if (!plan.cpus.empty()) {
    if (auto stays = engine::stay_on(plan.cpus); !stays) return stays;
  }
  auto made = plan.make_device();
  if (!made) return made.error();
  device_ = std::move(*made);
  const auto before = device_->memory();
  report_.memory_total = before.total;
  report_.memory_free = before.free;
  if (auto adopted = device_->adopt_payload(slots_->payload(), slots_->geometry().slot_stride()); !adopted)
    return adopted;
  report_.h2d_mode = device_->h2d_mode();
  if (const auto detour = device_->detour()) report_.detour = detour->what;
  resident_ = resident_memory().now;
  if (auto loaded = load(plan.make_model); !loaded) return loaded;
  report_.model = model_->info().path;
  if (const auto now = resident_memory().now; on_host()) {
    report_.model_bytes = now > resident_ ? now - resident_ : 0;
  } else {
    report_.model_bytes = memory_used();
  }
  if (!plan_.offer(model_->info().rows) || plan_.split()) {
    return Error{"tune.nothing", report_.model + " has no batch of whole events: there is nothing to choose", "",
                 "make the package for more rows"};
  }
  if (buckets().empty()) {
    return Error{"tune.nothing", report_.model + " is not made for any of the batches that were asked for", "",
                 "make the package for these, or ask for others (--batches)"};
  }
  const auto golden = engine::try_golden(*device_, *model_, options_.element, trial_, [this] {
    return until_idle(engine::kPatienceInWarmUp, "the run of a stored input");
  });
  return golden ? Status{} : golden.error();
}

Status TuneStand::load(const engine::ModelMaker& make_model) {
  device_->compute([this, make_model](void*) {
    auto loaded = make_model();
    if (loaded) {
      model_ = std::make_shared<model::RecordedModel>(std::move(*loaded), device_->graphs());
    } else {
      loaded_ = loaded.error();
    }
  });
  if (auto reached = until_idle(engine::kPatienceInLoading, "loading a model"); !reached) return reached;
  return loaded_;
}

Status TuneStand::until(const std::function<bool(std::chrono::nanoseconds)>& done_within, int patience,
                        const char* doing) {
  const engine::WaitBound bound{.longest = patience * options_.bound(),
                                .untouched = "tune ends; what that device may still touch stays until it has ended",
                                .goes_on = [this] {
                                  steps_.fetch_add(1, std::memory_order_relaxed);
                                  return !stop_.stop_requested();
                                }};
  auto reached = engine::wait_bounded(done_within, name_ + ": " + doing, bound);
  steps_.fetch_add(1, std::memory_order_relaxed);
  stuck_ = !reached && reached.error().id != engine::kGivenUp;
  if (!reached) return reached;
  auto health = device_->health();
  broken_ = !health.ok();
  return health;
}

Status TuneStand::until_idle(int patience, const char* doing) {
  return until([this](auto slice) { return device_->idle_within(slice); }, patience, doing);
}

// Of one that tell() was called for.
Status TuneStand::until_done(const device::PassingEvent& event) {
  const auto over = [&] { return device_->done(event) || !device_->health().ok(); };
  return until(
      [&](auto slice) {
        const shm::EventCount::Armed armed{&done_, done_.prepare()};
        if (over()) return true;
        shm::EventCount::wait_any({&armed, 1}, slice);
        return over();
      },
      engine::kPatienceInWarmUp, "a batch");
}

// Of the host what this process took: what else the machine does is not this model's.
std::uint64_t TuneStand::memory_used() const {
  if (on_host()) {
    const auto peak = resident_memory().peak;
    return peak > resident_ ? peak - resident_ : 0;
  }
  const auto now = device_->memory();
  return report_.memory_free > now.free ? report_.memory_free - now.free : 0;
}

kernels::TensorView TuneStand::input() const {
  const auto& layout = options_.layout;
  return kernels::contiguous(input_->address(), options_.element, rows_, 1, layout.padded_height, layout.padded_width);
}

std::span<std::uint64_t> TuneStand::mask(const Bay& bay, std::uint32_t event) const {
  const auto& geometry = slots_->geometry();
  auto* begin = bay.slots.data() + event * geometry.slot_stride() + geometry.mask_offset();
  return {reinterpret_cast<std::uint64_t*>(begin), geometry.mask_words()};
}

Result<std::unique_ptr<TuneStand::Bay>> TuneStand::make_bay(std::uint32_t index) {
  const auto& geometry = slots_->geometry();
  auto bay = std::make_unique<Bay>(*device_);
  bay->slots = slots_->slots((index_ * kTuneDepths + index) * options_.batch, events_);
  for (const auto& [memory, bytes] : {std::pair{&bay->images, events_ * geometry.image_bytes()},
                                      std::pair{&bay->masks, events_ * geometry.mask_bytes()}}) {
    auto reserved = device_->reserve(bytes);
    if (!reserved) return reserved.error();
    *memory = std::move(*reserved);
  }
  for (std::uint32_t i = 0; i < events_; ++i) {
    bay->places.push_back(device_->result_place(
        mask(*bay, i), reinterpret_cast<std::uint64_t*>(bay->masks->address()) + i * geometry.mask_words()));
  }
  return bay;
}

// Memory for batches of so many events, in place of that of the size before.
Status TuneStand::set_up(std::uint32_t events) {
  bays_.clear();
  events_ = events;
  rows_ = plan_.rows_at_once(events);
  const auto& layout = options_.layout;
  auto input = device_->reserve(std::size_t{rows_} * layout.padded_height * layout.padded_width *
                                static_cast<std::size_t>(kernels::size_of(options_.element)));
  if (!input) return input.error();
  input_ = std::move(*input);
  for (std::uint32_t i = 0; i < kTuneDepths; ++i) {
    auto bay = make_bay(i);
    if (!bay) return bay.error();
    bays_.push_back(std::move(*bay));
  }
  return {};
}

void TuneStand::tell(device::Event event, Stream stream) {
  device_->on_done(event, stream, [this] { done_.notify(); });
}

void TuneStand::upload(Bay& bay) {
  const auto& geometry = slots_->geometry();
  device_->record(bay.begun, Stream::upload);
  const auto uploaded = device_->upload({bay.slots.data(), geometry.image_bytes(), geometry.slot_stride(), events_},
                                        bay.images->address(), geometry.image_bytes());
  bay.events.clear();
  for (std::uint32_t i = 0; i < events_; ++i) bay.events.push_back(uploaded.images.image(i));
  device_->record(bay.uploaded, Stream::upload);
}

void TuneStand::compute(Bay& bay) {
  device_->compute([this, &bay, view = input()](void* stream) {
    device_->kernels().before(options_.layout, bay.events.data(), events_, view, stream);
    bay.outcome = model_->run(view, stream, [&](const kernels::TensorView& logits) {
      device_->kernels().after(options_.layout, logits, bay.places.data(), events_, stream);
    });
  });
  device_->record(bay.computed, Stream::compute);
}

void TuneStand::download(Bay& bay) {
  for (std::uint32_t i = 0; i < events_; ++i) device_->download(bay.places[i], mask(bay, i));
  device_->record(bay.downloaded, Stream::download);
  tell(bay.downloaded, Stream::download);
}

// As WorkerLoop::launch does.
void TuneStand::launch(Bay& bay) {
  upload(bay);
  device_->wait(Stream::compute, bay.uploaded);
  compute(bay);
  device_->wait(Stream::download, bay.computed);
  download(bay);
}

Status TuneStand::record_runs(TuneRow& row) {
  device_->compute([this, view = input()](void* stream) { recorded_ = model_->record(view, stream); });
  const auto wait = [this] { return until_idle(engine::kPatienceInWarmUp, "the recording of a graph"); };
  if (auto reached = wait(); !reached) return reached;
  if (recorded_) {
    if (auto tried = engine::try_recorded(*device_, model_, options_.layout, input(), events_, trial_, wait); !tried)
      return tried;
  }
  row.replayed = model_->replays(input());
  return {};
}

Status TuneStand::measure_latency(TuneRow& row) {
  std::vector<double> spans;
  Bay& bay = *bays_.front();
  for (int i = -kWarmUps; i < kMostRuns; ++i) {
    if (i == 0 && model_->records()) {
      if (auto recorded = record_runs(row); !recorded) return recorded;
    }
    const auto begin = Clock::now();
    launch(bay);
    if (auto reached = until_done(bay.downloaded); !reached) return reached;
    if (!bay.outcome) return bay.outcome;
    if (i < 0) continue;
    const auto whole = device_->elapsed(bay.begun, bay.downloaded);
    report_.clock = whole ? "device" : "host";
    spans.push_back(milliseconds(whole.value_or(Clock::now() - begin)));
    if (whole) {
      const std::chrono::nanoseconds none{0};
      row.upload_ms += milliseconds(device_->elapsed(bay.begun, bay.uploaded).value_or(none));
      row.compute_ms += milliseconds(device_->elapsed(bay.uploaded, bay.computed).value_or(none));
      row.download_ms += milliseconds(device_->elapsed(bay.computed, bay.downloaded).value_or(none));
    }
    if (i >= kLeastRuns && std::accumulate(spans.begin(), spans.end(), 0.0) > 1e3 * tuned_.seconds) break;
  }
  for (double* stage : {&row.upload_ms, &row.compute_ms, &row.download_ms}) *stage /= static_cast<double>(spans.size());
  row.latency = latency_of(std::move(spans));
  return {};
}

// One buffer: upload, wait, compute, wait, download, wait.
Result<double> TuneStand::sequential_rate(int batches) {
  Bay& bay = *bays_.front();
  const auto begin = Clock::now();
  for (int i = 0; i < batches; ++i) {
    upload(bay);
    tell(bay.uploaded, Stream::upload);
    if (auto reached = until_done(bay.uploaded); !reached) return reached.error();
    compute(bay);
    tell(bay.computed, Stream::compute);
    if (auto reached = until_done(bay.computed); !reached) return reached.error();
    download(bay);
    if (auto reached = until_done(bay.downloaded); !reached) return reached.error();
    if (!bay.outcome) return bay.outcome.error();
  }
  return batches * events_ / std::chrono::duration<double>(Clock::now() - begin).count();
}

// So many batches, or as many as the others of the rally need.
Result<double> TuneStand::rate(std::uint32_t depth, int batches, TuneRally* rally) {
  if (rally != nullptr) {
    rally->arrive();
    const auto here = until([&](auto slice) { return rally->all_here_within(slice); }, 0, "the start with the others");
    if (!here) return here.error();
  }
  const auto goes_on = [&](int done) { return rally != nullptr ? !rally->all_reached() : done < batches; };
  int launched = 0;
  int done = 0;
  const auto begin = Clock::now();
  while (goes_on(done)) {
    if (launched - done < static_cast<int>(depth) && (rally != nullptr || launched < batches)) {
      launch(*bays_[static_cast<std::uint32_t>(launched++) % depth]);
      continue;
    }
    Bay& oldest = *bays_[static_cast<std::uint32_t>(done) % depth];
    if (auto reached = until_done(oldest.downloaded); !reached) return reached.error();
    if (!oldest.outcome) return oldest.outcome.error();
    if (++done == batches && rally != nullptr) rally->reach();
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  if (auto reached = until_idle(engine::kPatienceInWarmUp, "the last batches"); !reached) return reached.error();
  return static_cast<double>(done) * events_ / seconds;
}

Result<double> TuneStand::upload_ms(const std::byte* images, std::size_t stride) {
  Bay& bay = *bays_.front();
  const std::size_t bytes = slots_->geometry().image_bytes();
  device_->record(bay.begun, Stream::upload);
  device_->upload({images, bytes, stride, events_}, bay.images->address(), bytes);
  device_->record(bay.uploaded, Stream::upload);
  tell(bay.uploaded, Stream::upload);
  if (auto reached = until_done(bay.uploaded); !reached) return reached.error();
  return milliseconds(device_->elapsed(bay.begun, bay.uploaded).value_or(std::chrono::nanoseconds(0)));
}

// The same images as they go and from memory that the device reaches straight, one after the other.
Status TuneStand::measure_detour(TuneRow& row) {
  if (report_.detour.empty() || report_.clock != "device") return {};
  const std::size_t bytes = slots_->geometry().image_bytes();
  auto straight_memory = device_->reserve_on_host(events_ * bytes);
  if (!straight_memory) return {};  // no such memory is to be had: there is nothing to compare with
  straight_ = std::move(*straight_memory);
  std::vector<double> taken;
  std::vector<double> straight;
  for (int i = 0; i < kLeastRuns; ++i) {
    auto by_detour = upload_ms(bays_.front()->slots.data(), slots_->geometry().slot_stride());
    if (!by_detour) return by_detour.error();
    auto directly = upload_ms(straight_->address(), bytes);
    if (!directly) return directly.error();
    taken.push_back(*by_detour);
    straight.push_back(*directly);
  }
  row.detour = TuneDetour{latency_of(std::move(taken)).median, latency_of(std::move(straight)).median};
  straight_.reset();
  return {};
}

// The sequential form and each depth in turn, several times.
Status TuneStand::measure_rates(TuneRow& row) {
  std::vector<std::vector<double>> rates(1 + kTuneDepths);
  const int batches = std::max(3, batches_ / kRounds);
  for (int round = 0; round < kRounds; ++round) {
    for (std::uint32_t depth = 0; depth <= kTuneDepths; ++depth) {
      const auto measured = depth == 0 ? sequential_rate(batches) : rate(depth, batches, nullptr);
      if (!measured) return measured.error();
      rates[depth].push_back(*measured);
    }
  }
  row.sequential = rate_of(rates.front());
  for (std::uint32_t depth = 1; depth <= kTuneDepths; ++depth) {
    row.events_per_s.push_back(rate_of(rates[depth]));
    row.spread.push_back(latency_of(rates[depth]).stddev);
  }
  return {};
}

Result<TuneRow> TuneStand::measure_row() {
  TuneRow row;
  row.events = events_;
  row.rows = rows_;
  if (auto measured = measure_latency(row); !measured) return measured.error();
  batches_ = static_cast<int>(std::clamp(1e3 * tuned_.seconds / row.latency.mean, 1.0 * kLeastRuns, 1.0 * kMostRuns));
  if (auto measured = measure_rates(row); !measured) return measured.error();
  if (auto measured = measure_detour(row); !measured) return measured.error();
  row.memory_used = memory_used();
  row.within_memory =
      static_cast<double>(row.memory_used) <= memory_fraction_ * static_cast<double>(report_.memory_total) ||
      report_.memory_total == 0;
  return row;
}

Status TuneStand::measure(std::uint32_t events) {
  if (!report_.stopped.empty()) return {};
  if (report_.memory_total > 0 && !report_.rows.empty() && 2 * memory_used() > report_.memory_free) {
    report_.stopped = "a batch of " + std::to_string(events) + " may need more than the " +
                      human_bytes(report_.memory_free) + " that were free";
    return {};
  }
  if (on_host()) forget_resident_peak();
  const auto ready = set_up(events);
  auto row = ready ? measure_row() : Result<TuneRow>(ready.error());
  if (row) {
    report_.rows.push_back(std::move(*row));
  } else if (device::fault_of(row.error()) == device::Fault::memory) {
    report_.stopped = row.error().what;
  } else {
    return row.error();
  }
  report_.graphs = model_->summary();
  recommend(report_);
  return {};
}

Result<std::vector<double>> TuneStand::measure_beside(const TuneRallies& rallies) {
  std::vector<double> rates;
  for (std::uint32_t depth = 1; depth <= rallies.size(); ++depth) {
    const auto measured = rate(depth, batches_, rallies[depth - 1].get());
    if (!measured) return measured.error();
    rates.push_back(*measured);
  }
  return rates;
}

bool TuneStand::release(std::chrono::nanoseconds at_most) {
  if (!device_) return true;
  if (!device_->release(stuck_ ? std::chrono::nanoseconds(0) : at_most)) return false;
  if (broken_) {
    engine::leave_behind(std::move(model_));  // its destructor may throw there
  } else {
    device_->compute([this](void*) { model_.reset(); });  // where it was made
    if (!device_->release(at_most)) return false;
  }
  bays_.clear();  // their events are the device's
  straight_.reset();
  trial_.reset();
  input_.reset();
  device_.reset();
  return true;
}

}  // namespace peaknet::supervisor
