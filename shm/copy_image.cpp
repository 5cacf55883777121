#include "shm/copy_image.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <iterator>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace peaknet::shm {
namespace {

constexpr std::size_t kPage = 4096;                     // bytes
constexpr std::size_t kPiece = std::size_t{256} << 10;  // bytes

void copy_in_pieces(std::byte* to, std::span<const std::byte> from) {
  while (!from.empty()) {
    const std::size_t bytes = std::min(kPiece, from.size());
    std::memcpy(to, from.data(), bytes);
    to += bytes;
    from = from.subspan(bytes);
  }
}

#if defined(__SSE2__)
// Whether the processor's own copy would be slow.
bool close_behind(const std::byte* to, const std::byte* from) {
  const auto distance = (reinterpret_cast<std::uintptr_t>(to) - reinterpret_cast<std::uintptr_t>(from)) % kPage;
  return distance > 0 && distance < 32;
}

// Past the caches: `to` by streaming stores, `from` with the hint that nobody reads it again.
void copy_streaming(std::byte* to, std::span<const std::byte> from) {
  constexpr std::size_t kLine = 64;
  constexpr std::size_t kAhead = 4096;  // bytes; 1 and 2 KiB were slower
  // All loads of a step come before its stores, for a load waits for a store before it whose address looks alike.
  constexpr std::size_t kStep = 2 * kLine;

  const std::size_t head = std::min(from.size(), -reinterpret_cast<std::uintptr_t>(to) % kLine);
  std::memcpy(to, from.data(), head);
  to += head;
  from = from.subspan(head);

  const std::size_t end = from.size() / kStep * kStep;
  for (std::size_t at = 0; at < end; at += kStep) {
    const std::byte* const source = from.data() + at;
    const std::byte* const ahead = from.data() + std::min(at + kAhead, end - kStep);
    _mm_prefetch(ahead, _MM_HINT_NTA);
    _mm_prefetch(ahead + kLine, _MM_HINT_NTA);
    __m128i values[kStep / sizeof(__m128i)];
    for (std::size_t i = 0; i < std::size(values); ++i) {
      values[i] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(source) + i);
    }
    for (std::size_t i = 0; i < std::size(values); ++i) {
      _mm_stream_si128(reinterpret_cast<__m128i*>(to + at) + i, values[i]);
    }
  }
  // Streaming stores are in no order with those that follow, not even with release ones.
  _mm_sfence();
  std::memcpy(to + end, from.data() + end, from.size() - end);
}
#endif

}  // namespace

void copy_image(std::byte* to, std::span<const std::byte> from) {
#if defined(__SSE2__)
  if (from.size() >= kStreamedFrom || (from.size() > kPage && close_behind(to, from.data()))) {
    return copy_streaming(to, from);
  }
#endif
  copy_in_pieces(to, from);
}

}  // namespace peaknet::shm
