// TorchScript models (.pt): run anywhere LibTorch does. This header is all that the rest of the program sees of torch.
#pragma once

#include "daemon/model/model.hpp"

namespace peaknet::model {

Result<std::unique_ptr<Model>> load_torchscript_model(const ModelRequest& request);

}  // namespace peaknet::model
