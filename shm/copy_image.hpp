// Copying an image that is in memory already: into a slot, or out of one. Any thread, any process.
//
// In pieces, each a memcpy, for a reason that was measured: glibc copies with the processor's own `rep movsb`, which
// does not read the lines it overwrites, only up to the size of the second-level cache on AMD (glibc 2.36:
// x86_rep_movsb_stop_threshold), and in a loop of vector stores above. Pieces below it moved 1.2 to 1.5 times the bytes
// a second of one memcpy of 1 or 16 MiB (bench/shm: the row "copy_image"); where glibc makes no such difference a piece
// is large enough to cost nothing.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>

namespace peaknet::shm {

inline constexpr std::size_t kCopyPiece = std::size_t{256} << 10;

// Copies all of `from`; `to` has room for it, and they do not overlap.
inline void copy_image(std::byte* to, std::span<const std::byte> from) {
  while (!from.empty()) {
    const std::size_t bytes = std::min(kCopyPiece, from.size());
    std::memcpy(to, from.data(), bytes);
    to += bytes;
    from = from.subspan(bytes);
  }
}

}  // namespace peaknet::shm
