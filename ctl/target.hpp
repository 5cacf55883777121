// Target: which instance a command line means, and where its daemon listens.
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"
#include "config/config.hpp"
#include "control/client.hpp"
#include "ctl/options.hpp"

namespace peaknet::ctl {

struct Target {
  std::string instance;
  std::string endpoint;  // "" if the instance was named and has no control segment that could tell
  std::string monitor;
  control::ClientKeys keys;  // with --config, for tcp://
};

// Of a configuration. The sockets are those that its instance's control segment names, if there is one.
Target target_of(const config::Config& config);

// From --config, with the sockets that its instance's control segment names if there is one; else from the control
// segment of --instance, or of the instance that is meant without one (instance_choice.hpp); one that has no control
// segment is no error. Errors: those of the configuration, of the choice, and of a control segment that is there and
// cannot be read.
Result<Target> find_target(const Options& options);

// The machines of -H, and how the peaknetd of each is asked.
struct HostTargets {
  std::vector<std::string> hosts;
  std::string pattern;  // of their endpoints
  std::string instance;
  control::ClientKeys keys;

  Target of(const std::string& host) const;
};
// Errors: cli.usage, those of the configuration.
Result<HostTargets> find_hosts(const Options& options);

}  // namespace peaknet::ctl
