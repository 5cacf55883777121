// The completion scripts of peaknetctl, from its command line (options.hpp), so that they cannot
// say anything else than what it understands (its manual page: base/command_line.hpp). Pure functions.
#pragma once

#include <string>

#include "ctl/options.hpp"

namespace peaknet::ctl {

// For `shell`: bash, zsh or fish. "" for another.
std::string completion_script(const CommandText& program, const std::string& shell);

}  // namespace peaknet::ctl
