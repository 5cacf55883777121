// Tune: how long the configured model takes on each device for each batch size and depth, and which to choose. Runs
// without shared memory and beside no daemon: it has the devices for itself. What runs is what the engine runs: images
// to the device, counts to the network's input, network, bits, bits back.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "config/config.hpp"

namespace peaknet::service {

struct TuneLatency {  // of one batch alone on the device, in milliseconds
  double mean = 0, stddev = 0, min = 0, median = 0, p95 = 0, p99 = 0, max = 0;
};
struct TuneRow {
  std::uint32_t events = 0, rows = 0;  // of the batch; rows = events x panels
  TuneLatency latency;
  double upload_ms = 0, compute_ms = 0, download_ms = 0;  // means of its stages; 0 where the device has no clock
  bool replayed = false;                                  // as a graph
  std::vector<double> events_per_s;                       // at depth 1, 2, 3
  std::uint64_t memory_used = 0;                          // of the device so far, above what it was before
  bool within_memory = true;                              // below engine.memory_fraction of the device
};
struct TuneReport {
  std::string device, model, h2d_mode;
  std::string clock;                                // that the latencies are by: "device" (its events) or "host"
  std::string graphs;                               // see RecordedModel::summary
  std::uint64_t memory_total = 0, memory_free = 0;  // before
  std::vector<TuneRow> rows;
  std::string stopped;                 // why larger batches were not tried; "" if all were
  std::uint32_t batch = 0, depth = 0;  // to choose: the smallest within 3 % of the highest rate; 0: nothing fits
};

// One report for each device of engine.devices. `say` is told what is being measured. Errors: those of plan_devices, of
// the device and of the model.
Result<std::vector<TuneReport>> tune(const config::Config& config, const std::function<void(const std::string&)>& say);

nlohmann::json to_json(const std::vector<TuneReport>& reports);  // a peaknet.tune/1 document
std::string to_table(const std::vector<TuneReport>& reports);

}  // namespace peaknet::service
