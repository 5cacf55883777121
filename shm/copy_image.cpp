#include "shm/copy_image.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace peaknet::shm {
namespace {

constexpr std::size_t kPiece = std::size_t{256} << 10;

void copy_in_pieces(std::byte* to, std::span<const std::byte> from) {
  while (!from.empty()) {
    const std::size_t bytes = std::min(kPiece, from.size());
    std::memcpy(to, from.data(), bytes);
    to += bytes;
    from = from.subspan(bytes);
  }
}

#if defined(__SSE2__)
constexpr std::size_t kLine = 64;     // bytes of a cache line
constexpr std::size_t kAhead = 4096;  // bytes from where it reads to what it asks for: 1, 2 and 4 KiB were tried

// Past the caches: `to` by streaming stores, `from` with the hint that nobody reads it again.
void copy_streaming(std::byte* to, std::span<const std::byte> from) {
  const std::size_t head = std::min(from.size(), -reinterpret_cast<std::uintptr_t>(to) % kLine);
  std::memcpy(to, from.data(), head);
  to += head;
  from = from.subspan(head);

  const std::size_t lines = from.size() / kLine;
  for (std::size_t line = 0; line < lines; ++line) {
    const std::byte* const source = from.data() + line * kLine;
    _mm_prefetch(from.data() + std::min(line * kLine + kAhead, from.size() - 1), _MM_HINT_NTA);
    for (std::size_t at = 0; at < kLine; at += sizeof(__m128i)) {
      const __m128i value = _mm_loadu_si128(reinterpret_cast<const __m128i*>(source + at));
      _mm_stream_si128(reinterpret_cast<__m128i*>(to + line * kLine + at), value);
    }
  }
  // Streaming stores are in no order with those that follow, not even with release ones.
  _mm_sfence();
  std::memcpy(to + lines * kLine, from.data() + lines * kLine, from.size() % kLine);
}
#endif

}  // namespace

void copy_image(std::byte* to, std::span<const std::byte> from) {
#if defined(__SSE2__)
  if (from.size() >= kStreamedFrom) return copy_streaming(to, from);
#endif
  copy_in_pieces(to, from);
}

}  // namespace peaknet::shm
