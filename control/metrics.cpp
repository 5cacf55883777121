#include "control/metrics.hpp"

#include <array>
#include <charconv>
#include <initializer_list>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "control/health.hpp"
#include "control/indexing.hpp"
#include "control/outcome_names.hpp"
#include "control/status_documents.hpp"
#include "shm/clock.hpp"
#include "shm/errors.hpp"
#include "shm/frame_accounting.hpp"

namespace peaknet::control {
namespace {

using shm::Counter;

// Labels are other people's texts: what would break a line is escaped, what no terminal should get is replaced.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  }
  return out;
}

class Exposition {
 public:
  explicit Exposition(const std::string& instance) : instance_(escaped(instance)) {}

  void family(const char* name, const char* type, const char* help) {
    name_ = std::string("peaknet_") + name;
    text_ += "# HELP " + name_ + ' ' + help + "\n# TYPE " + name_ + ' ' + type + '\n';
  }
  using Labels = std::initializer_list<std::pair<const char*, std::string_view>>;
  void sample(double value, Labels labels = {}, const char* suffix = "") {
    text_ += name_ + suffix + "{instance_name=\"" + instance_ + '"';
    for (const auto& [key, label] : labels) text_ += std::string(",") + key + "=\"" + escaped(label) + '"';
    std::array<char, 32> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
    text_ += "} " + std::string(digits.data(), end) + '\n';
  }
  void sample(std::uint64_t value, Labels labels = {}, const char* suffix = "") {
    sample(static_cast<double>(value), labels, suffix);
  }
  // A family of one sample.
  template <class Value>
  void one(const char* name, const char* type, const char* help, Value value) {
    family(name, type, help);
    sample(value);
  }
  std::string take() && { return std::move(text_); }

 private:
  std::string instance_;
  std::string name_;
  std::string text_;
};

// 100 us to 1000 s. A bucket of the control segment that straddles an edge counts above it.
void histogram(Exposition& out, const shm::Histogram& times, std::string_view stage) {
  constexpr std::array<double, 22> kEdges = {1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2,
                                             0.5,  1,    2,    5,    10,   20,   50,   100,  200,  500, 1000};
  const auto counts = times.copy();
  std::uint64_t total = 0;
  double sum_s = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    total += counts[i];
    sum_s += static_cast<double>(counts[i]) * static_cast<double>(shm::Histogram::upper_edge(i)) * 1e-6;
  }
  std::uint64_t below = 0;
  std::size_t bucket = 0;
  for (const double edge : kEdges) {
    for (; bucket < counts.size() && static_cast<double>(shm::Histogram::upper_edge(bucket)) <= edge * 1e6; ++bucket)
      below += counts[bucket];
    std::array<char, 32> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), edge).ptr;
    out.sample(below, {{"stage", stage}, {"le", {digits.data(), static_cast<std::size_t>(end - digits.data())}}},
               "_bucket");
  }
  out.sample(total, {{"stage", stage}, {"le", "+Inf"}}, "_bucket");
  out.sample(sum_s, {{"stage", stage}}, "_sum");
  out.sample(total, {{"stage", stage}}, "_count");
}

void frames(Exposition& out, const shm::FrameAccounting& accounting) {
  out.family("frames_total", "counter", "Frames that reached a stage of their way.");
  for (const Counter stage : {Counter::committed, Counter::inferred, Counter::written, Counter::filtered})
    out.sample(accounting.total(stage), {{"stage", shm::name(stage)}});
  out.family("frames_dropped_total", "counter", "Frames thrown away by a policy.");
  for (const Cause& cause : kDropCauses) out.sample(accounting.total(cause.counter), {{"cause", cause.name}});
  out.family("frames_failed_total", "counter", "Frames that could not be processed.");
  for (const Cause& cause : kFailCauses) out.sample(accounting.total(cause.counter), {{"cause", cause.name}});
  out.family("frames_refused_total", "counter", "Claims that found no free slot, and slots of producers that died.");
  for (const Cause& cause : kRefusalCauses) out.sample(accounting.total(cause.counter), {{"cause", cause.name}});
  for (const shm::CounterFacts& facts : shm::kCounterFacts) {
    if (facts.place != shm::Place::beside || *facts.metric == '\0') continue;
    const bool is_time = std::string_view(facts.name).ends_with("_ns");
    out.one(facts.metric, "counter", facts.help,
            static_cast<double>(accounting.total(facts.counter)) * (is_time ? 1e-9 : 1.0));
  }
  if (!accounting.settled) return;  // the difference of numbers of different moments means nothing
  out.one("imbalance", "gauge", "Frames unaccounted for; must be 0. Absent while frames move too fast to read it.",
          static_cast<double>(accounting.imbalance()));
}

