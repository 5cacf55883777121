#include "ctl/reach.hpp"

#include <memory>
#include <nlohmann/json.hpp>

#include "control/client.hpp"
#include "control/methods.hpp"
#include "control/status_documents.hpp"
#include "ctl/instance_view.hpp"

namespace peaknet::ctl {
namespace {

// The owner's lock says whether a daemon lives. A reader without the right to ask for it goes by the heartbeat.
Error explained(const Target& target, const Error& error) {
  if (error.id != "control.not-running") return error;
  const auto control_segment = InstanceView::open_control_segment(target.instance);
  if (!control_segment || !control::daemon_alive(**control_segment).value_or(false)) return error;
  const auto pid = (*control_segment)->layout().daemon.pid.load();
  return {"control.unreachable",
          "peaknetd of instance '" + target.instance + "' runs (pid " + std::to_string(pid) + ") but nobody serves " +
              target.endpoint,
          "nothing was asked; frames are processed",
          "again in a second: it notices that its socket is gone and binds it again. If it stays so: peaknetctl "
          "errors"};
}

Result<nlohmann::json> ask_socket(const Target& target, const std::string& method, const nlohmann::json& params,
                                  std::chrono::milliseconds at_most) {
  auto client = control::Client::connect(target.endpoint, target.keys);
  if (!client && client.error().id == "control.denied" && control::is_read_only(method) && !target.monitor.empty()) {
    if (auto monitor = control::Client::connect(target.monitor, target.keys)) client = std::move(monitor);
  }
  if (!client) return client.error();
  return (*client)->call(method, params, at_most);
}

}  // namespace

Result<nlohmann::json> ask(const Target& target, const std::string& method, const nlohmann::json& params,
                           std::chrono::milliseconds at_most) {
  if (target.endpoint.empty()) {
    return with_near_name(target.instance, {"control.not-running",
                                            "no peaknetd of instance '" + target.instance +
                                                "' runs on this machine, and none has left its memory",
                                            "", "check the name; peaknetctl instances shows what is here"});
  }
  auto reply = ask_socket(target, method, params, at_most);
  if (!reply) return explained(target, reply.error());
  return reply;
}

}  // namespace peaknet::ctl
