// The documents of peaknetd as text for people. Pure functions of the document; a missing or odd member shows as "-",
// because the document may come from a daemon of another version.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace peaknet::ctl {

std::string render_status(const nlohmann::json& document);
std::string render_stats(const nlohmann::json& document);
std::string render_start(const nlohmann::json& reply);
std::string render_stop(const nlohmann::json& reply);
std::string render_rebuffer(const nlohmann::json& reply);
std::string render_model(const nlohmann::json& document);
std::string render_model_load(const nlohmann::json& reply);
std::string render_errors(const nlohmann::json& document);
std::string render_instances(const nlohmann::json& document);
// Of `watch`: the titles of the columns, and a line under them with what changed from one peaknet.stats/1 document to
// the next.
std::string watch_header();
std::string watch_row(const nlohmann::json& before, const nlohmann::json& now, double seconds);
std::string render_producers(const nlohmann::json& document);
std::string render_writers(const nlohmann::json& document);
std::string render_trace(const nlohmann::json& document);
std::string render_view(const nlohmann::json& document);
std::string render_reload(const nlohmann::json& reply);
std::string render_keygen(const nlohmann::json& document);
std::string render_health(const nlohmann::json& document);
// Of `top`: the whole picture, from two peaknet.stats/1 documents (the first may be null) of which the later has a
// peaknet.status/1 document as `status`.
std::string render_top(const nlohmann::json& before, const nlohmann::json& now, double seconds);
std::string render_doctor(const nlohmann::json& document);
std::string render_version(const nlohmann::json& reply);

}  // namespace peaknet::ctl
