// What model.path and shedding.model may be, told from the path alone: for peaknetd before it
// starts anything, and for peaknetctl doctor. Links neither torch nor CUDA. Any thread.
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"

namespace peaknet::model {

// "builtin:identity" and its like, which need no file.
bool is_builtin(const std::string& path);
// A compiled package, by its name.
bool is_package(const std::string& path);

// Refuse what cannot be loaded before anything is started: existence, kind and who may write the file or the
// folders it lies in. A model file is code. `key` of the configuration has the path. Errors: model.missing (no path, or
// no such file), model.unsafe, model.unknown-kind.
Status check_model_path(const std::string& path, const std::string& key = "model.path");

// Refuse a file whose SHA-256 is not among `allow` (model.allow; empty: any). Error: model.not-allowed.
Status check_allowed(const std::string& path, const std::string& sha256, const std::vector<std::string>& allow);

}  // namespace peaknet::model
