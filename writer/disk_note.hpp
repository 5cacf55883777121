// What a writer's note on the control segment says while it holds its frames: at most 255 bytes with the remedy and the
// id whole. What is long is a path: its middle goes.
#pragma once

#include <string>

#include "base/result.hpp"

namespace peaknet::writer {

std::string note_of_waiting(const Error& error);
std::string log_of_waiting(const Error& error);  // as long as it is

}  // namespace peaknet::writer
