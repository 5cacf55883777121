// Exit codes of peaknetctl; documented in docs/protocol.md and tested. Scripts rely on them.
#pragma once

#include <string_view>

namespace peaknet::ctl {

enum class ExitCode : int {
  ok = 0,
  failed = 1,       // the daemon refused, or the operation failed
  usage = 2,        // the command line or the configuration file is wrong
  not_running = 3,  // no daemon of that instance
  unknown = 4,      // no answer in time, or what was waited for did not come
  denied = 5,       // file permissions
  version = 6,      // the programs are of different versions
  degraded = 7,     // status --check: it runs, but something is wrong
};

// What an Error with this id ends peaknetctl with (base/error_ids.inc).
ExitCode exit_code(std::string_view error_id);

}  // namespace peaknet::ctl
