// The arithmetic of one pixel, written once for the CPU and the CUDA kernels: what the two forms compute is this file.
//
// C++17 (nvcc) and free of any library. Sources: preprocessing after lclstreamer's peaknet stage:
// (x - mean) / sqrt(variance + eps) over the padded event, eps 1e-5, population variance;
// postprocessing is the argmax over the classes, ties to the lower class, as torch.argmax: a NaN counts as the largest
// value, the first one wins.
#pragma once

#include <cstdint>

#if defined(__CUDACC__)
#define PEAKNET_HD __host__ __device__
#else
#define PEAKNET_HD
#endif

namespace peaknet::kernels {

constexpr double kNormEpsilon = 1e-5;

// mean and 1/sqrt(variance + eps) of an event; {0, 1} leaves counts as they are.
struct alignas(8) Normalisation {  // a GPU reads it at once
  float mean = 0.0F;
  float scale = 1.0F;
};

// What is known of each pixel of the detector, in the memory of the device; an address that is 0 means: nothing to do.
struct Calibration {
  const float* pedestal = nullptr;    // is subtracted
  const float* gain = nullptr;        // is multiplied by
  const std::uint8_t* bad = nullptr;  // not 0: the pixel says nothing and counts 0
  PEAKNET_HD bool any() const { return pedestal != nullptr || gain != nullptr || bad != nullptr; }
};

// (raw - pedestal) * gain, each step rounded to float32, as NumPy does; 0 for a bad pixel, whatever it holds. It may be
// no number: see zero_if_odd.
PEAKNET_HD inline float calibrated(float raw, std::uint64_t pixel, const Calibration& known) {
  if (known.bad != nullptr && known.bad[pixel] != 0) return 0.0F;
  if (known.pedestal != nullptr) raw = raw - known.pedestal[pixel];
  if (known.gain != nullptr) raw = raw * known.gain[pixel];
  return raw;
}

PEAKNET_HD inline bool is_nan(float value) { return value != value; }
PEAKNET_HD inline bool is_finite(float value) { return value - value == 0.0F; }

// A pixel that holds no number, calibrated or not, is odd and counts 0 like a bad one: NaN would make its whole event
// NaN. Written on bits, so that a compiler takes many pixels at once: a comparison of floats may trap.
union FloatBits {
  float f;
  std::uint32_t u;
};
PEAKNET_HD inline std::uint32_t is_odd(float counts) {
  const FloatBits bits{counts};
  return static_cast<std::uint32_t>((bits.u & 0x7f800000U) == 0x7f800000U);
}
PEAKNET_HD inline float zero_if_odd(float counts) {
  FloatBits bits{counts};
  bits.u &= is_odd(counts) - 1U;
  return bits.f;
}

PEAKNET_HD inline float normalised(float counts, Normalisation n) { return (counts - n.mean) * n.scale; }

// IEEE float32 -> bfloat16 bits, round to nearest even; NaN stays NaN.
PEAKNET_HD inline std::uint16_t to_bfloat16(float value) {
  union {
    float f;
    std::uint32_t u;
  } bits{value};
  if ((bits.u & 0x7fffffffU) > 0x7f800000U) return static_cast<std::uint16_t>((bits.u >> 16) | 0x40U);
  return static_cast<std::uint16_t>((bits.u + 0x7fffU + ((bits.u >> 16) & 1U)) >> 16);
}
// The same for the network's input: no NaN, and what overflows becomes the largest number of its sign, not infinite.
PEAKNET_HD inline std::uint16_t input_bfloat16(float value) {
  const FloatBits bits{value};
  const std::uint32_t half = (bits.u + 0x7fffU + ((bits.u >> 16) & 1U)) >> 16;
  return static_cast<std::uint16_t>(half - static_cast<std::uint32_t>((half & 0x7fffU) == 0x7f80U));
}
PEAKNET_HD inline float from_bfloat16(std::uint16_t value) {
  union {
    std::uint32_t u;
    float f;
  } bits{static_cast<std::uint32_t>(value) << 16};
  return bits.f;
}

// IEEE float32 -> float16 bits, round to nearest even; what overflows becomes `beyond`.
PEAKNET_HD inline std::uint16_t to_float16(float value, std::uint32_t beyond) {
  union {
    float f;
    std::uint32_t u;
  } bits{value};
  const std::uint32_t sign = (bits.u >> 16) & 0x8000U;
  const std::uint32_t magnitude = bits.u & 0x7fffffffU;
  if (magnitude > 0x7f800000U) return static_cast<std::uint16_t>(sign | 0x7e00U);
  if (magnitude >= 0x477ff000U) return static_cast<std::uint16_t>(sign | beyond);  // rounds to 65536 or more
  if (magnitude < 0x38800000U) {                                                   // subnormal or zero
    if (magnitude < 0x33000000U) return static_cast<std::uint16_t>(sign);
    const std::uint32_t exponent = magnitude >> 23;
    const std::uint32_t mantissa = (magnitude & 0x7fffffU) | 0x800000U;
    const std::uint32_t shift = 126U - exponent;  // 14..24
    std::uint32_t half = mantissa >> shift;
    const std::uint32_t rest = mantissa & ((1U << shift) - 1U);
    const std::uint32_t middle = 1U << (shift - 1U);
    if (rest > middle || (rest == middle && (half & 1U) != 0)) ++half;
    return static_cast<std::uint16_t>(sign | half);
  }
  const std::uint32_t rebased = magnitude - 0x38000000U;
  return static_cast<std::uint16_t>(sign | ((rebased + 0xfffU + ((rebased >> 13) & 1U)) >> 13));
}
PEAKNET_HD inline std::uint16_t to_float16(float value) { return to_float16(value, 0x7c00U); }     // infinity
PEAKNET_HD inline std::uint16_t input_float16(float value) { return to_float16(value, 0x7bffU); }  // the largest number
PEAKNET_HD inline float from_float16(std::uint16_t value) {
  const std::uint32_t sign = static_cast<std::uint32_t>(value & 0x8000U) << 16;
  std::uint32_t exponent = (value >> 10) & 0x1fU;
  std::uint32_t mantissa = value & 0x3ffU;
  union {
    std::uint32_t u;
    float f;
  } bits{0};
  if (exponent == 0x1fU) {
    bits.u = sign | 0x7f800000U | (mantissa << 13);
  } else if (exponent != 0) {
    bits.u = sign | ((exponent + 112U) << 23) | (mantissa << 13);
  } else if (mantissa == 0) {
    bits.u = sign;
  } else {
    exponent = 113U;
    while ((mantissa & 0x400U) == 0) {
      mantissa <<= 1;
      --exponent;
    }
    bits.u = sign | (exponent << 23) | ((mantissa & 0x3ffU) << 13);
  }
  return bits.f;
}

// Does class 1 win over class `k` with logits `one` and `other`? Equal logits go to the lower class.
PEAKNET_HD inline bool peak_beats(float one, float other, int k) {
  if (k < 1) return !is_nan(other) && (is_nan(one) || one > other);
  return is_nan(one) || (!is_nan(other) && one >= other);
}

}  // namespace peaknet::kernels
