// TorchScript models (.pt): run anywhere LibTorch does. This header is all that the rest of the program sees of them.
#pragma once

#include "daemon/model/model.hpp"

namespace peaknet::model {

// `sha256`: of the file. Errors: model.unreadable, model.not-built.
Result<std::unique_ptr<Model>> load_torchscript_model(const ModelRequest& request, const std::string& sha256);

}  // namespace peaknet::model
