// Completion scripts of a program for the shells, from what it understands (command_line.hpp), so that they cannot
// offer anything else. Pure functions.
#pragma once

#include <string>

#include "base/command_line.hpp"

namespace peaknet {

// For `shell`: bash, zsh or fish. "" for another.
std::string completion_script(const CommandText& program, const std::string& shell);

}  // namespace peaknet
