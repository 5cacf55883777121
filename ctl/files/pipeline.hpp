// The pipeline as stages, from two peaknet.stats/1 documents: how full each is, how fast, how long a frame takes, how
// busy the devices are, and which stage holds the others back. Pure function.
#pragma once

#include <nlohmann/json_fwd.hpp>

namespace peaknet::ctl {

// [{"stage", "label", "frames", "share", "per_s", "p50_us", "p99_us", "busy", "slowest"}]: source, q1, devices, q2,
// writer. "share": of the pool's slots. What is not known is null. "slowest" is true for one stage at most: the source
// where the frames leave the pool at least half free, else where most of them wait; none while no run is active.
nlohmann::json pipeline_of(const nlohmann::json& before, const nlohmann::json& now, double seconds);

}  // namespace peaknet::ctl
