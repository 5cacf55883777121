#include "ctl/instance_config.hpp"

#include <chrono>
#include <nlohmann/json.hpp>

#include "config/from_yaml.hpp"
#include "ctl/reach.hpp"

namespace peaknet::ctl {

Result<config::Config> config_of(const Options& options, const Target& target) {
  if (options.instance.empty() && !options.config.empty()) return config::load(options.config, {});
  const auto reply = ask(target, "config", nlohmann::json::object(), options.timeout.value_or(std::chrono::seconds(2)));
  if (!reply) return reply.error();
  return config::from_yaml(reply->value("yaml", ""), "the configuration of instance '" + target.instance + "'");
}

}  // namespace peaknet::ctl