void slots(Exposition& out, const shm::FrameAccounting& accounting, const shm::Pool* pool) {
  if (pool == nullptr) return;
  out.family("slots", "gauge", "Slots of the pool by state: ready waits for a device, done for a writer.");
  for (int state = 0; state < shm::kSlotStates; ++state)
    out.sample(std::uint64_t{accounting.slots[static_cast<std::size_t>(state)]},
               {{"state", shm::name(static_cast<shm::SlotState>(state))}});
}

void health(Exposition& out, const shm::ControlSegment& control_segment, const shm::Pool* pool,
            const shm::FrameAccounting& accounting) {
  const Health found = judge(control_segment, pool, daemon_alive(control_segment), accounting);
  out.one("healthy", "gauge", "1 if nothing is known to be wrong; peaknetctl status --check says what is.",
          std::uint64_t{found.reasons.empty()});
  out.family("health_reason", "gauge", "1 for each thing that is wrong, and how bad it is: degraded or failing.");
  std::set<std::string> said;  // one sample of a reason, also where two writers have it
  for (const auto& [state, error] : found.reasons) {
    if (said.insert(error.id).second)
      out.sample(std::uint64_t{1}, {{"reason", error.id.substr(error.id.find('.') + 1)}, {"state", name(state)}});
  }
}

// One series at a time: the run that is on, or the last one.
void run(Exposition& out, const shm::ControlLayout& layout) {
  const std::int64_t started = layout.run.started_ns.load();
  if (started <= 0) return;
  out.family("run_start_timestamp_seconds", "gauge", "When the run began that is on, or was the last, since 1970.");
  out.sample(static_cast<double>(started) * 1e-9, {{"run", layout.run.id.load()}});
}

void outcome_of_run(Exposition& out, const shm::ControlLayout& layout, const shm::FrameAccounting& accounting) {
  const auto hits = static_cast<double>(accounting.of_run(Counter::written));
  const auto finished = hits + static_cast<double>(accounting.of_run(Counter::filtered));
  if (finished > 0)
    out.one("run_hit_ratio", "gauge", "Part of the run's finished frames that are hits; absent before the first.",
            hits / finished);
  if (hits > 0)
    out.one("run_peaks_per_hit", "gauge", "Peaks in a hit of the run, on average; absent before the first.",
            static_cast<double>(accounting.of_run(Counter::peaks)) / hits);
  out.one("file_bytes_per_second", "gauge", "Into files, over about a minute.", layout.daemon.file_bytes_per_s.load());
}

// Of the run that is on, or was the last; figures of another are none.
void indexing(Exposition& out, const shm::ControlSegment& control_segment) {
  const auto figures = indexing_figures(control_segment);
  if (!figures || figures->run_id() != control_segment.layout().run.id.load()) return;
  out.one("indexing_age_seconds", "gauge", "Since peaknet-live looked into the streams of indexamajig.",
          static_cast<double>(shm::monotonic_ns() - figures->looked_ns) * 1e-9);
  if (figures->served != shm::IndexingFigures::kUnknown)
    out.one("run_served_hits", "gauge", "Hits of the run that were handed to indexamajig.", figures->served);
  out.one("run_indexing_frames", "gauge", "Hits of the run in the streams of indexamajig.", figures->frames);
  out.one("run_indexed_frames", "gauge", "Of these with at least one crystal.", figures->indexed);
  out.one("run_crystals", "gauge", "Crystals in them.", figures->crystals);
  if (const auto rate = indexing_rate(*figures))
    out.one("run_indexed_ratio", "gauge", "Part of the run's hits in the streams with a crystal; absent before one.",
            *rate);
  const auto each = [&](const auto& one) {
    for (std::size_t i = 0; i < shm::kCellNumbers; ++i) one(figures->cell[i], shm::cell_name(i));
  };
  out.family("run_cell_mean", "gauge", "Mean of a number of the cell over the crystals of the run.");
  each([&](const shm::CellNumber& number, const char* name) {
    if (number.crystals > 0) out.sample(number.mean, {{"parameter", name}});
  });
  out.family("run_cell_deviation", "gauge", "Its standard deviation.");
  each([&](const shm::CellNumber& number, const char* name) {
    if (number.crystals > 1) out.sample(number.deviation, {{"parameter", name}});
  });
}

