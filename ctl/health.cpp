#include "ctl/health.hpp"

#include <cstdint>
#include <nlohmann/json.hpp>
#include <ostream>

#include "ctl/render.hpp"
#include "ctl/show.hpp"

namespace peaknet::ctl {
namespace {

using nlohmann::json;

constexpr double kOldHeartbeatSeconds = 5;

std::string text_at(const json& document, const char* key) {
  const auto found = document.find(key);
  return found != document.end() && found->is_string() ? found->get<std::string>() : "";
}

}  // namespace

std::vector<Error> problems_in(const json& status) {
  std::vector<Error> problems;
  if (!status.is_object()) return {{"health.no-status", "there is no status to look at", "", "peaknetctl doctor"}};
  const std::string state = text_at(status, "state");
  const std::string failure = text_at(status, "failure");
  if (state == "failed" || state == "absent") {
    problems.push_back({"health." + state, "the daemon is " + state + (failure.empty() ? "" : ": " + failure),
                        "frames that wait are kept", "peaknetctl errors, then restart peaknetd"});
  } else if (!failure.empty()) {
    problems.push_back({"health.last-failure", failure, "", "peaknetctl errors"});
  }
  const json daemon = status.value("daemon", json::object());
  const json age = daemon.value("heartbeat_age_s", json());
  if (state != "absent" && age.is_number() && age.get<double>() > kOldHeartbeatSeconds) {
    problems.push_back({"health.heartbeat",
                        "the daemon has not looked after its devices for " + std::to_string(age.get<int>()) + " s", "",
                        "it hangs or is stopped: see its log; systemd ends it after WatchdogSec"});
  }
  for (const json& device : status.value("devices", json::array())) {
    if (text_at(device, "state") == "lost") {
      problems.push_back({"health.device-lost",
                          "device " + text_at(device, "name") + " is lost: " + text_at(device, "error"),
                          "its frames went to the others", "restart peaknetd when the run has ended"});
    }
  }
  if (status.value("balance", std::string{}) == "broken") {
    problems.push_back({"health.imbalance", "frames are unaccounted for", "",
                        "this is a fault of the programs worth a report; peaknetctl audit DIR"});
  }
  std::string refused;
  for (const json& cause : status.value("refusals", json::array())) {
    const json count = cause.value("count", json());
    refused += (refused.empty() ? "" : ", ") + text_at(cause, "id");
    if (count.is_number_unsigned()) refused += " (" + std::to_string(count.get<std::uint64_t>()) + " in all)";
  }
  if (!refused.empty()) {
    problems.push_back({"health.feed", "since the run began a feed could not take what it got: " + refused,
                        "what was taken is not affected",
                        "peaknetctl errors has the last of each cause and its remedy; the next run begins anew"});
  }
  if (state == "running" && status.value("writers", json::array()).empty()) {
    problems.push_back({"health.no-writer", "a run is going on and no writer is attached",
                        "results wait in shared memory",
                        "systemctl start peaknet-writer@" + text_at(status, "instance")});
  }
  return problems;
}

ExitCode show_health(const Options& options, const json& status, ExitCode answered, std::ostream& out) {
  auto problems = problems_in(status);
  if (answered != ExitCode::ok && problems.empty()) {
    problems.push_back({"health.no-answer", "the daemon did not answer; this is from the counters page", "",
                        "peaknetctl watch: does anything move? systemd starts it again if it hangs"});
  }
  json list = json::array();
  for (const Error& problem : problems)
    list.push_back(
        {{"id", problem.id}, {"what", problem.what}, {"untouched", problem.untouched}, {"remedy", problem.remedy}});
  show(options,
       {{"schema", "peaknet.health/1"},
        {"state", text_at(status, "state")},
        {"good", problems.empty() && answered == ExitCode::ok},
        {"problems", std::move(list)}},
       render_health, out);
  if (answered != ExitCode::ok) return answered;
  return problems.empty() ? ExitCode::ok : ExitCode::degraded;
}

}  // namespace peaknet::ctl
