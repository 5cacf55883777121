// The life of peaknet-writer around its loop: check the settings, finish what dead writers left, wait for peaknetd,
// work, and follow the instance when it is taken away and comes again.
#pragma once

#include <stop_token>

#include "config/config.hpp"

namespace peaknet::writer {

// Runs until `stop`, and on while frames are on their way (departure.hpp); then every file is finished and every frame
// not in a file is back in Q2. Whatever the disk or the daemon does on the way is waited out. If the process is killed
// instead, nothing is lost either: the next writer recovers. Throws Fatal for what waiting cannot cure: a setting that
// this program does not know how to obey (exit code 78), an output folder that cannot be made or has no file locks
// (73), shared memory of another version or without permission (69). The reason of the first two is among the errors of
// the instance, where there is one; under systemd (PEAKNET_UNIT) the instance is waited for 10 s to say it.
void serve(const config::Config& config, std::stop_token stop);

}  // namespace peaknet::writer
