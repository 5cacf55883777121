// Kernels: what happens to pixels before and after the network. Two forms, chosen by the device: plain C++
// (reference_kernels) and CUDA (cuda_kernels). Their per-pixel arithmetic is pixel_math.hpp in both.
//
//   before: raw counts of whole events -> float, optional pedestal, gain and bad pixels, 0 for what is no number then,
//           optional instance normalisation over the padded event, zero padding of height and width to the network's
//           size, cast (without overflow) -> the network's input (rows = panels, 1, H', W')
//   after : logits (rows, K, H', W') -> argmax == 1 -> crop to the image -> one bit per pixel, in the pool's mask
//   layout
#pragma once

#include <cstddef>
#include <cstdint>

#include "daemon/kernels/pixel_math.hpp"
#include "daemon/kernels/tensor_view.hpp"

namespace peaknet::kernels {

// How an event lies in the network's input. A value; the same on host and device.
struct FrameLayout {
  std::uint32_t pixel_type = 0;                       // peaknet::PixelType
  std::uint32_t panels = 0, height = 0, width = 0;    // of the event as the pool has it
  std::uint32_t padded_height = 0, padded_width = 0;  // of the network's input
  std::uint32_t top = 0, left = 0;                    // where the image begins in it
  bool normalise = false;
  Calibration calibration{};  // of all pixels of an event, in the memory of the device that the kernels run on

  PEAKNET_HD std::uint64_t words_per_row() const { return (std::uint64_t{width} + 63) / 64; }
  PEAKNET_HD std::uint64_t mask_words() const { return std::uint64_t{panels} * height * words_per_row(); }
};

class Kernels {
 public:
  virtual ~Kernels() = default;

  // events[i] -> rows [i * panels, (i + 1) * panels) of `input`, for i < count. Rows beyond are left as they are
  // (padding of the batch: no operation of the network couples rows). `stream` is the device's own handle. `odd`: null,
  // or for each event the address of a word, in the memory of the device, that becomes the number of its pixels that
  // are NaN or infinite and in no list of bad pixels; they count 0 like those.
  virtual void before(const FrameLayout& layout, const std::byte* const* events, std::uint32_t count,
                      const TensorView& input, std::uint64_t* const* odd, void* stream) = 0;
  void before(const FrameLayout& layout, const std::byte* const* events, std::uint32_t count, const TensorView& input,
              void* stream) {
    before(layout, events, count, input, nullptr, stream);
  }

  // rows of `logits` -> masks[i], the bits of event i, for i < count. logits has at least two classes and the input's
  // height and width. `not_finite`: null, or for each event the address of a word, in the memory of the device, that
  // becomes 1 if a logit of its image (padding aside) is NaN or infinite, else 0.
  virtual void after(const FrameLayout& layout, const TensorView& logits, std::uint64_t* const* masks,
                     std::uint64_t* const* not_finite, std::uint32_t count, void* stream) = 0;
  void after(const FrameLayout& layout, const TensorView& logits, std::uint64_t* const* masks, std::uint32_t count,
             void* stream) {
    after(layout, logits, masks, nullptr, count, stream);
  }
};

}  // namespace peaknet::kernels
