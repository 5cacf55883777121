#include "control/indexing.hpp"

#include <cmath>
#include <nlohmann/json.hpp>

#include "shm/clock.hpp"
#include "shm/liveness.hpp"

namespace peaknet::control {
namespace {

using nlohmann::json;

json followed(const shm::ControlSegment& control_segment) {
  const auto lock = shm::LockFile::open(shm::control_segment_name(control_segment.instance()));
  return lock ? json(lock->held_by_other(shm::kIndexingByte)) : json(nullptr);
}

json cell_of(const shm::IndexingFigures& figures) {
  json cell = json::object();
  for (std::size_t i = 0; i < shm::kCellNumbers; ++i) {
    const shm::CellNumber& number = figures.cell[i];
    json& entry = cell[shm::cell_name(i)];
    if (number.crystals == 0) continue;
    entry = {{"mean", number.mean}, {"deviation", number.crystals > 1 ? json(number.deviation) : json(nullptr)}};
  }
  return cell;
}

}  // namespace

std::optional<shm::IndexingFigures> indexing_figures(const shm::ControlSegment& control_segment) {
  return shm::load(control_segment.layout().indexing, shm::monotonic_ns());
}

std::optional<double> indexing_rate(const shm::IndexingFigures& figures) {
  if (figures.frames == 0) return std::nullopt;
  return static_cast<double>(figures.indexed) / static_cast<double>(figures.frames);
}

json indexing_part(const shm::ControlSegment& control_segment) {
  const auto figures = indexing_figures(control_segment);
  if (!figures) return nullptr;
  const double age_s = static_cast<double>(shm::monotonic_ns() - figures->looked_ns) * 1e-9;
  const auto rate = indexing_rate(*figures);
  return {{"run", figures->run_id()},
          {"age_s", std::round(age_s * 10) / 10},
          {"followed", followed(control_segment)},
          {"served", figures->served == shm::IndexingFigures::kUnknown ? json(nullptr) : json(figures->served)},
          {"frames", figures->frames},
          {"indexed", figures->indexed},
          {"rate", rate ? json(std::round(*rate * 1e6) / 1e6) : json(nullptr)},
          {"crystals", figures->crystals},
          {"nameless", figures->nameless},
          {"cell", cell_of(*figures)}};
}

}  // namespace peaknet::control
