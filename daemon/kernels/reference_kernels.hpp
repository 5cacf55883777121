// The CPU form of the kernels: plain C++, the reference that the CUDA form must equal bit for bit. Thread-compatible:
// one object serves one device; calls come from its compute stream alone.
#pragma once

#include "daemon/kernels/kernels.hpp"

namespace peaknet::kernels {

class ReferenceKernels final : public Kernels {
 public:
  void before(const FrameLayout& layout, const std::byte* const* events, std::uint32_t count, const TensorView& input,
              std::uint64_t* const* odd, void* stream) override;
  using Kernels::after;
  using Kernels::before;
  void after(const FrameLayout& layout, const TensorView& logits, std::uint64_t* const* masks,
             std::uint64_t* const* not_finite, std::uint32_t count, void* stream) override;
};

// Mean and scale over the padded event (zeros of the padding included), as the reference preprocessing defines them.
// Integer pixels are summed exactly (128-bit), float32 and calibrated pixels in double with two passes.
Normalisation normalisation_of(const FrameLayout& layout, const std::byte* event);

}  // namespace peaknet::kernels
