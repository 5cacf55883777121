// PackageFacts: what one compiled network of a .pt2 package says of itself, and whether this machine may load its code.
// Pure: no torch, no file. Any thread.
//
// The facts are strings that models/export.py writes into the package beside those of torch: peaknet.format "1",
// peaknet.rows, peaknet.shape "rows,1,H,W", peaknet.dtype, peaknet.classes, peaknet.device "cpu" or "cuda",
// peaknet.torch "2.11.0", and peaknet.capability "9.0,10.0" (cuda) or peaknet.isa "avx512" (cpu).
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>

#include "base/result.hpp"
#include "daemon/kernels/tensor_view.hpp"

namespace peaknet::model {

using PackageMetadata = std::map<std::string, std::string>;

struct PackageFacts {
  std::array<std::int64_t, 4> shape{};  // rows, 1, H', W' of the input
  kernels::Element element = kernels::Element::float32;
  std::int64_t classes = 2;
  std::string torch;  // that it was made with
};

// The machine and program that are to load it.
struct PackageHost {
  std::string device;        // "cpu", "cuda:0"
  std::string capability;    // "9.0" of that GPU; "" for the processor
  std::string torch;         // "2.11.0"
  std::string architecture;  // as uname says: "x86_64"
  bool (*has_isa)(const std::string& name);
};

// Does this processor run code compiled for "avx2", "avx512", "avx512_vnni", "amx_tile"? False for names not known
// here.
bool processor_has(const std::string& isa);

// `name` is the network's, as "rows_4", `path` the package's, for messages. Errors: model.bad-package,
// model.wrong-device.
Result<PackageFacts> check_package(const std::string& path, const std::string& name, const PackageMetadata& metadata,
                                   const PackageHost& host);

}  // namespace peaknet::model
