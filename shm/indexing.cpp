#include "shm/indexing.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <type_traits>

#include "base/text.hpp"

namespace peaknet::shm {
namespace {

static_assert(std::is_trivially_copyable_v<IndexingFigures> && sizeof(IndexingFigures) % 8 == 0 &&
              sizeof(IndexingFigures) == 32 + 6 * 8 + kCellNumbers * sizeof(CellNumber));

using Words = std::array<std::uint64_t, kIndexingWords>;

// A writer needs a second between two turns, so a reader that misses it so often reads what somebody scribbles.
constexpr int kTries = 50;

bool can_be(const CellNumber& number, std::uint64_t crystals) {
  if (number.crystals == 0) return true;
  return number.crystals <= crystals && std::isfinite(number.mean) && number.mean > 0 &&
         std::isfinite(number.deviation) && number.deviation >= 0;
}

bool can_be(const IndexingFigures& figures, std::int64_t now_ns) {
  return std::find(figures.run.begin(), figures.run.end(), '\0') != figures.run.end() &&
         is_plain_name(figures.run_id(), figures.run.size() - 1) && figures.looked_ns > 0 &&
         figures.looked_ns <= now_ns && figures.indexed <= figures.frames && figures.indexed <= figures.crystals &&
         std::all_of(figures.cell.begin(), figures.cell.end(),
                     [&](const CellNumber& number) { return can_be(number, figures.crystals); });
}

}  // namespace

std::string IndexingFigures::run_id() const { return {run.begin(), std::find(run.begin(), run.end(), '\0')}; }

bool IndexingFigures::set_run(std::string_view id) {
  if (!is_plain_name(id, run.size() - 1)) return false;
  run.fill('\0');
  std::copy(id.begin(), id.end(), run.begin());
  return true;
}

void store(IndexingRecord& record, const IndexingFigures& figures) {
  const auto words = std::bit_cast<Words>(figures);
  const std::uint64_t turn = record.turn.load(std::memory_order_relaxed) + 1;
  auto& copy = record.copies[turn % 2];
  for (std::size_t i = 0; i < words.size(); ++i) copy[i].store(words[i], std::memory_order_release);
  record.turn.store(turn, std::memory_order_release);
}

std::optional<IndexingFigures> load(const IndexingRecord& record, std::int64_t now_ns) {
  for (int attempt = 0; attempt < kTries; ++attempt) {
    const std::uint64_t turn = record.turn.load(std::memory_order_acquire);
    if (turn == 0) return std::nullopt;
    Words words{};
    const auto& copy = record.copies[turn % 2];
    for (std::size_t i = 0; i < words.size(); ++i) words[i] = copy[i].load(std::memory_order_acquire);
    if (record.turn.load(std::memory_order_relaxed) != turn) continue;
    const auto figures = std::bit_cast<IndexingFigures>(words);
    return can_be(figures, now_ns) ? std::optional(figures) : std::nullopt;
  }
  return std::nullopt;
}

}  // namespace peaknet::shm
