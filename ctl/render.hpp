// The documents of peaknetd as text for people, in lines of at most `width` columns (a path that is longer stays whole,
// in a line of its own). Pure functions of the document; a missing or odd member shows as "-", because the document may
// come from a daemon of another version.
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace peaknet::ctl {

// render_state.cpp: what the instance is at
std::string render_status(const nlohmann::json& document, std::size_t width);
std::string render_stats(const nlohmann::json& document, std::size_t width);
std::string render_producers(const nlohmann::json& document, std::size_t width);
std::string render_writers(const nlohmann::json& document, std::size_t width);
std::string render_model(const nlohmann::json& document, std::size_t width);

// render_findings.cpp: what was found
std::string render_health(const nlohmann::json& document, std::size_t width);
std::string render_doctor(const nlohmann::json& document, std::size_t width);
std::string render_history(const nlohmann::json& document, std::size_t width);
std::string render_errors(const nlohmann::json& document, std::size_t width);
std::string render_instances(const nlohmann::json& document, std::size_t width);
std::string render_trace(const nlohmann::json& document, std::size_t width);

// render_replies.cpp: what a command did
std::string render_start(const nlohmann::json& reply, std::size_t width);
std::string render_stop(const nlohmann::json& reply, std::size_t width);
std::string render_rebuffer(const nlohmann::json& reply, std::size_t width);
std::string render_reload(const nlohmann::json& reply, std::size_t width);
std::string render_model_load(const nlohmann::json& reply, std::size_t width);
std::string render_view(const nlohmann::json& document, std::size_t width);
std::string render_keygen(const nlohmann::json& document, std::size_t width);
std::string render_version(const nlohmann::json& document, std::size_t width);

}  // namespace peaknet::ctl
