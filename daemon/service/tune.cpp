#include "daemon/service/tune.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <utility>

#include "base/text.hpp"
#include "daemon/device/fault.hpp"
#include "daemon/engine/batch_plan.hpp"
#include "daemon/engine/trial.hpp"
#include "daemon/service/devices.hpp"
#include "shm/event_count.hpp"
#include "shm/geometry.hpp"

namespace peaknet::service {
namespace {

using Clock = std::chrono::steady_clock;
using device::Stream;

constexpr std::uint32_t kDepths = 3;
constexpr int kWarmUps = 5;
constexpr int kLeastRuns = 10;
constexpr int kMostRuns = 200;
constexpr std::chrono::seconds kSpan{2};  // for each figure, once there are kLeastRuns
constexpr std::chrono::nanoseconds kNone{0};
constexpr double kAsGood = 0.97;  // of the highest rate

// What one batch needs, on the device and on the host.
struct Bay {
  std::unique_ptr<device::Memory> images, masks;
  std::span<std::byte> slots;  // of the payload
  std::vector<const std::byte*> events;
  std::vector<std::uint64_t*> places;
  device::PassingEvent begun, uploaded, computed, downloaded;
  Status outcome;
  explicit Bay(device::Device& device)
      : begun(device, true), uploaded(device, true), computed(device, true), downloaded(device, true) {}
};

class Stand {
 public:
  Stand(const config::Config& config, const engine::WorkerOptions& options, std::unique_ptr<device::Device> device)
      : config_(config), layout_(options.layout), element_(options.element), device_(std::move(device)) {}
  Stand(const Stand&) = delete;
  Stand& operator=(const Stand&) = delete;
  ~Stand() {
    if (model_) device_->compute([this](void*) { model_.reset(); });
    static_cast<void>(device_->synchronize());  // an error has been told by what met it first
    bays_.clear();                              // their events are the device's
  }

  Result<TuneReport> run(const engine::ModelMaker& make_model, const std::function<void(const std::string&)>& say) {
    TuneReport report;
    report.device = device_->name();
    const auto before = device_->memory();
    report.memory_total = before.total;
    report.memory_free = before.free;
    if (auto adopted = make_slots(); !adopted) return adopted.error();
    if (auto loaded = load(make_model); !loaded) return loaded.error();
    report.model = model_->info().path;
    engine::BatchPlan plan(config_.engine.batch, std::max(1U, layout_.panels));
    if (!plan.offer(model_->info().rows) || plan.split()) {
      return Error{"tune.nothing", report.model + " has no batch of whole events: there is nothing to choose", "",
                   "make the package for more rows"};
    }
    if (auto golden =
            engine::try_golden(*device_, *model_, element_, trial_, [this] { return device_->synchronize(); });
        !golden)
      return golden.error();
    for (const auto bucket : plan.buckets()) {
      say(report.device + ": batches of " + std::to_string(bucket));
      const std::uint64_t used = used_since(before);
      if (before.total > 0 && !report.rows.empty() && 2 * used > before.free) {
        report.stopped = "a batch of " + std::to_string(bucket) + " may need more than the " +
                         human_bytes(before.free) + " that were free";
        break;
      }
      auto row = measure(bucket, plan.rows_at_once(bucket));
      if (!row) {
        if (device::fault_of(row.error()) != device::Fault::memory) return row.error();
        report.stopped = row.error().what;
        break;
      }
      row->memory_used = used_since(before);
      row->within_memory =
          static_cast<double>(row->memory_used) <= config_.engine.memory_fraction * static_cast<double>(before.total) ||
          before.total == 0;
      report.rows.push_back(std::move(*row));
    }
    report.h2d_mode = device_->h2d_mode();
    report.clock = by_events_ ? "device" : "host";
    report.graphs = model_->summary();
    recommend(report);
    return report;
  }

