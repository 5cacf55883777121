#include "live/indexing_recorder.hpp"

#include <utility>

#include "base/log_line.hpp"
#include "shm/clock.hpp"

namespace peaknet::live {

shm::IndexingFigures figures_of(const std::map<std::string, RunTally>& runs, const std::string& run) {
  shm::IndexingFigures figures;
  figures.set_run(run);
  if (const auto nameless = runs.find(""); nameless != runs.end()) figures.nameless = nameless->second.frames;
  const auto found = runs.find(run);
  if (found == runs.end()) return figures;
  const RunTally& tally = found->second;
  figures.frames = tally.frames;
  figures.indexed = tally.indexed;
  figures.crystals = tally.crystals;
  for (std::size_t i = 0; i < shm::kCellNumbers; ++i)
    figures.cell[i] = {tally.cell[i].count(), tally.cell[i].mean(), tally.cell[i].deviation()};
  return figures;
}

void IndexingRecorder::record(const std::map<std::string, RunTally>& runs, const Served& served) {
  if (!attach()) return;
  const auto run = control_segment_->layout().run.id.load_whole();
  if (!run || run->empty()) return;
  if (!only_run_.empty() && *run != only_run_) {
    if (std::exchange(held_, false)) lock_->unlock(shm::kIndexingByte);
    return;
  }
  held_ = held_ || lock_->try_lock(shm::kIndexingByte);
  if (!held_) {
    say({"live.indexing-taken", "another peaknet-live records what is indexed of instance '" + instance_ + "'",
         "this one records nothing there; its own counts are complete", "let one alone have --stream"});
    return;
  }
  said_.clear();
  shm::IndexingFigures figures = figures_of(runs, *run);
  if (figures.run_id() != *run) return;  // no id that a run can have
  figures.served = served(*run).value_or(shm::IndexingFigures::kUnknown);
  figures.looked_ns = shm::monotonic_ns();
  shm::store(control_segment_->layout().indexing, figures);
}

// The lock first: while its object still has the name after the control segment was opened, the two are one.
bool IndexingRecorder::attach() {
  const std::string name = shm::control_segment_name(instance_);
  if (control_segment_ != nullptr && lock_->still_named(name)) return true;
  detach();
  auto lock = shm::LockFile::open(name);
  auto opened = lock ? shm::ControlSegment::open(instance_, shm::Access::read_write)
                     : Result<std::shared_ptr<shm::ControlSegment>>(lock.error());
  if (!opened) {
    say(opened.error());
    return false;
  }
  if (!lock->still_named(name)) return false;
  lock_ = std::move(*lock);
  control_segment_ = std::move(*opened);
  return true;
}

void IndexingRecorder::detach() {
  control_segment_.reset();
  lock_.reset();
  held_ = false;
}

void IndexingRecorder::say(const Error& error) {
  if (std::exchange(said_, error.id) == error.id) return;
  log::info("what is indexed is not recorded for peaknetctl: {}", error.text());
}

}  // namespace peaknet::live
