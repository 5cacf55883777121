// Copying an image that is in memory already: into a slot, or out of one. Any thread, any process.
//
// One memcpy of a whole image is not the most that a thread can move, for three reasons that were measured on AMD (Zen
// 4) with glibc 2.36 (bench/shm shows the first two: the row "copy_image"):
// - From 4 MiB on, the slots that go round and the images they are copied from are larger than what the caches keep for
//   one core. Then each line that is written is first read from memory for nothing, unless the stores go past the
//   caches: 1.5 times the bytes a second at 8 MiB, twice at 16, the same at 4 MiB while two slots go round; and nothing
//   of anybody else is driven out of the last cache. glibc does so only far above that (x86_non_temporal_threshold, 240
//   MiB there), which is right for a memcpy whose bytes are read again at once; what reads a slot is a device, or a
//   processor a batch later.
// - Below that, glibc leaves the copying to the processor (`rep movsb`, which does not read the lines it overwrites) up
//   to the size of the second-level cache, x86_rep_movsb_stop_threshold, and copies by vectors above. Pieces below it
//   moved 1.2 to 1.5 times the bytes of one memcpy of 1 MiB on one machine, 0.9 to 1.15 on another.
// - The processor's own copy is slow where `to` lies less than 32 bytes behind `from`, in the last twelve bits of the
//   addresses: 9 GB/s instead of 25, and 3.4 below 16 bytes; a memcpy of 512 KiB too. Slots begin at a page, so that is
//   an image that begins just before one: behind a message's header, one time in 130. Streaming knows no such places.
#pragma once

#include <cstddef>
#include <span>

namespace peaknet::shm {

inline constexpr std::size_t kStreamedFrom = std::size_t{4} << 20;  // bytes

// Copies all of `from`; `to` has room for it, and they do not overlap. Neither needs an alignment. Whoever sees what
// this thread stores afterwards with release order, such as a slot's state word, sees the whole image.
void copy_image(std::byte* to, std::span<const std::byte> from);

}  // namespace peaknet::shm
