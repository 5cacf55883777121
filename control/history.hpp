// The history of an instance and its histogram of peaks as a document, from the control segment alone: every tool shows
// the same past. Schema "peaknet.history/1", in docs/protocol.md.
//
// Threads: any. Errors: none; time for which there is no point is not known, and is left out.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>

#include "shm/control_segment.hpp"

namespace peaknet::control {

// Ten minutes by second, a day by minute, peaks of a frame since the run began. `seconds`: of the last so many alone,
// without the minutes.
nlohmann::json history_document(const shm::ControlSegment& control_segment,
                                std::optional<std::int64_t> seconds = std::nullopt);

// Of its rows.
nlohmann::json history_columns();

// The part of the rows that are not older than `seconds`, as "seconds" of the document above.
nlohmann::json latest_history(const shm::ControlSegment& control_segment, std::int64_t seconds);

// {"from": [0, 1, ...], "frames": [...]}: so many frames had from[i] peaks or more, and fewer than from[i + 1].
nlohmann::json peak_histogram(const shm::ControlSegment& control_segment);

}  // namespace peaknet::control
