#include "base/bit_shuffle.hpp"

#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace peaknet {
namespace {

// Transposes an 8 x 8 matrix of bits: bit k of byte b becomes bit b of byte k (Hacker's Delight 7-3). Its own inverse.
std::uint64_t transpose_8x8(std::uint64_t x) {
  std::uint64_t t = (x ^ x >> 7) & 0x00aa'00aa'00aa'00aaULL;
  x ^= t ^ t << 7;
  t = (x ^ x >> 14) & 0x0000'cccc'0000'ccccULL;
  x ^= t ^ t << 14;
  t = (x ^ x >> 28) & 0x0000'0000'f0f0'f0f0ULL;
  return x ^ t ^ t << 28;
}

// The bytes of the elements, plane by plane: all lowest bytes, then all second bytes, ...
void split_bytes(const std::byte* in, std::byte* planes, std::size_t elements, std::size_t element_bytes) {
  std::size_t i = 0;
#if defined(__SSE2__)
  if (element_bytes == 2) {
    const __m128i low = _mm_set1_epi16(0x00ff);
    for (; i + 16 <= elements; i += 16) {
      const __m128i a = _mm_loadu_si128(reinterpret_cast<const __m128i*>(in + 2 * i));
      const __m128i b = _mm_loadu_si128(reinterpret_cast<const __m128i*>(in + 2 * i + 16));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(planes + i),
                       _mm_packus_epi16(_mm_and_si128(a, low), _mm_and_si128(b, low)));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(planes + elements + i),
                       _mm_packus_epi16(_mm_srli_epi16(a, 8), _mm_srli_epi16(b, 8)));
    }
  }
#endif
  for (; i < elements; ++i) {
    for (std::size_t e = 0; e < element_bytes; ++e) planes[e * elements + i] = in[i * element_bytes + e];
  }
}

void join_bytes(const std::byte* planes, std::byte* out, std::size_t elements, std::size_t element_bytes) {
  std::size_t i = 0;
#if defined(__SSE2__)
  if (element_bytes == 2) {
    for (; i + 16 <= elements; i += 16) {
      const __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(planes + i));
      const __m128i high = _mm_loadu_si128(reinterpret_cast<const __m128i*>(planes + elements + i));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 2 * i), _mm_unpacklo_epi8(low, high));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 2 * i + 16), _mm_unpackhi_epi8(low, high));
    }
  }
#endif
  for (; i < elements; ++i) {
    for (std::size_t e = 0; e < element_bytes; ++e) out[i * element_bytes + e] = planes[e * elements + i];
  }
}

// One plane of bytes to its eight rows of bits.
void split_bits(const std::byte* plane, std::byte* rows, std::size_t elements) {
  const std::size_t row = elements / 8;
  std::size_t i = 0;
#if defined(__SSE2__)
  for (; i + 16 <= elements; i += 16) {
    __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(plane + i));
    for (std::size_t b = 8; b-- > 0;) {
      const auto bits = static_cast<std::uint16_t>(_mm_movemask_epi8(bytes));
      std::memcpy(rows + b * row + i / 8, &bits, 2);
      bytes = _mm_slli_epi64(bytes, 1);
    }
  }
#endif
  for (; i < elements; i += 8) {
    std::uint64_t bits = 0;
    std::memcpy(&bits, plane + i, 8);
    bits = transpose_8x8(bits);
    for (std::size_t b = 0; b < 8; ++b) rows[b * row + i / 8] = static_cast<std::byte>(bits >> (8 * b));
  }
}

void join_bits(const std::byte* rows, std::byte* plane, std::size_t elements) {
  const std::size_t row = elements / 8;
  for (std::size_t i = 0; i < elements; i += 8) {
    std::uint64_t bits = 0;
    for (std::size_t b = 0; b < 8; ++b) bits |= static_cast<std::uint64_t>(rows[b * row + i / 8]) << (8 * b);
    bits = transpose_8x8(bits);
    std::memcpy(plane + i, &bits, 8);
  }
}

}  // namespace

void bit_shuffle(const std::byte* in, std::byte* out, std::byte* scratch, std::size_t elements,
                 std::size_t element_bytes) {
  split_bytes(in, scratch, elements, element_bytes);
  for (std::size_t e = 0; e < element_bytes; ++e) split_bits(scratch + e * elements, out + e * elements, elements);
}

void bit_unshuffle(const std::byte* in, std::byte* out, std::byte* scratch, std::size_t elements,
                   std::size_t element_bytes) {
  for (std::size_t e = 0; e < element_bytes; ++e) join_bits(in + e * elements, scratch + e * elements, elements);
  join_bytes(scratch, out, elements, element_bytes);
}

}  // namespace peaknet
