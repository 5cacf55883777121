// Some commands of peaknetctl read the files of runs, or draw. They are carried out by a program of their own,
// peaknetctl-files (ctl/files), which this process becomes: HDF5 and Cairo need three dozen libraries that nothing else
// here does, and loading them costs more than all the rest of `peaknetctl status`. Who types the command sees one
// program.
#pragma once

#include <string_view>

#include "base/result.hpp"
#include "ctl/options.hpp"

namespace peaknet::ctl {

bool is_about_files(std::string_view command);

// This process becomes peaknetctl-files with `options.words`: same process id, streams, environment and working folder.
// It is looked for from where this program lies: ../libexec/peaknet, installed and in a build tree. Returns only where
// it cannot be started: cli.part-missing.
Error exec_files_tool(const Options& options);

}  // namespace peaknet::ctl
