// What `peaknetd tune` found: values, as a document and as tables.
//
// A speed-up is over the sequential form: one buffer on one device, and a wait after each step (upload, network,
// download). What several devices do together is measured while all of them work; what they do alone is added up
// beside it, and the difference is what they cost each other.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace peaknet::supervisor {

inline constexpr std::uint32_t kTuneDepths = 3;  // 1, 2, 3

struct TuneOptions {                     // what is asked for
  double seconds = 2;                    // for each figure, but for 10 runs at least
  std::vector<std::uint32_t> batches{};  // events; also more than engine.batch; empty: 1, 2, 4, ... engine.batch
};

struct TuneLatency {  // of one batch alone on the device, in milliseconds
  std::uint32_t runs = 0;
  double mean = 0, stddev = 0, min = 0, median = 0, p95 = 0, p99 = 0, max = 0;
};
// The upload of one batch, in milliseconds: as it goes, and as it would from memory that the device reaches straight.
struct TuneDetour {
  double taken_ms = 0, straight_ms = 0;
};
struct TuneRow {
  std::uint32_t events = 0, rows = 0;  // of the batch; rows = events x panels
  TuneLatency latency;
  double upload_ms = 0, compute_ms = 0, download_ms = 0;  // means of its stages; 0 where the device has no clock
  bool replayed = false;                                  // as a graph
  double sequential = 0;                                  // events/s of the sequential form
  std::vector<double> events_per_s;                       // at depth 1, 2, 3: of all rounds together
  std::vector<double> spread;                             // standard deviation of the rounds' rates, as events_per_s
  std::optional<TuneDetour> detour;                       // nothing: there is none, or its cost is not known
  std::uint64_t memory_used = 0;  // of a GPU so far, on the host the process's own peak; above what it was before
  bool within_memory = true;      // below engine.memory_fraction of the device
};
struct TuneReport {  // of one device alone
  std::string device, model, h2d_mode;
  std::string detour;                               // why images do not go the fast way; "" they do
  std::string clock;                                // that the latencies are by: "device" (its events) or "host"
  std::string graphs;                               // see RecordedModel::summary
  std::string slow_precision;                       // why engine.precision costs time here; "": not known to
  std::uint64_t memory_total = 0, memory_free = 0;  // before
  std::uint64_t model_bytes = 0;                    // that loading the model took: its parameters and its code
  std::vector<TuneRow> rows;
  std::string stopped;                 // why larger batches were not tried; "" if all were
  std::uint32_t batch = 0, depth = 0;  // to choose: the smallest within 3 % of the highest rate; 0: nothing fits
};

struct TuneSum {  // of all devices, at one size of batch
  std::uint32_t events = 0;
  double sequential = 0;                     // of one device: the fastest
  std::vector<double> at_once;               // events/s at depth 1, 2, 3, all devices at the same time
  std::vector<double> alone;                 // the same shapes, of each device alone, added up
  std::vector<std::string> devices;          // names, in the order of `of_each`
  std::vector<std::vector<double>> of_each;  // what each did of `at_once`, by depth
};

// The slots that the images came from.
struct TuneMemory {
  bool shared = false;  // with a pool's kind of memory; else memory of the process
  std::uint32_t slots = 0;
  std::uint64_t bytes = 0;
  std::string note;  // why it is not what a daemon of this configuration has; "" it is
};

struct Tuning {
  TuneMemory memory;
  std::vector<TuneReport> devices;
  std::vector<TuneSum> sums;           // empty: there is one device
  std::uint32_t batch = 0, depth = 0;  // to choose for several devices; 0: nothing fits, or there is one
  Status outcome;                      // why it ended early: what is here was measured before
};

// Fill in what to choose, from the rates.
void recommend(TuneReport& report);
void recommend(Tuning& tuning);

nlohmann::json to_json(const Tuning& tuning);  // a peaknet.tune/1 document
std::string to_table(const Tuning& tuning);

}  // namespace peaknet::supervisor
