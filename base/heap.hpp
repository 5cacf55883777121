// Keep what was freed: a network makes and frees large intermediate images in every run, and glibc would give each back
// to the system and get it again, page fault by page fault (a quarter of the demo model's time). Called once, at the
// start of a program that runs models, before other threads.
#pragma once

#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace peaknet {

inline void keep_heap() {
#if defined(__GLIBC__)
  ::mallopt(M_MMAP_THRESHOLD, 1 << 30);  // large blocks from the heap too
  ::mallopt(M_TRIM_THRESHOLD, 1 << 30);  // and the end of the heap stays
  ::mallopt(M_TOP_PAD, 64 << 20);
#endif
}

}  // namespace peaknet
