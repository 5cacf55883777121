// What indexamajig makes of the hits, as a part of a stats document, from the control segment alone (shm/indexing.hpp).
//
// Threads: any. Errors: none; what is not known is null.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>

#include "shm/control_segment.hpp"

namespace peaknet::control {

// As the control segment has them; nothing where no peaknet-live has told any.
std::optional<shm::IndexingFigures> indexing_figures(const shm::ControlSegment& control_segment);

// The share of the frames in the streams that have a crystal; nothing before the first.
std::optional<double> indexing_rate(const shm::IndexingFigures& figures);

// {run, age_s, followed, served, frames, indexed, rate, crystals, nameless, cell}, or null. `run` may be another than
// the instance's: the last one whose streams were followed. `followed`: a peaknet-live is at it; null where this
// process may not ask the kernel.
nlohmann::json indexing_part(const shm::ControlSegment& control_segment);

}  // namespace peaknet::control
