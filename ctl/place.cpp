#include "ctl/place.hpp"

#include <utility>

#include "control/endpoint.hpp"
#include "ctl/instance_choice.hpp"
#include "ctl/page.hpp"

namespace peaknet::ctl {

Place place_of(const config::Config& config) {
  Place place{config.instance,
              config.control.endpoint,
              config.control.monitor,
              {config.control.curve_server, config.control.curve_client_key}};
  // Where the daemon listens depends on its environment, not on ours. A tcp:// address may be on another node, whose
  // instance has the same name.
  if (control::is_tcp(place.endpoint)) return place;
  if (const auto page = Page::open_directory(place.instance)) {
    const auto& daemon = (*page)->layout().daemon;
    if (auto endpoint = daemon.endpoint.load(); !endpoint.empty()) place.endpoint = std::move(endpoint);
    if (auto monitor = daemon.monitor.load(); !monitor.empty()) place.monitor = std::move(monitor);
  }
  return place;
}

Result<Place> find_place(const Options& options) {
  if (options.instance.empty() && !options.config.empty()) {
    const auto config = config::load(options.config, {});
    if (!config) return config.error();
    return place_of(*config);
  }
  const auto instance = options.instance.empty() ? chosen_instance() : Result<std::string>(options.instance);
  if (!instance) return instance.error();
  const auto page = Page::open_directory(*instance);
  if (!page) {
    if (page.error().id == "shm.absent") return Place{*instance, "", "", {}};
    return page.error();
  }
  const auto& daemon = (*page)->layout().daemon;
  return Place{*instance, daemon.endpoint.load(), daemon.monitor.load(), {}};
}

}  // namespace peaknet::ctl
