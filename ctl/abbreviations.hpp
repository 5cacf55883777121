// Abbreviations: a command line with its words in full. Any beginning of a command or of a long option that only one
// of those that may stand there has is taken for it; a name that is whole is never another's beginning. For fingers,
// not for scripts: a command that comes later may make a beginning ambiguous.
//
// CLI11 knows this from 2.5 on (allow_subcommand_prefix_matching, commands alone); Debian 12 has 2.1.
//
// Pure functions.
#pragma once

#include <string>
#include <vector>

#include "base/command_line.hpp"
#include "base/result.hpp"

namespace peaknet::ctl {

// `words`: the program's name first. What is not known stays as it is. Errors: cli.usage, for a beginning that several
// have, with their names.
Result<std::vector<std::string>> expanded(const CommandText& program, std::vector<std::string> words);

}  // namespace peaknet::ctl