 private:
  Status load(const engine::ModelMaker& make_model) {
    Status outcome;
    device_->compute([&](void*) {
      auto loaded = make_model();
      if (loaded) {
        model_ = std::make_shared<model::RecordedModel>(std::move(*loaded), device_->graphs());
      } else {
        outcome = loaded.error();
      }
    });
    if (auto reached = device_->synchronize(); !reached) return reached;
    return outcome;
  }
  std::uint64_t used_since(const device::MemoryFacts& before) const {
    const auto now = device_->memory();
    return before.free > now.free ? before.free - now.free : 0;
  }
  std::size_t pixels() const { return std::size_t{layout_.panels} * layout_.height * layout_.width; }
  std::size_t image_bytes() const { return pixels() * size_of(config_.pool.dtype); }
  std::size_t mask_offset() const { return shm::Geometry::round_up(image_bytes(), shm::kPage); }
  std::size_t slot_bytes() const {
    return mask_offset() + shm::Geometry::round_up(layout_.mask_words() * sizeof(std::uint64_t), shm::kPage);
  }

  // Slots as a pool has them, for all depths of the largest batch.
  Status make_slots() {
    payload_.assign(std::size_t{kDepths} * config_.engine.batch * slot_bytes() + shm::kPage, std::byte{1});
    const auto begin = reinterpret_cast<std::uintptr_t>(payload_.data());
    slots_ = std::span(payload_).subspan(shm::Geometry::round_up(begin, shm::kPage) - begin);
    slots_ = slots_.first(std::size_t{kDepths} * config_.engine.batch * slot_bytes());
    return device_->adopt_payload(slots_, slot_bytes());
  }
  std::span<std::uint64_t> mask(const Bay& bay, std::uint32_t event) const {
    return {reinterpret_cast<std::uint64_t*>(bay.slots.data() + event * slot_bytes() + mask_offset()),
            layout_.mask_words()};
  }

  Result<std::unique_ptr<Bay>> make_bay(std::uint32_t index, std::uint32_t events) {
    auto bay = std::make_unique<Bay>(*device_);
    bay->slots = slots_.subspan(std::size_t{index} * events * slot_bytes(), events * slot_bytes());
    const std::size_t mask_words = layout_.mask_words();
    for (const auto& [memory, bytes] : {std::pair{&bay->images, events * image_bytes()},
                                        std::pair{&bay->masks, events * mask_words * sizeof(std::uint64_t)}}) {
      auto reserved = device_->reserve(bytes);
      if (!reserved) return reserved.error();
      *memory = std::move(*reserved);
    }
    for (std::uint32_t i = 0; i < events; ++i) {
      bay->places.push_back(device_->result_place(
          mask(*bay, i), reinterpret_cast<std::uint64_t*>(bay->masks->address()) + i * mask_words));
    }
    return bay;
  }

  // One for all batches: they use it one after the other, on the compute stream.
  kernels::TensorView input(std::uint32_t rows) const {
    return kernels::contiguous(input_->address(), element_, rows, 1, layout_.padded_height, layout_.padded_width);
  }

  // As WorkerLoop::launch does.
  void launch(Bay& bay, std::uint32_t events, std::uint32_t rows) {
    device_->record(bay.begun, Stream::upload);
    const auto uploaded =
        device_->upload({bay.slots.data(), image_bytes(), slot_bytes(), events}, bay.images->address(), image_bytes());
    bay.events.clear();
    for (std::uint32_t i = 0; i < events; ++i) bay.events.push_back(uploaded.images.image(i));
    device_->record(bay.uploaded, Stream::upload);
    device_->wait(Stream::compute, bay.uploaded);
    device_->compute([this, &bay, events, rows](void* stream) {
      const auto view = input(rows);
      device_->kernels().before(layout_, bay.events.data(), events, view, stream);
      bay.outcome = model_->run(view, stream, [&](const kernels::TensorView& logits) {
        device_->kernels().after(layout_, logits, bay.places.data(), events, stream);
      });
    });
    device_->record(bay.computed, Stream::compute);
    device_->wait(Stream::download, bay.computed);
    for (std::uint32_t i = 0; i < events; ++i) device_->download(bay.places[i], mask(bay, i));
    device_->record(bay.downloaded, Stream::download);
    device_->on_done(bay.downloaded, Stream::download, [this] { done_.notify(); });
  }
  void wait_for(const Bay& bay) {
    for (;;) {
      const shm::EventCount::Armed armed{&done_, done_.prepare()};
      if (device_->done(bay.downloaded) || !device_->health().ok()) return;
      shm::EventCount::wait_any({&armed, 1});
    }
  }

