// AOTInductor packages (.pt2): networks that were compiled for one kind of device, each for a fixed number of rows.
// This header is all that the rest of the program sees of them. What a package must say of itself: package_facts.hpp.
//
// The package is unpacked once into the model cache (package_cache.hpp) and its code is loaded from there: LibTorch's
// own AOTIModelPackageLoader unpacks into a new folder at each load, and code that was loaded is never unmapped, so
// every reload would grow the process; the same folder maps the same code again. Each model runs single-threaded: the
// engine has one thread for each device, and the other mode makes a run wait for the one before it.
//
// A run is refused that does not fit: the code does not look at shape, type, strides or alignment, it reads past the
// end.
#pragma once

#include "daemon/model/model.hpp"

namespace peaknet::model {

// `sha256`: of the file. Errors: model.unreadable (no package, or cut), model.wrong-device (made for another device,
// GPU, processor or LibTorch), model.bad-package (what it says of itself is missing or does not fit together),
// model.cache (it cannot be unpacked), model.not-built.
Result<std::unique_ptr<Model>> load_package_model(const ModelRequest& request, const std::string& sha256);

}  // namespace peaknet::model
