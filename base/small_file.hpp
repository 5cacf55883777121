// Files that people write by hand, read whole: configurations, geometries, secrets. What a path leads to by mistake
// costs no time and no memory: a pipe that nobody writes into, a device without end, the images of a day.
//
// Threads: any. Errors: as text, since each caller has an id of its own for them.
#pragma once

#include <cstdint>
#include <string>

namespace peaknet {

struct SmallFile {
  std::string text;
  std::string problem;  // "": it was read
};

// No more than `most` bytes. A pipe is read where it is one of this process, as `<(...)` and /dev/stdin are.
SmallFile read_small_file(const std::string& path, std::uint64_t most);

}  // namespace peaknet