  static double milliseconds(std::chrono::nanoseconds span) {
    return std::chrono::duration<double, std::milli>(span).count();
  }
  Status record_runs(std::uint32_t events, std::uint32_t rows) {
    Status recorded;
    device_->compute([&](void* stream) { recorded = model_->record(input(rows), stream); });
    if (auto reached = device_->synchronize(); !reached) return reached;
    return recorded.ok() ? engine::try_recorded(*device_, model_, layout_, input(rows), events, trial_,
                                                [this] { return device_->synchronize(); })
                         : Status{};
  }

  Result<TuneRow> measure(std::uint32_t events, std::uint32_t rows) {
    bays_.clear();
    auto input_memory = device_->reserve(std::size_t{rows} * layout_.padded_height * layout_.padded_width *
                                         static_cast<std::size_t>(kernels::size_of(element_)));
    if (!input_memory) return input_memory.error();
    input_ = std::move(*input_memory);
    for (std::uint32_t i = 0; i < kDepths; ++i) {
      auto bay = make_bay(i, events);
      if (!bay) return bay.error();
      bays_.push_back(std::move(*bay));
    }
    TuneRow row;
    row.events = events;
    row.rows = rows;
    std::vector<double> spans;
    for (int i = -kWarmUps; i < kMostRuns; ++i) {
      if (i == 0 && model_->records()) {
        if (auto recorded = record_runs(events, rows); !recorded) return recorded.error();
        row.replayed = model_->replays(input(rows));
      }
      const Bay& bay = *bays_.front();
      const auto begin = Clock::now();
      launch(*bays_.front(), events, rows);
      if (auto reached = device_->synchronize(); !reached) return reached.error();
      if (!bay.outcome.ok()) return bay.outcome.error();
      const auto whole = device_->elapsed(bay.begun, bay.downloaded);
      by_events_ = whole.has_value();
      if (i >= 0) spans.push_back(milliseconds(whole.value_or(Clock::now() - begin)));
      if (i >= 0 && by_events_) {
        row.upload_ms += milliseconds(device_->elapsed(bay.begun, bay.uploaded).value_or(kNone));
        row.compute_ms += milliseconds(device_->elapsed(bay.uploaded, bay.computed).value_or(kNone));
        row.download_ms += milliseconds(device_->elapsed(bay.computed, bay.downloaded).value_or(kNone));
      }
      if (i >= kLeastRuns && std::accumulate(spans.begin(), spans.end(), 0.0) > 1e3 * kSpan.count()) break;
    }
    for (double* stage : {&row.upload_ms, &row.compute_ms, &row.download_ms})
      *stage /= static_cast<double>(spans.size());
    row.latency = latency_of(std::move(spans));
    const auto batches = static_cast<int>(
        std::clamp(1e3 * static_cast<double>(kSpan.count()) / row.latency.mean, 1.0 * kLeastRuns, 1.0 * kMostRuns));
    for (std::uint32_t depth = 1; depth <= kDepths; ++depth) {
      const auto begin = Clock::now();
      for (int i = 0; i < batches; ++i) {
        Bay& bay = *bays_[static_cast<std::uint32_t>(i) % depth];
        if (static_cast<std::uint32_t>(i) >= depth) wait_for(bay);
        launch(bay, events, rows);
      }
      if (auto reached = device_->synchronize(); !reached) return reached.error();
      const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
      row.events_per_s.push_back(static_cast<double>(batches) * events / seconds);
    }
    for (const auto& bay : bays_) {
      if (!bay->outcome.ok()) return bay->outcome.error();
    }
    return row;
  }

