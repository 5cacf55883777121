// RowPlan: how the rows of a batch are shared by the threads of a processor. Pure arithmetic.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

namespace peaknet::model {

struct RowParts {
  std::int64_t rows = 1;      // of a part; the last may have fewer
  std::int64_t parts = 1;     // 1: the batch as it is
  std::uint32_t threads = 1;  // of each part
};

struct RowPlan {
  RowParts apart;                    // one thread for each part: nobody waits for anybody inside a part
  std::optional<RowParts> together;  // several threads for each part: may be faster, where no other program runs
};

// Parts are small, so that threads which are not equally fast end together, and intermediate images stay in the caches;
// but a part of small images holds several, because each part has the cost of all the network's steps. `offered`: the
// numbers of rows that the network runs with; empty: any.
inline std::int64_t rows_of_part(std::int64_t rows, std::int64_t pixels_of_row, std::uint32_t threads,
                                 const std::vector<std::int64_t>& offered) {
  constexpr std::int64_t kPixels = 512 * 512;
  const std::int64_t fair = (rows + threads - 1) / threads;
  const std::int64_t size = std::clamp(kPixels / std::max<std::int64_t>(1, pixels_of_row), std::int64_t{1}, fair);
  if (offered.empty()) return size;
  std::int64_t best = rows;
  for (const auto count : offered) {
    if (count < 1 || count >= rows || rows % count != 0) continue;
    if (best > size ? count < best : count > best && count <= size) best = count;
  }
  return best;
}

// There is a `together` where threads would have nothing to do: more threads than parts, or so few parts that the last
// of them leave a fifth of the time unused.
inline RowPlan share_rows(std::int64_t rows, std::int64_t pixels_of_row, std::uint32_t threads,
                          const std::vector<std::int64_t>& offered) {
  const RowParts whole{rows, 1, threads};
  if (threads < 2) return {whole, std::nullopt};
  const std::int64_t size = rows_of_part(rows, pixels_of_row, threads, offered);
  const std::int64_t parts = (rows + size - 1) / size;
  const RowParts apart{size, parts, 1};
  if (2 * parts <= threads) return {apart, RowParts{size, parts, static_cast<std::uint32_t>(threads / parts)}};
  const std::int64_t turns = (parts + threads - 1) / threads;
  if (5 * parts < 4 * turns * threads) return {apart, whole};
  return {apart, std::nullopt};
}

}  // namespace peaknet::model
