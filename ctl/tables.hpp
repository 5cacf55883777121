// The tables that several screens show, of peaknet.stats/1 and peaknet.status/1 documents.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "ctl/table.hpp"

namespace peaknet::ctl {

std::string queue_table(const nlohmann::json& document, std::size_t width);
// `whole`: also the columns that stats alone has.
Table device_table(const nlohmann::json& document, bool whole);
Table producer_table(const nlohmann::json& document);
Table writer_table(const nlohmann::json& document);
Table latency_table(const nlohmann::json& document);
std::string latency_line(const nlohmann::json& document, std::size_t width);  // of half of the frames, in one line

// The lines "frames" and "hits" of a document's `frames`, with labels.
std::string frame_lines(const nlohmann::json& frames, std::size_t width);
std::string rate_line(const nlohmann::json& document, std::size_t width);
// "FAILING: no writer is attached (+2 more: status --check)", and what to try, with a label.
std::string health_lines(const nlohmann::json& health, std::size_t width);
// "64 slots of uint16 [1,512,512], epoch 1, when full: block"
std::vector<std::string> pool_facts(const nlohmann::json& document);
std::string shape_of(const nlohmann::json& pool);

}  // namespace peaknet::ctl
