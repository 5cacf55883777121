#include "ctl/files/pipeline.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "ctl/members.hpp"

namespace peaknet::ctl {
namespace {

using nlohmann::json;

json per_s(const json& before, const json& now, double seconds, std::initializer_list<Path> paths) {
  if (before.is_null() || seconds <= 0) return nullptr;
  double gained = 0;
  for (const Path& path : paths) gained += number(now, path) - number(before, path);
  return gained < 0 ? json(nullptr) : json(gained / seconds);
}

// The mean share of the time in which a device computed.
json busy(const json& before, const json& now, double seconds) {
  const json& devices = member(now, {"devices"});
  const json& earlier = member(before, {"devices"});
  if (before.is_null() || seconds <= 0 || devices.empty() || devices.size() != earlier.size()) return nullptr;
  double worked = 0;
  for (std::size_t i = 0; i < devices.size(); ++i)
    worked += std::max(0.0, number(devices[i], {"busy_ns"}) - number(earlier[i], {"busy_ns"})) / 1e9;
  return std::min(1.0, worked / seconds / static_cast<double>(devices.size()));
}

json stage(const char* name, const std::string& label, const json& frames, double slots) {
  return {{"stage", name},
          {"label", label},
          {"frames", frames},
          {"share", frames.is_null() || slots <= 0 ? json(nullptr) : json(frames.get<double>() / slots)},
          {"per_s", nullptr},
          {"p50_us", nullptr},
          {"p99_us", nullptr},
          {"busy", nullptr},
          {"slowest", false}};
}

void add_times(json& stage, const json& now, const char* latency) {
  const json& times = member(now, {"latency_us", latency});
  if (number(times, {"count"}) == 0) return;
  stage["p50_us"] = member(times, {"p50"});
  stage["p99_us"] = member(times, {"p99"});
}

const char* slowest_of(const json& now, double slots) {
  const std::string state = text(now, {"state"});
  if ((state != "running" && state != "draining") || slots <= 0) return "";
  const double before_devices = number(now, {"queues", "q1"}) + number(now, {"queues", "devices"});
  const double before_disk = number(now, {"queues", "q2"}) + number(now, {"queues", "writers"});
  if (2 * (before_devices + before_disk) <= slots) return "source";
  return before_devices >= before_disk ? "devices" : "writer";
}

std::string many(std::size_t count, const char* one, const char* more) {
  return std::to_string(count) + " " + (count == 1 ? one : more);
}

}  // namespace

json pipeline_of(const json& before, const json& now, double seconds) {
  const double slots = number(now, {"pool", "slots"});
  const auto queued = [&](const char* queue) { return json(number(now, {"queues", queue})); };
  json source = stage("source", many(member(now, {"producers"}).size(), "producer", "producers"), nullptr, slots);
  json q1 = stage("q1", "Q1, for a device", queued("q1"), slots);
  json devices = stage("devices", many(member(now, {"devices"}).size(), "device", "devices"), queued("devices"), slots);
  json q2 = stage("q2", "Q2, for a writer", queued("q2"), slots);
  json writer = stage("writer", many(member(now, {"writers"}).size(), "writer", "writers"), queued("writers"), slots);
  source["per_s"] = per_s(before, now, seconds, {{"lifetime", "committed"}});
  devices["per_s"] = per_s(before, now, seconds, {{"lifetime", "inferred"}});
  writer["per_s"] = per_s(before, now, seconds, {{"lifetime", "written"}, {"lifetime", "filtered"}});
  devices["busy"] = busy(before, now, seconds);
  add_times(q1, now, "q1_wait");
  add_times(devices, now, "infer");
  add_times(q2, now, "q2_wait");
  add_times(writer, now, "write");
  json stages = {std::move(source), std::move(q1), std::move(devices), std::move(q2), std::move(writer)};
  const std::string slowest = slowest_of(now, slots);
  for (json& each : stages) each["slowest"] = each["stage"] == slowest;
  return stages;
}

}  // namespace peaknet::ctl
