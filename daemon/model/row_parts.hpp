// RowParts: how the rows of a batch are shared by the threads of a processor. Pure arithmetic.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace peaknet::model {

struct RowParts {
  std::int64_t rows = 1;           // of a part; the last may have fewer
  std::int64_t parts = 1;          // 1: the batch as it is
  std::uint32_t workers = 1;       // parts at the same time
  std::uint32_t threads_each = 1;  // the most a part may use
};

// Parts are small, so that threads which are not equally fast end together, and intermediate images stay in the caches;
// but a part of small images holds several, because each part has the cost of all the network's steps. `offered`: the
// numbers of rows that the network runs with; empty: any.
inline RowParts share_rows(std::int64_t rows, std::int64_t pixels_of_row, std::uint32_t threads,
                           const std::vector<std::int64_t>& offered) {
  constexpr std::int64_t kPixels = 512 * 512;
  RowParts whole{rows, 1, 1, threads};
  if (threads < 2 || rows < 2) return whole;
  const std::int64_t fair = (rows + threads - 1) / threads;
  std::int64_t size = std::clamp(kPixels / std::max<std::int64_t>(1, pixels_of_row), std::int64_t{1}, fair);
  if (!offered.empty()) {
    std::int64_t best = rows;
    for (const auto count : offered) {
      if (count < 1 || count >= rows || rows % count != 0) continue;
      const bool closer = best > size ? count < best : count > best && count <= size;
      if (closer) best = count;
    }
    size = best;
  }
  if (size >= rows) return whole;
  const std::int64_t parts = (rows + size - 1) / size;
  const auto workers = static_cast<std::uint32_t>(std::min<std::int64_t>(parts, threads));
  return {size, parts, workers, threads / workers};
}

}  // namespace peaknet::model
