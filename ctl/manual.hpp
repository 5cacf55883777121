// The manual page and the completion scripts of peaknetctl, from its command line (options.hpp), so that they cannot
// say anything else than what it understands. Pure functions.
#pragma once

#include <string>

#include "ctl/options.hpp"

namespace peaknet::ctl {

// peaknetctl(1) in roff.
std::string manual_page(const CommandText& program, const std::string& version);

// For `shell`: bash, zsh or fish. "" for another.
std::string completion_script(const CommandText& program, const std::string& shell);

}  // namespace peaknet::ctl
