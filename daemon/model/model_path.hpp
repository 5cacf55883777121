// What model.path may be, told from the path and the file's facts alone: for peaknetd before it starts anything, and
// for peaknetctl doctor. Links neither torch nor CUDA. Any thread.
#pragma once

#include <string>

#include "base/result.hpp"

namespace peaknet::model {

// "builtin:identity" and its like, which need no file.
bool is_builtin(const std::string& path);
// A compiled package, by its name.
bool is_package(const std::string& path);

// Refuse what cannot be loaded before anything is started: existence, kind and who may write the file or the
// folders it lies in. A model file is code. Errors: model.missing (no path, or no such file), model.unsafe,
// model.unknown-kind.
Status check_model_path(const std::string& path);

}  // namespace peaknet::model
