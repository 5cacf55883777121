// Which instance is meant by a command line that names none: that of PEAKNET_INSTANCE, else the only one of this
// machine; where several have shared memory, the only one that a peaknetd holds.
#pragma once

#include <string>

#include "base/result.hpp"

namespace peaknet::ctl {

// Errors: control.not-running (there is none), instance.several (with their names).
Result<std::string> chosen_instance();

}  // namespace peaknet::ctl
