#include "control/methods.hpp"

#include <algorithm>
#include <array>

namespace peaknet::control {
namespace {

constexpr std::array kStart = {
    Param{"run", ParamType::text, false, 1, 31, "id of the run; made from date and time if it is left out"}};
constexpr std::array kStop = {Param{"timeout_s", ParamType::number, false, 0, 86400,
                                    "give up waiting for the last frames after this time (120)"}};
constexpr std::array kRebuffer = {
    Param{"depth", ParamType::integer, true, 1, 8, "lanes in flight per device from now on"},
    Param{"batch", ParamType::integer, false, 1, 256, "largest batch in events from now on, at most engine.batch"}};

constexpr std::array kMethods = {
    Method{"start", false, kStart, "begin a run: idle -> running; answers {run, state}"},
    Method{"stop", false, kStop,
           "end the run: every frame committed before is then in a finished file or counted; answers {run, state, "
           "took_ms, "
           "frames}"},
    Method{"rebuffer", false, kRebuffer,
           "change the number of lanes and the largest batch while frames flow; answers {before, after, batch_before, "
           "batch_after, in_flight, lost, took_ms}"},
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
