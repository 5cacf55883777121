// Golden: an input of a network and the mask that it made of it where it was exported, stored beside the model. The
// daemon runs it before it believes a model: a file that was damaged, a compiler that was wrong, or a device that
// calculates otherwise shows here and not in the data.
//
// Two NumPy files (numpy.save): MODEL.golden.input.npy, float32 (rows, 1, H, W), and MODEL.golden.mask.npy, uint8
// (rows, H, W), 1 where class 1 won. models/README.md, section "golden".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "daemon/kernels/tensor_view.hpp"

namespace peaknet::model {

struct Golden {
  std::uint32_t rows = 0, height = 0, width = 0;
  std::vector<float> input;
  std::vector<std::uint8_t> mask;

  // Where the masks differ, and in how many pixels they may: processors round differently, in every precision, and a
  // pixel at the rim of a peak flips. `found` has one byte a pixel.
  struct Verdict {
    std::uint64_t differ = 0, allowed = 0, marked = 0;
    bool good() const { return differ <= allowed; }
  };
  Verdict compare(const std::vector<std::uint8_t>& found) const;
};

// Of the model file at `path`; nothing if there is none (also for a builtin). Errors: model.bad-golden (one of the two
// files alone, or not of the form above), model.unsafe.
Result<std::optional<Golden>> read_golden(const std::string& path);

}  // namespace peaknet::model
