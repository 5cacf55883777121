// Why a run must not begin although the daemon could: nobody would write its results, or there is no room for them.
// (That there is no model, or no device, is known long before: the daemon then does not become ready.) Reads only.
#pragma once

#include <cstdint>

#include "base/result.hpp"
#include "config/config.hpp"

namespace peaknet::supervisor {

// Errors: start.no-writer, unless `no_writer`; start.no-space, where the folder of the files has less room than one
// file of images may take. A folder that is not there, or that the daemon may not see, is the writer's matter.
Status check_start(const config::Config& config, std::uint32_t writers, bool no_writer);

}  // namespace peaknet::supervisor
