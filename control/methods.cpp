#include "control/methods.hpp"

#include <algorithm>
#include <array>

#include "base/limits.hpp"
#include "shm/run_facts.hpp"

namespace peaknet::control {
namespace {

constexpr Param kKey{
    kKeyParam, ParamType::text,
    false,     1,
    64,        "any text that is new for each request: sent again with the same key, it is carried out once"};
constexpr std::array kStart = {
    Param{"run", ParamType::text, false, 1, 31, "id of the run; made from date and time if it is left out"},
    Param{"run_number", ParamType::integer, false, 0, shm::kMaxRunNumber, "that the facility gave it"},
    Param{"proposal", ParamType::text, false, 1, shm::kMaxProposal, "proposal or experiment that it is part of"},
    Param{"user", ParamType::text, false, 1, shm::kMaxUserText, "a line of your own, for its files"},
    Param{"no_writer", ParamType::boolean, false, 0, 1, "begin also if no writer is attached (false)"},
    kKey};
constexpr std::array kStop = {
    Param{"timeout_s", ParamType::number, false, 0, 86400, "give up waiting for the last frames after this time (120)"},
    Param{"now", ParamType::boolean, false, 0, 1,
          "do not wait: frames on their way stay in shared memory for the next run (false)"},
    kKey};
constexpr std::array kRebuffer = {
    Param{"depth", ParamType::integer, false, 1, kMaxDepth, "lanes in flight per device from now on"},
    Param{"batch", ParamType::integer, false, 1, kMaxBatch,
          "largest batch in events from now on, at most engine.batch"},
    Param{"slots", ParamType::integer, false, kMinSlots, kMaxSlots,
          "slots of another pool: producers and writers move over to it"},
    Param{"shape", ParamType::shape, false, 1, kMaxSide, "panels, height and width of the frames in another pool"},
    Param{"dry_run", ParamType::boolean, false, 0, 1, "say what would change, and change nothing (false)"},
    kKey};

constexpr std::array kReload = {kKey};

constexpr std::array kModelLoad = {
    Param{"path", ParamType::text, true, 1, 255, "absolute path of the model file, or a builtin model"}};

constexpr std::array kPast = {Param{"seconds", ParamType::integer, false, 1, 600,
                                    "the last so many seconds alone, without minutes; all if left out"}};

constexpr std::string_view kStats =
    "{schema: string, source: string, instance: string, time: time, run: string, run_ordinal, run_number?, "
    "proposal?: string, user?: string, state: string, model: model, frames: frames, hit_rate: number|null, indexing: "
    "indexing, lifetime: frames, slots: slots, queues: queues, rates: rates, latency_us: {q1_wait: latency, infer: "
    "latency, q2_wait: latency, write: latency, total: latency}, devices: [{name: string, state: string, h2d_mode: "
    "string, error: string, depth, batch, rows_at_once, in_flight, frames, batches, padded_rows, split, "
    "model_errors, retried, shrinks, transfers, fatal_frames, skipped, graphs: string, rebuffers, busy_ns, "
    "waited_ns: {no_frame, no_lane, forming, stopped, writer_behind}, batch_sizes: [{bucket, count}]}], producers: "
    "[{number, label: string, pid, uid, since: time, note: string, claimed, committed, aborted, refused, "
    "dropped_oldest, blocked_ns, held}], writers: [{number, label: string, pid, uid, since: time, note: string, "
    "written, filtered, failed, held, holding_since: time, output_free_bytes: number|null, duplicates, peaks, "
    "peaks_cut, files, file_bytes}], pool: pool, redelivered, duplicates, late_wakes, peaks, peaks_cut, files, "
    "file_bytes, messages_lost, pixels_not_finite, shedding: shedding}";
constexpr std::string_view kStatus =
    "{schema: string, source: string, instance: string, time: time, state: string, last_state: string, state_since: "
    "time, failure: string, daemon: {alive: boolean|null, pid, version: string, host: string, started: time, "
    "uptime_s: number|null, heartbeat_age_s: number|null, starts, endpoint: string, monitor: string}, run: {id: "
    "string, ordinal, number?, proposal?: string, user?: string, started: time, ended: time}, model: model, pool: "
    "pool, slots: slots, queues: queues, rates: rates, devices: [{name: string, state: string, error: string, depth, "
    "batch, in_flight, frames}], frames: frames, hit_rate: number|null, shedding: shedding, pixels_not_finite, "
    "balance: string, health: health, refusals: [{id: string, count, last: time, from: string}], producers, writers: "
    "[{number, label: string, pid, held, holding_since: time, output_free_bytes: number|null, file: string}]}";
constexpr std::string_view kHistory =
    "{schema: string, instance: string, now, columns: [string], seconds: [[integer]], minutes?: [[integer]], "
    "peaks_per_frame: {from: [integer], frames: [integer]}}";
constexpr std::string_view kErrors =
    "{schema: string, source: string, instance: string, time: time, errors: [{id: string, count, first: time, last: "
    "time, from: string, text: string}]}";
constexpr std::array kMethods = {
    Method{"start", false, kStart, "begin a run: idle -> running; answers {run, state}",
           "{run: string, state: string, took_ms, frames: frames}"},
    Method{"stop", false, kStop,
           "end the run: every frame committed before is then in a finished file or counted; answers {run, state, "
           "took_ms, frames}",
           "{run: string, state: string, took_ms, frames: frames}"},
    Method{"rebuffer", false, kRebuffer,
           "change the number of lanes and the largest batch, or the pool itself, while frames flow; answers {before, "
           "after, batch_before, batch_after, in_flight, lost, took_ms}",
           "{before, after, batch_before, batch_after, pool_before?: pool_size, pool_after?: pool_size, free_bytes?, "
           "in_flight, "
           "lost, took_ms, dry_run?: boolean}"},
    Method{"reload", false, kReload,
           "read the configuration file again; answers {changed, restart}, what took effect and what needs a restart",
           "{changed: [key_change], restart: [key_change]}"},
    Method{"model.load", false, kModelLoad,
           "take another model while frames flow: loaded beside the one that works, checked, then in its place between "
           "batches, on all devices or on none; answers {before, after, took_ms}",
           "{before: {path: string, sha256: string}, after: model, took_ms}"},
    Method{"stats", true, {}, "every counter; answers a peaknet.stats/1 document", kStats},
    Method{"status", true, {}, "what an operator looks at first; answers a peaknet.status/1 document", kStatus},
    Method{"history", true, kPast, "rates of the past, and peaks of a frame; answers a peaknet.history/1 document",
           kHistory},
    Method{
        "errors", true, {}, "what went wrong, by kind, the latest first; answers a peaknet.errors/1 document", kErrors},
    Method{"config",
           true,
           {},
           "the configuration that peaknetd goes by, with the pool, the model and the depth of now; answers {yaml}",
           "{yaml: string}"},
    Method{"version",
           true,
           {},
           "what this daemon is; answers {version, commit, ...}",
           "{version: string, commit: string, build: string, torch: string, cuda: string}"},
    Method{"rpc.discover", true, {}, "these methods; answers an OpenRPC document", "json_document"},
};

}  // namespace

std::span<const Method> methods() { return kMethods; }

const Method* find_method(std::string_view name) {
  const auto found = std::find_if(kMethods.begin(), kMethods.end(), [&](const Method& m) { return m.name == name; });
  return found == kMethods.end() ? nullptr : &*found;
}

}  // namespace peaknet::control
