#include "control/methods.hpp"

#include <algorithm>
#include <array>

namespace peaknet::control {
namespace {

constexpr Param kKey{
    kKeyParam, ParamType::text,
    false,     1,
    64,        "any text that is new for each request: sent again with the same key, it is carried out once"};
constexpr std::array kStart = {
    Param{"run", ParamType::text, false, 1, 31, "id of the run; made from date and time if it is left out"},
    Param{"no_writer", ParamType::boolean, false, 0, 1, "begin also if no writer is attached (false)"}, kKey};
constexpr std::array kStop = {
    Param{"timeout_s", ParamType::number, false, 0, 86400, "give up waiting for the last frames after this time (120)"},
    Param{"now", ParamType::boolean, false, 0, 1,
          "do not wait: frames on their way stay in shared memory for the next run (false)"},
    kKey};
constexpr std::array kRebuffer = {
    Param{"depth", ParamType::integer, true, 1, 8, "lanes in flight per device from now on"},
    Param{"batch", ParamType::integer, false, 1, 256, "largest batch in events from now on, at most engine.batch"},
    Param{"dry_run", ParamType::boolean, false, 0, 1, "say what would change, and change nothing (false)"}, kKey};

constexpr std::array kReload = {kKey};

constexpr std::array kModelLoad = {
    Param{"path", ParamType::text, true, 1, 255, "absolute path of the model file, or a builtin model"}};

constexpr std::array kMethods = {
    Method{"start", false, kStart, "begin a run: idle -> running; answers {run, state}"},
    Method{"stop", false, kStop,
           "end the run: every frame committed before is then in a finished file or counted; answers {run, state, "
           "took_ms, "
           "frames}"},
    Method{"rebuffer", false, kRebuffer,
           "change the number of lanes and the largest batch while frames flow; answers {before, after, batch_before, "
           "batch_after, in_flight, lost, took_ms}"},
    Method{"reload", false, kReload,
           "read the configuration file again; answers {changed, restart}, what took effect and what needs a restart"},
    Method{"model.load", false, kModelLoad,
           "take another model while frames flow: loaded beside the one that works, checked, then in its place between "
           "batches, on all devices or on none; answers {before, after, took_ms}"},
    Method{"stats", true, {}, "every counter; answers a peaknet.stats/1 document"},
    Method{"status", true, {}, "what an operator looks at first; answers a peaknet.status/1 document"},
    Method{"version", true, {}, "what this daemon is; answers {version, commit, ...}"},
    Method{"rpc.discover", true, {}, "this list; answers {schema, methods}"},
};

}  // namespace

std::span<const Method> methods() { return kMethods; }

const Method* find_method(std::string_view name) {
  const auto found = std::find_if(kMethods.begin(), kMethods.end(), [&](const Method& m) { return m.name == name; });
  return found == kMethods.end() ? nullptr : &*found;
}

}  // namespace peaknet::control