void participants(Exposition& out, const shm::ControlLayout& layout) {
  std::uint64_t producers = 0;
  std::uint64_t writers = 0;
  for (const auto& record : layout.participants) {
    if (record.presence.load(std::memory_order_acquire) != shm::Presence::attached) continue;
    const auto role = record.role.load();
    if (role == shm::Role::producer) ++producers;
    if (role == shm::Role::writer) ++writers;
  }
  out.family("participants", "gauge", "Programs that are attached.");
  out.sample(producers, {{"role", "producer"}});
  out.sample(writers, {{"role", "writer"}});
  out.family("output_free_bytes", "gauge", "Free space in the folder of a writer's files.");
  for (const auto& record : layout.participants) {
    const std::uint64_t free = record.output_free_bytes.load();
    if (record.presence.load(std::memory_order_acquire) == shm::Presence::attached &&
        record.role.load() == shm::Role::writer && free != shm::kUnknownBytes)
      out.sample(free, {{"writer", std::to_string(record.number.load())}});
  }
}

void devices(Exposition& out, const shm::ControlLayout& layout) {
  const auto each = [&](const auto& one) {
    for (const auto& record : layout.devices) {
      if (const std::string name = record.name.load(); !name.empty()) one(record, name);
    }
  };
  using Record = shm::DeviceRecord;
  const auto total = [&](const char* name, const char* help, const auto& value) {
    out.family(name, "counter", help);
    each([&](const Record& record, const std::string& device) { out.sample(value(record), {{"device", device}}); });
  };
  out.family("device_ready", "gauge", "1 if the device takes frames.");
  each([&](const Record& record, const std::string& device) {
    out.sample(std::uint64_t{record.state.load() == "ready"}, {{"device", device}});
  });
  out.family("device_in_flight", "gauge", "Frames in the device.");
  each([&](const Record& record, const std::string& device) {
    out.sample(std::uint64_t{record.in_flight.load()}, {{"device", device}});
  });
  total("device_frames_total", "Frames that the device gave results for.",
        [](const Record& r) { return r.frames.load(); });
  total("device_batches_total", "Batches that the device ran.", [](const Record& r) { return r.batches.load(); });
  total("device_padded_rows_total", "Rows of batches that held no frame.",
        [](const Record& r) { return r.padded_rows.load(); });
  total("device_errors_total", "Frames on which the model failed.",
        [](const Record& r) { return r.model_errors.load(); });
  total("device_busy_seconds_total", "Time in which the device computed.",
        [](const Record& r) { return static_cast<double>(r.busy_ns.load()) * 1e-9; });
}

void states(Exposition& out, const std::string& now) {
  out.family("state", "gauge", "1 for the state the daemon is in.");
  for (auto state = std::uint32_t{0}; state <= static_cast<std::uint32_t>(shm::DaemonState::failed); ++state) {
    const char* name = shm::name(static_cast<shm::DaemonState>(state));
    out.sample(std::uint64_t{now == name}, {{"state", name}});
  }
}

}  // namespace

std::string metrics_of_absent(const std::string& instance) {
  Exposition out(instance);
  states(out, shm::name(shm::DaemonState::absent));
  out.one("healthy", "gauge", "1 if nothing is known to be wrong; peaknetctl status --check says what is.",
          std::uint64_t{0});
  return std::move(out).take();
}

std::string metrics_text(const shm::ControlSegment& control_segment, const shm::Pool* pool) {
  const shm::ControlLayout& layout = control_segment.layout();
  const auto accounting = shm::read_accounting(control_segment, pool);
  const std::string now = state_now(control_segment);
  Exposition out(control_segment.instance());
  out.family("build_info", "gauge", "1; the version of the daemon.");
  out.sample(std::uint64_t{1}, {{"version", layout.daemon.version.load()}});
  states(out, now);
  out.one("daemon_starts_total", "counter", "Starts of the daemon since the instance was made.",
          std::uint64_t{layout.daemon.starts.load()});
  if (const auto beat = layout.daemon.heartbeat_ns.load(); beat > 0) {
    out.one("heartbeat_age_seconds", "gauge", "Time since the daemon last looked after its devices.",
            static_cast<double>(shm::monotonic_ns() - beat) * 1e-9);
  }
  health(out, control_segment, pool, accounting);
  frames(out, accounting);
  run(out, layout);
  outcome_of_run(out, layout, accounting);
  indexing(out, control_segment);
  slots(out, accounting, pool);
  participants(out, layout);
  devices(out, layout);
  out.family("latency_seconds", "histogram", "Times of the current run by stage; total: from commit to durable.");
  for (std::size_t stage = 0; stage < shm::kStages; ++stage)
    histogram(out, layout.stages[stage], shm::name(static_cast<shm::Stage>(stage)));
  out.family("errors_total", "counter", "What went wrong, by the id of the message; see peaknetctl errors.");
  for (const auto& kind : shm::read_errors(control_segment)) out.sample(kind.count, {{"id", kind.id}});
  return std::move(out).take();
}

}  // namespace peaknet::control
