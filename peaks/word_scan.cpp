#include "peaks/word_scan.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace peaknet::writer {
namespace {

std::size_t next_plain(const std::uint64_t* words, std::size_t begin, std::size_t end) {
  std::size_t i = begin;
  for (; i + 4 <= end; i += 4) {
    if ((words[i] | words[i + 1] | words[i + 2] | words[i + 3]) != 0) break;
  }
  while (i < end && words[i] == 0) ++i;
  return i;
}

#if defined(__x86_64__)

// Each version skips blocks of four vectors that are zero and leaves the last step, within a block or at the end, to
// the plain one.

__attribute__((target("sse2"))) std::size_t next_sse2(const std::uint64_t* words, std::size_t begin, std::size_t end) {
  std::size_t i = begin;
  const __m128i zero = _mm_setzero_si128();
  for (; i + 8 <= end; i += 8) {
    const auto* at = reinterpret_cast<const __m128i*>(words + i);
    const __m128i low = _mm_or_si128(_mm_loadu_si128(at), _mm_loadu_si128(at + 1));
    const __m128i high = _mm_or_si128(_mm_loadu_si128(at + 2), _mm_loadu_si128(at + 3));
    if (_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_or_si128(low, high), zero)) != 0xffff) break;
  }
  return next_plain(words, i, end);
}

__attribute__((target("avx2"))) std::size_t next_avx2(const std::uint64_t* words, std::size_t begin, std::size_t end) {
  std::size_t i = begin;
  for (; i + 16 <= end; i += 16) {
    const auto* at = reinterpret_cast<const __m256i*>(words + i);
    const __m256i low = _mm256_or_si256(_mm256_loadu_si256(at), _mm256_loadu_si256(at + 1));
    const __m256i high = _mm256_or_si256(_mm256_loadu_si256(at + 2), _mm256_loadu_si256(at + 3));
    const __m256i all = _mm256_or_si256(low, high);
    if (_mm256_testz_si256(all, all) == 0) break;
  }
  return next_plain(words, i, end);
}

__attribute__((target("avx512f"))) std::size_t next_avx512(const std::uint64_t* words, std::size_t begin,
                                                           std::size_t end) {
  std::size_t i = begin;
  for (; i + 32 <= end; i += 32) {
    const __m512i low = _mm512_or_si512(_mm512_loadu_si512(words + i), _mm512_loadu_si512(words + i + 8));
    const __m512i high = _mm512_or_si512(_mm512_loadu_si512(words + i + 16), _mm512_loadu_si512(words + i + 24));
    const __m512i all = _mm512_or_si512(low, high);
    if (_mm512_test_epi64_mask(all, all) != 0) break;
  }
  for (; i + 8 <= end; i += 8) {
    const __m512i some = _mm512_loadu_si512(words + i);
    const unsigned hits = _mm512_test_epi64_mask(some, some);
    if (hits != 0) return i + static_cast<std::size_t>(__builtin_ctz(hits));
  }
  return next_plain(words, i, end);
}

bool processor_has(SimdLevel level) {
  switch (level) {
    case SimdLevel::plain:
      return true;
    case SimdLevel::sse2:
      return __builtin_cpu_supports("sse2") != 0;
    case SimdLevel::avx2:
      return __builtin_cpu_supports("avx2") != 0;
    case SimdLevel::avx512:
      return __builtin_cpu_supports("avx512f") != 0;
  }
  return false;
}

#else

bool processor_has(SimdLevel level) { return level == SimdLevel::plain; }

#endif

}  // namespace

std::string_view name(SimdLevel level) {
  switch (level) {
    case SimdLevel::plain:
      return "plain";
    case SimdLevel::sse2:
      return "sse2";
    case SimdLevel::avx2:
      return "avx2";
    case SimdLevel::avx512:
      return "avx512";
  }
  return "unknown";
}

std::vector<SimdLevel> available_simd_levels() {
  std::vector<SimdLevel> levels;
  for (const SimdLevel level : {SimdLevel::plain, SimdLevel::sse2, SimdLevel::avx2, SimdLevel::avx512}) {
    if (processor_has(level)) levels.push_back(level);
  }
  return levels;
}

SimdLevel best_simd_level() {
  for (const SimdLevel level : {SimdLevel::avx512, SimdLevel::avx2, SimdLevel::sse2}) {
    if (processor_has(level)) return level;
  }
  return SimdLevel::plain;
}

NextNonzeroWord next_nonzero_word(SimdLevel level) {
#if defined(__x86_64__)
  switch (level) {
    case SimdLevel::sse2:
      return next_sse2;
    case SimdLevel::avx2:
      return next_avx2;
    case SimdLevel::avx512:
      return next_avx512;
    case SimdLevel::plain:
      break;
  }
#else
  static_cast<void>(level);
#endif
  return next_plain;
}

}  // namespace peaknet::writer
