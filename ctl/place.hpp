// Place: which instance a command line means, and where its daemon listens.
#pragma once

#include <string>

#include "base/result.hpp"
#include "config/config.hpp"
#include "control/client.hpp"
#include "ctl/options.hpp"

namespace peaknet::ctl {

struct Place {
  std::string instance;
  std::string endpoint;  // "" if the instance was named and has no page that could tell
  std::string monitor;
  control::ClientKeys keys;  // with --config, for tcp://
};

// Of a configuration. The sockets are those that its instance's counters page names, if there is one.
Place place_of(const config::Config& config);

// From --config, with the sockets that its instance's counters page names if there is one; else from the counters page
// of --instance, or of the instance that is meant without one (instance_choice.hpp); one that has no page is no error.
// Errors: those of the configuration, of the choice, and of a page that is there and cannot be read.
Result<Place> find_place(const Options& options);

}  // namespace peaknet::ctl
