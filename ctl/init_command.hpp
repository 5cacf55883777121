// peaknetctl init: a commented configuration for a new instance, and a look at what it still needs. Needs no daemon.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "ctl/exit_code.hpp"
#include "ctl/options.hpp"

namespace peaknet::ctl {

// YAML with the keys that people change and those of `settings` ("pool.slots=128"), each with its meaning above it.
// `file`: where it will lie, which decides where the files of the instance go. Errors: those of config::load.
Result<std::string> commented_configuration(const std::string& instance, const std::string& file,
                                            const std::vector<std::string>& settings);

// Writes it to --config, without that to /etc/peaknet/NAME.yaml; a file that is there is never changed. Then what
// `config check` and `doctor` say of it, and what to do next. ExitCode::failed also where the file was written and
// something is bad. Errors: init.exists, init.cannot-write.
ExitCode init(const Options& options, std::ostream& out, std::ostream& err);

}  // namespace peaknet::ctl
