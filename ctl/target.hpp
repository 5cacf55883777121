// Target: which instance a command line means, where its daemon listens, and where its files are.
#pragma once

#include <string>

#include "base/result.hpp"
#include "config/config.hpp"
#include "control/client.hpp"
#include "ctl/options.hpp"

namespace peaknet::ctl {

struct Target {
  std::string instance;
  std::string endpoint;  // "" if the instance was named and has no control segment that could tell
  std::string monitor;
  std::string output_dir;       // with --config
  config::Config::Peaks peaks;  // with --config, else as they are by themselves
  control::ClientKeys keys;     // with --config, for tcp://
  std::string geometry = {};    // output.geometry, with --config; "": none, or not known
};

// Of a configuration. The sockets are those that its instance's control segment names, if there is one.
Target target_of(const config::Config& config);

// From --config, with the sockets that its instance's control segment names if there is one; else from the control
// segment of --instance, or of the instance that is meant without one (instance_choice.hpp); one that has no control
// segment is no error. Errors: those of the configuration, of the choice, and of a control segment that is there and
// cannot be read.
Result<Target> find_target(const Options& options);

}  // namespace peaknet::ctl
