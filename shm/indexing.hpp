// IndexingRecord: what indexamajig makes of the hits of a run, as the peaknet-live that follows its streams has counted
// it, in the control segment of the instance, so that every tool says the same.
//
// One peaknet-live at a time writes it: the one that holds the lock on kIndexingByte of the control segment's object.
//
// Threads: one writes, any number read. The figures lie there twice and the writer fills the copy that is not current,
// so a reader never sees halves of two. Errors: what a member of the group scribbled is no figures, or figures that can
// be. After a crash, at any instruction: the last whole figures stand, and say how old they are.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace peaknet::shm {

// A number of the cell, over all crystals that have one.
struct CellNumber {
  std::uint64_t crystals = 0;
  double mean = 0, deviation = 0;  // nothing for no crystal; no deviation for one
};
inline constexpr std::size_t kCellNumbers = 6;
constexpr const char* cell_name(std::size_t number) {
  constexpr std::array<const char*, kCellNumbers> kNames = {"a_nm",      "b_nm",     "c_nm",
                                                            "alpha_deg", "beta_deg", "gamma_deg"};
  return kNames[number];
}

struct IndexingFigures {
  static constexpr std::uint64_t kUnknown = ~std::uint64_t{0};

  std::array<char, 32> run{};       // id of the run that the counts are of
  std::int64_t looked_ns = 0;       // CLOCK_MONOTONIC: when the streams were read last
  std::uint64_t served = kUnknown;  // hits handed to workers
  std::uint64_t frames = 0;         // hits in the streams, joined to the run by their id
  std::uint64_t indexed = 0;        // with at least one crystal
  std::uint64_t crystals = 0;
  std::uint64_t nameless = 0;  // frames in the streams without an id: of whatever run
  std::array<CellNumber, kCellNumbers> cell{};

  std::string run_id() const;
  // False: not an id, nothing is changed.
  bool set_run(std::string_view id);
};

// As it lies in the control segment.
inline constexpr std::size_t kIndexingWords = sizeof(IndexingFigures) / 8;
struct alignas(64) IndexingRecord {
  std::atomic<std::uint64_t> turn{0};  // how often it was written; copies[turn % 2] is current
  std::array<std::array<std::atomic<std::uint64_t>, kIndexingWords>, 2> copies{};
};

// The holder of kIndexingByte alone.
void store(IndexingRecord& record, const IndexingFigures& figures);

// Nothing: there are none, or none that can be. `now_ns`: CLOCK_MONOTONIC.
std::optional<IndexingFigures> load(const IndexingRecord& record, std::int64_t now_ns);

}  // namespace peaknet::shm
