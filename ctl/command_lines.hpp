// What another program of this machine says, for findings.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace peaknet::ctl {

// The lines that a command of the shell prints within ten seconds (nvidia-smi hangs where a GPU does, systemctl where
// the manager does); nothing if it fails.
std::optional<std::vector<std::string>> lines_of(const std::string& command);

}  // namespace peaknet::ctl
