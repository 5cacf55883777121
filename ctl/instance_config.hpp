// The configuration that an instance goes by, for who names the instance alone.
#pragma once

#include "base/result.hpp"
#include "config/config.hpp"
#include "ctl/options.hpp"
#include "ctl/target.hpp"

namespace peaknet::ctl {

// That of --config, else the one that the daemon of `place` says it works with. Errors: those of config::load() and of
// ask().
Result<config::Config> config_of(const Options& options, const Target& target);

}  // namespace peaknet::ctl
