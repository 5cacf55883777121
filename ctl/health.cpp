#include "ctl/health.hpp"

#include <cstdint>
#include <nlohmann/json.hpp>
#include <ostream>

#include "ctl/document_output.hpp"
#include "ctl/render.hpp"

namespace peaknet::ctl {
namespace {

using nlohmann::json;

constexpr const char* kUnknown = "unknown";  // a status of another version, or none

std::string text_at(const json& document, const char* key, const char* otherwise) {
  const auto found = document.is_object() ? document.find(key) : document.end();
  return found != document.end() && found->is_string() ? found->get<std::string>() : otherwise;
}

}  // namespace

json health_document(const json& status, ExitCode answered) {
  const json health = status.is_object() ? status.value("health", json()) : json();
  json reasons = health.is_object() ? health.value("reasons", json::array()) : json::array();
  std::string state = text_at(health, "state", kUnknown);
  if (answered != ExitCode::ok && (state == "healthy" || state == kUnknown)) {
    state = "failing";
    reasons.insert(reasons.begin(),
                   json{{"id", "health.no-answer"},
                        {"state", state},
                        {"what", "peaknetd did not answer; this is from the control segment"},
                        {"untouched", "frames may still flow"},
                        {"remedy", "peaknetctl watch: does anything move? systemd starts it again if it hangs"}});
  }
  return {{"schema", "peaknet.health/1"},
          {"instance", text_at(status, "instance", "")},
          {"health", state},
          {"state", text_at(status, "state", kUnknown)},
          {"good", state == "healthy"},
          {"reasons", std::move(reasons)}};
}

ExitCode show_health(const Options& options, const json& status, ExitCode answered, std::ostream& out) {
  const json document = health_document(status, answered);
  show(options, document, render_health, out);
  if (answered != ExitCode::ok) return answered;
  return document["good"] == true ? ExitCode::ok : ExitCode::degraded;
}

}  // namespace peaknet::ctl
