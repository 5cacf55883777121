// TensorView: a 4-D tensor that somebody else owns, by address, shape and strides (in elements). What device, model and
// kernels hand to each other; none of them needs to know where it came from. C++17, plain data.
#pragma once

#include <cstdint>

namespace peaknet::kernels {

enum class Element : std::uint32_t { float32, bfloat16, float16 };

inline constexpr int size_of(Element element) { return element == Element::float32 ? 4 : 2; }

struct TensorView {
  void* data = nullptr;
  Element element = Element::float32;
  std::int64_t shape[4] = {0, 0, 0, 0};    // rows, channels, height, width
  std::int64_t strides[4] = {0, 0, 0, 0};  // elements
};

// Contiguous strides for a shape.
inline TensorView contiguous(void* data, Element element, std::int64_t rows, std::int64_t channels, std::int64_t height,
                             std::int64_t width) {
  return {data, element, {rows, channels, height, width}, {channels * height * width, height * width, width, 1}};
}

}  // namespace peaknet::kernels
