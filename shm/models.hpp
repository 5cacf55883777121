// Models: the table of what made results, on the control segment (ModelRecord). The daemon enters a model before its
// first result; a writer asks by the number that the frame carries.
#pragma once

#include <cstdint>
#include <string>

#include "shm/layout.hpp"

namespace peaknet::shm {

struct ModelFacts {
  std::string path, sha256, kind, golden, rows;
  std::string bad_pixels = {};  // digest (config/pixel_values.hpp) of those that its input leaves out; "" without
};

// The daemon, one thread at a time. The number of a model that is in the table already (same path, same digests)
// is kept.
std::uint64_t enter_model(ControlLayout& layout, const ModelFacts& facts);

// Any process. Null: number 0, or kModels others came after it.
const ModelRecord* model_of(const ControlLayout& layout, std::uint64_t number);

// Any process. The one that was entered last; null: none was.
const ModelRecord* newest_model(const ControlLayout& layout);

}  // namespace peaknet::shm
