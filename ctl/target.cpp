#include "ctl/target.hpp"

#include <utility>

#include "control/endpoint.hpp"
#include "ctl/hosts.hpp"
#include "ctl/instance_choice.hpp"
#include "ctl/instance_view.hpp"

namespace peaknet::ctl {

Target target_of(const config::Config& config) {
  Target target{config.instance,
                config.control.endpoint,
                config.control.monitor,
                {config.control.curve_server, config.control.curve_client_key}};
  // Where the daemon listens depends on its environment, not on ours. A tcp:// address may be on another node, whose
  // instance has the same name.
  if (control::is_tcp(target.endpoint)) return target;
  if (const auto view = InstanceView::open_control_segment(target.instance)) {
    const auto& daemon = (*view)->layout().daemon;
    if (auto endpoint = daemon.endpoint.load(); !endpoint.empty()) target.endpoint = std::move(endpoint);
    if (auto monitor = daemon.monitor.load(); !monitor.empty()) target.monitor = std::move(monitor);
  }
  return target;
}

Result<Target> find_target(const Options& options) {
  if (options.instance.empty() && !options.config.empty()) {
    const auto config = config::load(options.config, {});
    if (config) return target_of(*config);
    // A file that was spoilt meanwhile takes nobody the control of what runs.
    Error error = config.error();
    error.remedy += "; an instance that runs needs no file: --instance NAME";
    return error;
  }
  const auto instance = options.instance.empty() ? chosen_instance() : Result<std::string>(options.instance);
  if (!instance) return instance.error();
  const auto view = InstanceView::open_control_segment(*instance);
  if (!view) {
    if (view.error().id == "shm.absent") return Target{*instance, "", "", {}};
    return view.error();
  }
  const auto& daemon = (*view)->layout().daemon;
  return Target{*instance, daemon.endpoint.load(), daemon.monitor.load(), {}};
}

Target HostTargets::of(const std::string& host) const { return {instance, endpoint_of(pattern, host), "", keys}; }

Result<HostTargets> find_hosts(const Options& options) {
  HostTargets found;
  auto hosts = expand_hosts(options.hosts);
  if (!hosts) return hosts.error();
  found.hosts = std::move(*hosts);
  found.instance = options.instance;
  std::string configured;
  if (!options.config.empty()) {
    const auto config = config::load(options.config, {});
    if (!config) return config.error();
    configured = config->control.endpoint;
    found.keys = {config->control.curve_server, config->control.curve_client_key};
  }
  auto pattern = endpoint_pattern(options.endpoint, configured);
  if (!pattern) return pattern.error();
  found.pattern = std::move(*pattern);
  return found;
}

}  // namespace peaknet::ctl
