// What a model file is, told from its beginning and the names of its records: nothing of it is loaded. For who checks
// before a start (peaknetd, peaknetctl doctor) and for who loads. Any thread.
#pragma once

#include <string>

#include "base/result.hpp"

namespace peaknet::model {

// Is the file what its name says, a TorchScript network (.pt) or a compiled package (.pt2)? Whatever else it is, is
// told, with the command that makes the right file of it. A builtin is no file, and good. Errors: model.not-a-model,
// model.unreadable (it cannot be read, or it is cut).
Status check_model_form(const std::string& path);

// The same, from a name that peaknetd does not load (.onnx, .ckpt, ...): the command that makes a model of such a file.
std::string remedy_for_name(const std::string& path);

}  // namespace peaknet::model
