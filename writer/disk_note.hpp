// What a writer's note on the counters page says while it waits for room: at most 255 bytes with the remedy and the id
// whole. What is long is a path: its middle goes.
#pragma once

#include <string>

#include "base/result.hpp"

namespace peaknet::writer {

std::string waiting_for_disk(const Error& error);

}  // namespace peaknet::writer
