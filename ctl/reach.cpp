#include "ctl/reach.hpp"

#include <memory>
#include <nlohmann/json.hpp>

#include "control/client.hpp"
#include "control/documents.hpp"
#include "control/methods.hpp"
#include "ctl/page.hpp"

namespace peaknet::ctl {
namespace {

// The owner's lock says whether a daemon lives. A reader without the right to ask for it goes by the heartbeat.
Error explained(const Place& place, const Error& error) {
  if (error.id != "control.not-running") return error;
  const auto directory = Page::open_directory(place.instance);
  if (!directory || !control::daemon_alive(**directory).value_or(false)) return error;
  const auto pid = (*directory)->layout().daemon.pid.load();
  return {"control.unreachable",
          "peaknetd of instance '" + place.instance + "' runs (pid " + std::to_string(pid) + ") but nobody serves " +
              place.endpoint,
          "nothing was asked; frames are processed",
          "again in a second: it notices that its socket is gone and binds it again. If it stays so: peaknetctl "
          "errors"};
}

Result<nlohmann::json> ask_socket(const Place& place, const std::string& method, const nlohmann::json& params,
                                  std::chrono::milliseconds at_most) {
  auto client = control::Client::connect(place.endpoint, place.keys);
  if (!client && client.error().id == "control.denied" && control::is_read_only(method) && !place.monitor.empty()) {
    if (auto monitor = control::Client::connect(place.monitor, place.keys)) client = std::move(monitor);
  }
  if (!client) return client.error();
  return (*client)->call(method, params, at_most);
}

}  // namespace

Result<nlohmann::json> ask(const Place& place, const std::string& method, const nlohmann::json& params,
                           std::chrono::milliseconds at_most) {
  if (place.endpoint.empty()) {
    return with_near_name(place.instance, {"control.not-running",
                                           "no peaknetd of instance '" + place.instance +
                                               "' runs on this machine, and none has left its memory",
                                           "", "check the name; peaknetctl instances shows what is here"});
  }
  auto reply = ask_socket(place, method, params, at_most);
  if (!reply) return explained(place, reply.error());
  return reply;
}

}  // namespace peaknet::ctl