  static TuneLatency latency_of(std::vector<double> spans) {
    std::sort(spans.begin(), spans.end());
    const auto n = static_cast<double>(spans.size());
    const auto at = [&](double part) { return spans[static_cast<std::size_t>(std::lround(part * (n - 1)))]; };
    TuneLatency latency;
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

  // The smallest batch, then the smallest depth, that is nearly as fast as the fastest.
  static void recommend(TuneReport& report) {
    double best = 0;
    for (const auto& row : report.rows) {
      if (!row.within_memory) continue;
      for (const double rate : row.events_per_s) best = std::max(best, rate);
    }
    for (const auto& row : report.rows) {
      if (!row.within_memory) continue;
      for (std::uint32_t depth = 1; depth <= row.events_per_s.size(); ++depth) {
        if (row.events_per_s[depth - 1] < kAsGood * best) continue;
        report.batch = row.events;
        report.depth = depth;
        return;
      }
    }
  }

  const config::Config& config_;
  kernels::FrameLayout layout_;
  kernels::Element element_;
  std::shared_ptr<model::RecordedModel> model_;
  std::vector<std::byte> payload_;
  std::span<std::byte> slots_;
  bool by_events_ = false;
  std::unique_ptr<device::Memory> input_;
  std::shared_ptr<void> trial_;
  std::vector<std::unique_ptr<Bay>> bays_;
  shm::EventCount done_;
  std::unique_ptr<device::Device> device_;  // last: its streams end before what they use
};

std::string cell(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%9.3g", value);
  return text.data();
}

}  // namespace

Result<std::vector<TuneReport>> tune(const config::Config& config, const std::function<void(const std::string&)>& say) {
  auto plans = plan_devices(config);
  if (!plans) return plans.error();
  const auto options = worker_options(config);
  std::vector<TuneReport> reports;
  for (auto& plan : *plans) {
    auto device = plan.make_device();
    if (!device) return device.error();
    Stand stand(config, options, std::move(*device));
    auto report = stand.run(plan.make_model, say);
    if (!report) return report.error();
    reports.push_back(std::move(*report));
  }
  return reports;
}

nlohmann::json to_json(const std::vector<TuneReport>& reports) {
  nlohmann::json devices = nlohmann::json::array();
  for (const auto& report : reports) {
    nlohmann::json rows = nlohmann::json::array();
    for (const auto& row : report.rows) {
      rows.push_back(
          {{"events", row.events},
           {"rows", row.rows},
           {"latency_ms",
            {{"mean", row.latency.mean},
             {"std", row.latency.stddev},
             {"min", row.latency.min},
             {"p50", row.latency.median},
             {"p95", row.latency.p95},
             {"p99", row.latency.p99},
             {"max", row.latency.max}}},
           {"stages_ms", {{"upload", row.upload_ms}, {"compute", row.compute_ms}, {"download", row.download_ms}}},
           {"replayed", row.replayed},
           {"events_per_s", row.events_per_s},
           {"memory_used", row.memory_used},
           {"within_memory", row.within_memory}});
    }
    devices.push_back({{"device", report.device},
                       {"model", report.model},
                       {"h2d_mode", report.h2d_mode},
                       {"clock", report.clock},
                       {"graphs", report.graphs},
                       {"memory_total", report.memory_total},
                       {"memory_free", report.memory_free},
                       {"batches", std::move(rows)},
                       {"stopped", report.stopped},
                       {"recommended", {{"batch", report.batch}, {"depth", report.depth}}}});
  }
  return {{"schema", "peaknet.tune/1"}, {"devices", std::move(devices)}};
}

std::string to_table(const std::vector<TuneReport>& reports) {
  std::string out;
  for (const auto& report : reports) {
    out += "device " + report.device + ", model " + report.model + ", " + human_bytes(report.memory_free) + " of " +
           human_bytes(report.memory_total) + " free\n" + "          latency of one batch, ms, by the clock of the " +
           (report.clock == "device" ? "device" : "host  ") +
           "                   events/s at depth         "
           "memory\n"
           "events      mean      std      min   median      p95      p99      max         1         2         3\n";
    for (const auto& row : report.rows) {
      std::array<char, 16> events{};
      std::snprintf(events.data(), events.size(), "%6u", row.events);
      out += events.data();
      for (const double value : {row.latency.mean, row.latency.stddev, row.latency.min, row.latency.median,
                                 row.latency.p95, row.latency.p99, row.latency.max})
        out += cell(value);
      for (const double rate : row.events_per_s) out += " " + cell(rate);
      out += "  " + human_bytes(row.memory_used) + (row.within_memory ? "" : ", over engine.memory_fraction") + "\n";
    }
    if (!report.stopped.empty()) out += "larger batches were not tried: " + report.stopped + "\n";
    out += report.batch == 0 ? "nothing fits into engine.memory_fraction\n"
                             : "recommended: engine.batch: " + std::to_string(report.batch) +
                                   ", engine.depth: " + std::to_string(report.depth) + "\n";
  }
  return out;
}

}  // namespace peaknet::service
