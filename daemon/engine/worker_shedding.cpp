#include "daemon/engine/worker_shedding.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "base/log_line.hpp"
#include "shm/clock.hpp"

namespace peaknet::engine {

void WorkerShedding::look(shm::Consumer& queue) {
  if (!options_.shedding) return;
  const Gate::Opening opening = gate_.read();
  // Frames that nobody may take are no load.
  const std::uint32_t waiting = opening.below == 0 ? 0 : queue.waiting(opening.below);
  const auto states = queue.participant().pool().count_states();
  const auto in = [&](shm::SlotState state) { return states[static_cast<std::size_t>(state)]; };
  const auto step =
      options_.shedding->look(options_.now(), waiting, in(shm::SlotState::free) + in(shm::SlotState::filling));
  if (!step) return;
  const bool raises = step->to > step->from;
  const std::string effort = describe(step->effort);
  auto& shown = queue.participant().layout().shedding;
  (raises ? shown.raises : shown.lowerings).fetch_add(1, std::memory_order_relaxed);
  show(queue);
  const Error event{raises ? "shedding.up" : "shedding.down",
                    "level " + std::to_string(step->from) + " -> " + std::to_string(step->to) + ", backlog " +
                        std::to_string(static_cast<int>(100 * step->backlog)) + " %: " + effort,
                    "skipped frames are named in the writer's outcome log and counted as dropped{shed}",
                    raises ? "fewer frames, more devices, or a smaller model" : ""};
  log::warn("{}", event.text());
  report_.record_error(event);
  gate_.changed().notify();  // the others may start what they were waiting with
}

void WorkerShedding::show(shm::Consumer& queue) const {
  auto& shown = queue.participant().layout().shedding;
  shown.levels.store(options_.shedding ? options_.shedding->levels() : 0);
  shown.level.store(options_.shedding ? options_.shedding->level() : 0);
  shown.keep_one_of.store(effort().keep_one_of);
  shown.effort.store(options_.shedding ? describe(effort()) : "");
  shown.since_ns.store(shm::realtime_ns());
}

void WorkerShedding::skip_some(std::vector<shm::HeldFrame>& frames, std::uint32_t keep_one_of) {
  const auto fresh = [](const shm::HeldFrame& frame) { return frame.attempts() == 0; };
  const auto count = static_cast<std::uint32_t>(std::count_if(frames.begin(), frames.end(), fresh));
  std::uint32_t next = options_.shedding->skip_first(count, keep_one_of);
  std::vector<shm::HeldFrame> kept;
  std::uint64_t skipped = 0;
  for (auto& frame : frames) {
    if (!fresh(frame) || next == 0) {
      if (fresh(frame)) next = keep_one_of - 1;
      kept.push_back(std::move(frame));
      continue;
    }
    --next;
    ++skipped;
    if (auto published = frame.publish(shm::ResultStatus::skipped); !published)
      log::error("{}", published.error().text());
  }
  report_.record().skipped.fetch_add(skipped, std::memory_order_relaxed);
  frames = std::move(kept);
}

}  // namespace peaknet::engine
