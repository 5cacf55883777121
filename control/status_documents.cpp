#include "control/status_documents.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <ctime>
#include <nlohmann/json.hpp>
#include <optional>

#include "control/health.hpp"
#include "control/indexing.hpp"
#include "control/outcome_names.hpp"
#include "shm/clock.hpp"
#include "shm/errors.hpp"
#include "shm/frame_accounting.hpp"
#include "shm/liveness.hpp"
#include "shm/run_facts.hpp"

namespace peaknet::control {
namespace {

using nlohmann::json;
using shm::ControlLayout;
using shm::Counter;
using shm::CounterTotals;
using shm::FrameAccounting;
using shm::SlotState;

// "2026-03-01T14:02:11.250Z"; null for a time that was never set.
json time_text(std::int64_t realtime_ns) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  constexpr std::int64_t kLast = std::int64_t{253'402'300'799};  // year 9999: beyond it there are no four digits
  if (realtime_ns <= 0 || realtime_ns / kSecond > kLast) return nullptr;
  const std::time_t seconds = realtime_ns / kSecond;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 32> day{};
  std::strftime(day.data(), day.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%s.%03dZ", day.data(), static_cast<int>(realtime_ns % kSecond / 1'000'000));
  return text.data();
}

double seconds(std::int64_t ns) { return std::round(static_cast<double>(ns) / 1e6) / 1e3; }
json seconds_since(std::int64_t begin_ns, std::int64_t now_ns) {
  if (begin_ns <= 0) return nullptr;
  return std::max(0.0, seconds(now_ns - begin_ns));
}

double finite(double value) { return std::isfinite(value) ? std::round(value * 1e3) / 1e3 : 0.0; }

std::uint64_t of(const CounterTotals& totals, Counter counter) { return totals[static_cast<std::size_t>(counter)]; }

template <std::size_t N>
json by_cause(const CounterTotals& of_span, const std::array<Cause, N>& causes) {
  json counts;
  for (const Cause& cause : causes) counts[cause.name] = of(of_span, cause.counter);
  return counts;
}

json frames(const FrameAccounting& accounting, const CounterTotals& of_span) {
  return {{"committed", of(of_span, Counter::committed)},
          {"inferred", of(of_span, Counter::inferred)},
          {"written", of(of_span, Counter::written)},
          {"filtered", of(of_span, Counter::filtered)},
          {"dropped", by_cause(of_span, kDropCauses)},
          {"failed", by_cause(of_span, kFailCauses)},
          {"refused", by_cause(of_span, kRefusalCauses)},
          {"in_flight", accounting.in_flight()},
          // Both spans have the same right side and the same frames in flight, so also the same difference.
          {"imbalance", accounting.imbalance()},
          {"settled", accounting.settled}};
}

std::uint32_t in_state(const FrameAccounting& accounting, SlotState state) {
  return accounting.slots[static_cast<std::size_t>(state)];
}

json slots(const FrameAccounting& accounting) {
  json counts;
  for (int state = 0; state < shm::kSlotStates; ++state) {
    counts[shm::name(static_cast<SlotState>(state))] = accounting.slots[static_cast<std::size_t>(state)];
  }
  return counts;
}

json queues(const FrameAccounting& accounting) {
  return {{"q1", in_state(accounting, SlotState::ready)},
          {"devices", in_state(accounting, SlotState::inferring)},
          {"q2", in_state(accounting, SlotState::done)},
          {"writers", in_state(accounting, SlotState::writing)}};
}

json rates(const shm::DaemonRecord& daemon) {
  const double bytes = daemon.file_bytes_per_s.load();
  return {{"committed_per_s", finite(daemon.committed_per_s.load())},
          {"inferred_per_s", finite(daemon.inferred_per_s.load())},
          {"written_per_s", finite(daemon.written_per_s.load())},
          {"filtered_per_s", finite(daemon.filtered_per_s.load())},
          {"file_bytes_per_s", bytes >= 0 ? json(finite(bytes)) : json(nullptr)}};
}

// The share of hits among the run's frames that are written or filtered; null before the first.
json hit_rate(const FrameAccounting& accounting) {
  const auto hits = static_cast<double>(accounting.of_run(Counter::written));
  const auto all = hits + static_cast<double>(accounting.of_run(Counter::filtered));
  return all > 0 ? json(std::round(hits / all * 1e6) / 1e6) : json(nullptr);
}

// What was said of the run; a key for each thing that was.
void add_run_facts(json& to, const ControlLayout& layout, const char* number_key) {
  const shm::RunFacts facts = shm::run_facts_of(layout, layout.run.id.load());
  if (facts.number) to[number_key] = *facts.number;
  if (!facts.proposal.empty()) to["proposal"] = facts.proposal;
  if (!facts.user.empty()) to["user"] = facts.user;
}

json latencies(const ControlLayout& layout) {
  json stages;
  for (std::size_t stage = 0; stage < shm::kStages; ++stage) {
    const auto counts = layout.stages[stage].copy();
    const std::uint64_t max = layout.stages[stage].max_us();
    std::uint64_t total = 0;
    for (const auto count : counts) total += count;
    stages[shm::name(static_cast<shm::Stage>(stage))] = {{"p50", shm::quantile_us(counts, max, 0.50)},
                                                         {"p95", shm::quantile_us(counts, max, 0.95)},
                                                         {"p99", shm::quantile_us(counts, max, 0.99)},
                                                         {"max", max},
                                                         {"count", total}};
  }
  return stages;
}

json device(const shm::DeviceRecord& record) {
  constexpr std::array<const char*, 5> kWaits = {"no_frame", "no_lane", "forming", "stopped", "writer_behind"};
  json waited;
  for (std::size_t i = 0; i < kWaits.size(); ++i) waited[kWaits[i]] = record.waited_ns[i].load();
  json batches = json::array();
  for (std::size_t i = 0; i < record.buckets.size(); ++i) {
    if (const std::uint32_t bucket = record.buckets[i].load(); bucket != 0) {
      batches.push_back({{"bucket", bucket}, {"count", record.batch_sizes[i].load()}});
    }
  }
  return {{"name", record.name.load()},
          {"state", record.state.load()},
          {"h2d_mode", record.h2d_mode.load()},
          {"error", record.error.load()},
          {"depth", record.depth.load()},
          {"batch", record.batch.load()},
          {"rows_at_once", record.rows_at_once.load()},
          {"in_flight", record.in_flight.load()},
          {"frames", record.frames.load()},
          {"batches", record.batches.load()},
          {"padded_rows", record.padded_rows.load()},
          {"split", record.split.load()},
          {"model_errors", record.model_errors.load()},
          {"retried", record.retried.load()},
          {"shrinks", record.shrinks.load()},
          {"transfers", record.transfers.load()},
          {"fatal_frames", record.fatal_frames.load()},
          {"skipped", record.skipped.load()},
          {"graphs", record.graphs.load()},
          {"rebuffers", record.rebuffers.load()},
          {"busy_ns", record.busy_ns.load()},
          {"waited_ns", std::move(waited)},
          {"batch_sizes", std::move(batches)}};
}

json shedding(const shm::ShedRecord& record) {
  return {{"enabled", record.levels.load() > 0},  {"level", record.level.load()},
          {"levels", record.levels.load()},       {"keep_one_of", record.keep_one_of.load()},
          {"effort", record.effort.load()},       {"raises", record.raises.load()},
          {"lowerings", record.lowerings.load()}, {"since", time_text(record.since_ns.load())}};
}

json devices(const ControlLayout& layout) {
  json list = json::array();
  for (const auto& record : layout.devices) {
    if (!record.name.load().empty()) list.push_back(device(record));
  }
  return list;
}

// What this incarnation of the participant counted.
std::uint64_t own(const shm::ParticipantRecord& record, Counter counter) {
  const auto i = static_cast<std::size_t>(counter);
  const std::uint64_t now = record.counters[i].load();
  return now - std::min(now, record.base[i].load());
}

json participant(const shm::ParticipantRecord& record) {
  return {{"number", record.number.load()},
          {"label", record.label.load()},
          {"pid", record.pid.load()},
          {"uid", record.uid.load()},
          {"since", time_text(record.attached_ns.load())},
          {"note", record.note.load()}};
}

json participants(const ControlLayout& layout, shm::Role role) {
  json list = json::array();
  for (const auto& record : layout.participants) {
    if (record.presence.load(std::memory_order_acquire) != shm::Presence::attached || record.role.load() != role)
      continue;
    json entry = participant(record);
    if (role == shm::Role::producer) {
      entry["claimed"] = own(record, Counter::claimed);
      entry["committed"] = own(record, Counter::committed);
      entry["aborted"] = own(record, Counter::aborted);
      entry["refused"] = own(record, Counter::refused_full);
      entry["dropped_oldest"] = own(record, Counter::dropped_oldest);
      entry["blocked_ns"] = own(record, Counter::blocked_ns);
      entry["held"] = record.held.load();
    } else {
      entry["written"] = own(record, Counter::written);
      entry["filtered"] = own(record, Counter::filtered);
      entry["failed"] = own(record, Counter::failed_model) + own(record, Counter::failed_mask) +
                        own(record, Counter::failed_descriptor);
      const std::uint64_t free = record.output_free_bytes.load();
      entry["held"] = record.held.load();
      entry["holding_since"] = time_text(record.holding_since_ns.load());
      entry["output_free_bytes"] = free == shm::kUnknownBytes ? json(nullptr) : json(free);
      entry["duplicates"] = own(record, Counter::duplicates);
      entry["peaks"] = own(record, Counter::peaks);
      entry["peaks_cut"] = own(record, Counter::peaks_cut);
      entry["files"] = own(record, Counter::files);
      entry["file_bytes"] = own(record, Counter::file_bytes);
    }
    list.push_back(std::move(entry));
  }
  return list;
}

json pool_facts(const shm::Pool* pool) {
  if (pool == nullptr) return nullptr;
  const shm::Geometry& g = pool->geometry();
  return {{"epoch", pool->epoch()},
          {"slots", g.slots},
          {"shape", {g.panels, g.height, g.width}},
          {"dtype", name(g.pixel_type)},
          {"full", shm::name(pool->policy())}};
}

// What feeds have refused since the run began, the latest first.
json refusals(const shm::ControlSegment& control_segment) {
  json list = json::array();
  for (const auto& kind : shm::read_errors(control_segment)) {
    if (!is_refusal_of_run(kind, control_segment.layout())) continue;
    list.push_back({{"id", kind.id}, {"count", kind.count}, {"last", time_text(kind.last_ns)}, {"from", kind.label}});
  }
  return list;
}

std::string state_of(const ControlLayout& layout, std::optional<bool> alive) {
  return shm::name(alive.value_or(true) ? layout.daemon.state.load() : shm::DaemonState::absent);
}

json head(const char* schema, const shm::ControlSegment& control_segment, const std::string& source) {
  return {{"schema", schema},
          {"source", source},
          {"instance", control_segment.instance()},
          {"time", time_text(shm::realtime_ns())}};
}

}  // namespace

std::optional<bool> daemon_alive(const shm::ControlSegment& control_segment) {
  const auto lock = shm::LockFile::open(shm::control_segment_name(control_segment.instance()));
  if (!lock) return std::nullopt;
  return lock->held_by_other(shm::kOwnerByte);
}

std::string state_now(const shm::ControlSegment& control_segment) {
  return state_of(control_segment.layout(), daemon_alive(control_segment));
}

json model_document(const shm::ControlSegment& control_segment) {
  const ControlLayout& layout = control_segment.layout();
  const std::string path = layout.daemon.model.load();
  const std::string sha256 = layout.daemon.model_sha256.load();
  json model = {{"path", path}, {"sha256", sha256}, {"number", 0},     {"kind", ""},
                {"golden", ""}, {"rows", ""},       {"since", nullptr}};
  for (const shm::ModelRecord& record : layout.models) {
    if (record.number.load() == 0 || record.path.load() != path || record.sha256.load() != sha256) continue;
    model["number"] = record.number.load();
    model["kind"] = record.kind.load();
    model["golden"] = record.golden.load();
    model["rows"] = record.rows.load();
    model["since"] = time_text(record.since_ns.load());
  }
  return model;
}

json stats_document(const shm::ControlSegment& control_segment, const shm::Pool* pool, const std::string& source) {
  const ControlLayout& layout = control_segment.layout();
  const FrameAccounting accounting = shm::read_accounting(control_segment, pool);
  json document = head("peaknet.stats/1", control_segment, source);
  document["run"] = layout.run.id.load();
  document["run_ordinal"] = layout.run.ordinal.load();
  add_run_facts(document, layout, "run_number");
  document["state"] = state_now(control_segment);
  document["model"] = model_document(control_segment);
  document["frames"] = frames(accounting, accounting.run);
  document["hit_rate"] = hit_rate(accounting);
  document["indexing"] = indexing_part(control_segment);
  document["lifetime"] = frames(accounting, accounting.totals);
  document["slots"] = slots(accounting);
  document["queues"] = queues(accounting);
  document["rates"] = rates(layout.daemon);
  document["latency_us"] = latencies(layout);
  document["devices"] = devices(layout);
  document["shedding"] = shedding(layout.shedding);
  document["producers"] = participants(layout, shm::Role::producer);
  document["writers"] = participants(layout, shm::Role::writer);
  document["pool"] = pool_facts(pool);
  for (const Counter counter :
       {Counter::redelivered, Counter::duplicates, Counter::late_wakes, Counter::peaks, Counter::peaks_cut,
        Counter::files, Counter::file_bytes, Counter::pixels_not_finite, Counter::messages_lost}) {
    document[shm::name(counter)] = accounting.of_run(counter);
  }
  return document;
}

json status_document(const shm::ControlSegment& control_segment, const shm::Pool* pool, const std::string& source) {
  const ControlLayout& layout = control_segment.layout();
  const shm::DaemonRecord& daemon = layout.daemon;
  const FrameAccounting accounting = shm::read_accounting(control_segment, pool);
  const auto alive = daemon_alive(control_segment);
  const std::int64_t now = shm::realtime_ns();
  json document = head("peaknet.status/1", control_segment, source);
  document["state"] = state_of(layout, alive);
  document["last_state"] = shm::name(daemon.state.load());
  document["state_since"] = time_text(daemon.state_since_ns.load());
  document["failure"] = daemon.failure.load();
  document["health"] = health_part(judge(control_segment, pool, alive, accounting));
  document["daemon"] = {{"alive", alive ? json(*alive) : json(nullptr)},
                        {"pid", daemon.pid.load()},
                        {"version", daemon.version.load()},
                        {"host", daemon.host.load()},
                        {"started", time_text(daemon.started_ns.load())},
                        {"uptime_s", seconds_since(daemon.started_ns.load(), now)},
                        {"heartbeat_age_s", seconds_since(daemon.heartbeat_ns.load(), shm::monotonic_ns())},
                        {"starts", daemon.starts.load()},
                        {"endpoint", daemon.endpoint.load()},
                        {"monitor", daemon.monitor.load()}};
  document["run"] = {{"id", layout.run.id.load()},
                     {"ordinal", layout.run.ordinal.load()},
                     {"started", time_text(layout.run.started_ns.load())},
                     {"ended", time_text(layout.run.ended_ns.load())}};
  add_run_facts(document["run"], layout, "number");
  document["model"] = model_document(control_segment);
  document["pool"] = pool_facts(pool);
  document["slots"] = slots(accounting);
  document["queues"] = queues(accounting);
  document["rates"] = rates(daemon);
  json short_devices = json::array();
  for (const json& full : devices(layout)) {
    json entry;
    for (const char* key : {"name", "state", "depth", "batch", "in_flight", "frames", "error"}) entry[key] = full[key];
    short_devices.push_back(std::move(entry));
  }
  document["devices"] = std::move(short_devices);
  document["shedding"] = shedding(layout.shedding);
  document["frames"] = frames(accounting, accounting.run);
  document["hit_rate"] = hit_rate(accounting);
  document["pixels_not_finite"] = accounting.of_run(Counter::pixels_not_finite);
  document["balance"] = !accounting.settled ? "unsettled" : accounting.imbalance() == 0 ? "ok" : "broken";
  document["producers"] = participants(layout, shm::Role::producer).size();
  json writers = json::array();
  for (const json& full : participants(layout, shm::Role::writer)) {
    writers.push_back({{"number", full["number"]},
                       {"label", full["label"]},
                       {"pid", full["pid"]},
                       {"held", full["held"]},
                       {"holding_since", full["holding_since"]},
                       {"output_free_bytes", full["output_free_bytes"]},
                       {"file", full["note"]}});
  }
  document["writers"] = std::move(writers);
  document["refusals"] = refusals(control_segment);
  return document;
}

json errors_document(const shm::ControlSegment& control_segment, const std::string& source) {
  json list = json::array();
  for (const auto& kind : shm::read_errors(control_segment)) {
    list.push_back({{"id", kind.id},
                    {"count", kind.count},
                    {"first", time_text(kind.first_ns)},
                    {"last", time_text(kind.last_ns)},
                    {"from", kind.label},
                    {"text", kind.text}});
  }
  json document = head("peaknet.errors/1", control_segment, source);
  document["errors"] = std::move(list);
  return document;
}

json participants_document(const std::string& part, const json& stats) {
  return {{"schema", "peaknet." + part + "/1"},
          {"source", stats.value("source", "")},
          {part, stats.value(part, json::array())}};
}

}  // namespace peaknet::control
