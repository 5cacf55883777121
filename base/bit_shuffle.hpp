// Bit transposition of blocks of numbers (Masui et al. 2015, "bitshuffle"): all lowest bits of the block, then all
// second bits, and so on. Detector counts are small numbers, so most of the high bits become long runs of zeros for
// LZ4.
//
// Layout: for an n-element block of E-byte elements, n a multiple of 8, output byte ((e * 8 + b) * n / 8 + i) has as
// its bit k the bit b of byte e (from the low end) of element 8 i + k. Pure functions, any thread.
#pragma once

#include <cstddef>

namespace peaknet {

// `elements` is a multiple of 8; `in` and `out` hold elements * element_bytes bytes and do not overlap. `scratch` holds
// as many.
void bit_shuffle(const std::byte* in, std::byte* out, std::byte* scratch, std::size_t elements,
                 std::size_t element_bytes);
void bit_unshuffle(const std::byte* in, std::byte* out, std::byte* scratch, std::size_t elements,
                   std::size_t element_bytes);

}  // namespace peaknet
