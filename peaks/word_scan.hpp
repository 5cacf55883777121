// Finds the next word that is not zero: nearly all words of a mask are, so this scan is most of the time spent on an
// empty frame. One version per instruction set in one binary; the processor is asked at run time. All versions give the
// same answer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace peaknet::writer {

enum class SimdLevel { plain, sse2, avx2, avx512 };

std::string_view name(SimdLevel level);

// What this processor can run, slowest first; `plain` is always there.
std::vector<SimdLevel> available_simd_levels();

// The fastest of them. Cheap to call.
SimdLevel best_simd_level();

// Index of the first word in [begin, end) that is not zero, or `end`. Reads no word outside [begin, end).
using NextNonzeroWord = std::size_t (*)(const std::uint64_t* words, std::size_t begin, std::size_t end);

// The version for `level`, which must be an available one.
NextNonzeroWord next_nonzero_word(SimdLevel level);

}  // namespace peaknet::writer
