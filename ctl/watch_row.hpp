// A line of `watch`: what changed from one peaknet.stats/1 document to the next, in columns of fixed width, so that
// lines of different times stand under each other. Narrow terminals get the columns that matter most, wide ones all.
// Pure functions.
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace peaknet::ctl {

std::string watch_header(std::size_t width);
std::string watch_row(const nlohmann::json& before, const nlohmann::json& now, double seconds, std::size_t width);

}  // namespace peaknet::ctl
