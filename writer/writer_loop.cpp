#include "writer/writer_loop.hpp"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/log_line.hpp"
#include "shm/clock.hpp"
#include "writer/disk_note.hpp"

namespace peaknet::writer {
namespace {

// Frames taken in one scan; those of a dead writer come again with one attempt less
constexpr std::size_t kMostAtOnce = 16;
constexpr std::chrono::milliseconds kHold{500}, kLookForSuspects{50};
constexpr std::chrono::seconds kLookInPassing{10}, kForgetEvery{1}, kAccountingEvery{1};

// What the log calls an end that a frame may have without a file.
FrameEnd frame_end(shm::Counter outcome) {
  switch (outcome) {
    case shm::Counter::failed_model:
      return FrameEnd::failed_model;
    case shm::Counter::failed_mask:
      return FrameEnd::failed_mask;
    case shm::Counter::dropped_shed:
      return FrameEnd::dropped_shed;
    default:
      return FrameEnd::filtered;
  }
}

shm::Counter counter_of(FrameEnd end) {
  switch (end) {
    case FrameEnd::failed_model:
      return shm::Counter::failed_model;
    case FrameEnd::failed_mask:
      return shm::Counter::failed_mask;
    case FrameEnd::dropped_shed:
      return shm::Counter::dropped_shed;
    default:
      return shm::Counter::filtered;
  }
}

OutcomeLogFacts log_facts(const config::Config& config, shm::Consumer& consumer) {
  return {config.instance, consumer.participant().layout().header.instance_uuid, consumer.participant().number(),
          shm::realtime_ns()};
}

bool is_attached_writer(const shm::ControlLayout& layout, std::uint64_t number) {
  return std::any_of(layout.participants.begin(), layout.participants.end(), [&](const shm::ParticipantRecord& record) {
    return record.presence.load(std::memory_order_acquire) == shm::Presence::attached && record.number.load() == number;
  });
}

}  // namespace

WriterLoop::WriterLoop(const config::Config& config, shm::Consumer& consumer, Recovery& recovery, FileNames& names,
                       IndexThread& index, const PanelPlacer& placer)
    : config_(config),
      consumer_(consumer),
      recovery_(recovery),
      index_(index),
      examiner_(config.peaks),
      output_(config, consumer, names, placer),
      outcome_log_(std::filesystem::absolute(config.output.dir), config.output.file_prefix,
                   log_facts(config, consumer)),
      look_at_(Clock::now() + kLookInPassing) {
  // A request to close that was made before this writer came holds for it too, as soon as it takes a frame.
  consumer.participant().record().closed_generation.store(0, std::memory_order_release);
  const bool stores = config.output.images == config::Images::hits || config.output.segmentation;
  if (stores && config.output.compression == config::Compression::bitshuffle_lz4)
    packer_ = std::make_unique<ImagePacker>(config.output.threads);
}

// How many slots may wait for the disk. Without images the wait is nearly all there is to do, and is shared by more.
std::size_t WriterLoop::most_unreleased() const {
  const bool peaks_only = config_.output.images == config::Images::none && !config_.output.segmentation;
  const std::uint32_t part = peaks_only ? 2 : 4;
  return std::max(1U, consumer_.geometry().slots / part);
}

// How many frames are looked at before their turn, so that no packer has to wait for us while we wait for the disk
// (measured: with two for each packer they stood still for a third of the time). No more than a part of the pool, which
// the others need too.
std::size_t WriterLoop::ahead() const {
  if (!packer_) return 0;
  const std::size_t packers = packer_->threads();
  return std::min(16 * packers + 16, std::max<std::size_t>(2 * packers, consumer_.geometry().slots / 4));
}

WriterLoop::Ended WriterLoop::run(std::stop_token stop) {
  Ended ended = Ended::stopped;
  while (!stop.stop_requested()) {
    step(stop);
    if (consumer_.participant().instance_removed()) {
      ended = Ended::instance_removed;
      break;
    }
  }
  if (ended == Ended::stopped) depart();
  if (!output_.finish()) {
    if (const auto error = output_.trouble()) {
      log::error("the last file could not be finished: {}; its durable events are recovered at the next start",
                 error->text());
    }
  }
  index_finished();
  index_.make_all();
  end_frames();
  ended_.clear();            // what the disk did not take goes back to Q2
  output_.take_uncertain();  // dropped here: back to Q2
  if (!work_.empty()) log::info("{} frames not yet written go back to Q2", work_.size());
  work_.clear();
  append_accounting(true);
  sync_outcome_log();
  show_state();
  return ended;
}

// What is on its way is written before we go. A disk that refuses is not waited for: it may do so for hours.
void WriterLoop::depart() {
  Departure departure(consumer_.participant(), Clock::now(),
                      std::chrono::milliseconds(static_cast<std::int64_t>(1000 * config_.output.stop_seconds)));
  bool said = false;
  while (!held_for_ && !consumer_.participant().instance_removed() && !departure.is_over(Clock::now())) {
    if (!std::exchange(said, true)) {
      log::info("{}; they are written first, for at most {} s (a second signal ends the writer at once)",
                describe(departure.left()), config_.output.stop_seconds);
    }
    step({});
  }
  const auto left = departure.left();
  if (left.sum() == 0) return;
  log::warn("{} frames of instance '{}' stay in shared memory ({}): the next writer takes them; a reboot loses them",
            left.sum() + work_.size() + ended_.size(), config_.instance, describe(left));
}

void WriterLoop::step(std::stop_token stop) {
  if (Clock::now() < hold_until_) {
    wait(stop);
    return;
  }
  take();
  settle_suspects();
  process(stop);
  maintain();
  index_finished();
  answer_close_request();
  follow_pool();
  show_state();
  wait(stop);
}

std::size_t WriterLoop::ready() const {
  return static_cast<std::size_t>(
      std::count_if(work_.begin(), work_.end(), [](const Work& work) { return !work.suspect; }));
}

void WriterLoop::take() {
  if (ready() > ahead() || !ended_.empty()) return;
  const std::size_t most = std::clamp<std::size_t>(consumer_.geometry().slots / 4, 1, kMostAtOnce);
  auto taken = consumer_.take(most);
  for (const auto& error : taken.refused) {
    log::error("{}", error.text());
    consumer_.participant().record_error(error);
  }
  for (auto& frame : taken.frames) {
    const bool suspect = frame.descriptor().last_writer != 0;
    if (suspect) settle_at_ = Clock::now();
    work_.push_back({std::move(frame), suspect});
  }
}

// Which of the frames that were with a writer before are in a file?
void WriterLoop::settle_suspects() {
  if (ready() == work_.size() || Clock::now() < settle_at_) return;
  const auto findings = look_for_orphans();
  const std::uint64_t uuid = consumer_.participant().layout().header.instance_uuid;
  std::deque<Work> left;
  bool waits_for_disk = false;
  for (Work& work : work_) {
    const EventKey key = key_of(work.frame.descriptor());
    if (work.suspect && recovery_.known(uuid, key) && !recovery_.durable(uuid, key)) {
      waits_for_disk = true;  // neither to be written again nor to be let go before its file is safe
      left.push_back(std::move(work));
      continue;
    }
    if (work.suspect && recovery_.known(uuid, key)) {
      log::debug("{} is in a recovered file already", describe(key));
      consumer_.participant().count(shm::Counter::duplicates);
      if (auto finished = work.frame.finish(shm::Counter::written); !finished)
        log::error("{}", finished.error().text());
      continue;
    }
    work.suspect = work.suspect && undecided(work.frame, findings);
    left.push_back(std::move(work));
  }
  work_ = std::move(left);
  settle_at_ = Clock::now() + (waits_for_disk ? kHold : kLookForSuspects);
}

bool WriterLoop::undecided(const shm::HeldFrame& frame, const Recovery::Findings& findings) const {
  if (findings.unreadable) return true;
  if (frame.attempts() == 0) return false;  // never taken from a dead writer, so in no file that is still locked
  const auto& layout = consumer_.participant().layout();
  return std::any_of(findings.held.begin(), findings.held.end(), [&](const Recovery::HeldLedger& held) {
    if (held.instance_uuid != layout.header.instance_uuid || held.writer == consumer_.participant().number())
      return false;
    // Its writer is dying, its lock not yet dropped; or another writer recovers it.
    return held.writer == frame.descriptor().last_writer || !is_attached_writer(layout, held.writer);
  });
}

void WriterLoop::process(std::stop_token stop) {
  std::deque<Work> left;
  while (!work_.empty() && !stop.stop_requested()) {
    examine_ahead();
    if (work_.empty()) break;
    // The last ones stay with the packers while the next are taken.
    if (ready() <= ahead() && consumer_.has_work()) break;
    Work work = std::move(work_.front());
    work_.pop_front();
    if (work.suspect || Clock::now() < hold_until_ || !put_into_file(work)) left.push_back(std::move(work));
    collect_uncertain();
    hold_if_troubled();
  }
  std::move(work_.begin(), work_.end(), std::back_inserter(left));
  work_ = std::move(left);
  end_frames();
}

// Looks at the next frame and as many more as the packers may be busy with.
void WriterLoop::examine_ahead() {
  std::size_t seen = 0;
  for (auto work = work_.begin(); work != work_.end() && seen <= ahead() && Clock::now() >= hold_until_;) {
    if (work->suspect || work->event) {
      seen += work->suspect ? 0 : 1;
      ++work;
    } else if (examine(*work)) {
      ++seen;
      ++work;
    } else if (Clock::now() >= hold_until_) {
      work = work_.erase(work);  // it has ended
    }
  }
}

// False: the frame goes into no file, and is in ended_; or nothing can be said now, and we hold.
bool WriterLoop::examine(Work& work) {
  const SlabLayout* const slab = output_.slab();
  const auto bad = slab == nullptr ? nullptr : output_.bad_mask(work.frame.descriptor().model);
  if (bad == nullptr) {
    hold_if_troubled();
    return false;
  }
  Verdict verdict = examiner_.examine(work.frame, *slab, *bad);
  // Of a frame that was offered before it has been counted.
  if (verdict.peaks_found && work.frame.attempts() == 0) consumer_.participant().count_peaks(*verdict.peaks_found);
  if (verdict.outcome) {
    // Whoever sheds load skips many, and peaknetd has said so.
    if (*verdict.outcome != shm::Counter::filtered && *verdict.outcome != shm::Counter::dropped_shed) {
      log::warn("{} does not go into a file: {}", describe(key_of(work.frame.descriptor())),
                shm::name(*verdict.outcome));
    }
    ended_.push_back({std::move(work.frame), frame_end(*verdict.outcome)});
    return false;
  }
  work.event = std::move(verdict.event);
  work.peaks_cut = verdict.peaks_cut;
  if (packer_) work.packed = packer_->submit(output_.to_store(work.frame));
  return true;
}

// False: the frame is still ours and must be tried again.
bool WriterLoop::put_into_file(Work& work) {
  if (!work.event) return false;
  const bool redelivered = work.frame.attempts() > 0;
  const auto packed = work.packed ? std::optional(work.packed.result()) : std::nullopt;
  if (!output_.write(work.frame, *work.event, packed)) return false;
  worked_ = true;
  consumer_.participant().count(shm::Counter::peaks_cut, work.peaks_cut);
  if (redelivered || output_.unreleased() >= most_unreleased()) output_.make_durable();
  return true;
}

// The frames that go into no file: into the log, then their slots are free.
void WriterLoop::end_frames() {
  if (ended_.empty()) return;
  std::vector<FrameRange> ends;
  for (const auto& [frame, end] : ended_)
    ends.push_back({end, frame.descriptor().producer, frame.descriptor().producer_seq, 1});
  const bool was_safe = !outcome_log_.unsafe();
  if (auto entered = outcome_log_.append(ends); !entered) {
    hold(entered.error());
    return;
  }
  if (was_safe) {
    sync_at_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                  std::chrono::duration<double, std::milli>(config_.output.durable_ms));
  }
  for (auto& [frame, end] : ended_) {
    if (auto finished = frame.finish(counter_of(end)); !finished) log::error("{}", finished.error().text());
  }
  ended_.clear();
  worked_ = true;
}

// The instance's counters into ours, so that an audit long after knows how many frames there were. `closing`: the run
// is drained, and its end waits for us alone.
void WriterLoop::append_accounting(bool at_once, bool closing) {
  if (!at_once && Clock::now() - accounting_written_at_ < kAccountingEvery) return;
  const AccountingSnapshot accounting = output_.accounting(closing);
  if (accounting.total("committed") == 0) return;  // an instance without a frame needs no outcome log
  accounting_written_at_ = Clock::now();
  if (auto entered = outcome_log_.append(accounting)) {
    said_of_outcome_log_.clear();
  } else if (said_of_outcome_log_.insert(entered.error().text()).second) {
    log::warn("the counters are not in the .frames file: {}", entered.error().text());
  }
}

void WriterLoop::sync_outcome_log() {
  if (auto synced = outcome_log_.sync(); !synced) hold(synced.error());
}

// What is due because of time or because there is nothing else to do.
void WriterLoop::maintain() {
  const bool quiet = ready() == 0 && !consumer_.has_work();
  if (quiet || output_.durable_due()) output_.make_durable();
  if (outcome_log_.unsafe() && Clock::now() >= sync_at_) sync_outcome_log();
  output_.finish_old();
  collect_uncertain();
  hold_if_troubled();
  const auto now = Clock::now();
  if (now >= look_at_) {
    const auto findings = look_for_orphans();
    if (work_.empty() && !findings.unreadable && !findings.unfinished) go_on();
  }
  if (now >= forget_at_) {
    forget_orphans();
    show_disk();
  }
}

// The ledgers of recovered files whose frames are all gone have done their duty.
void WriterLoop::forget_orphans() {
  forget_at_ = Clock::now() + kForgetEvery;
  if (!recovery_.remembers_any()) return;
  for (const auto& problem : recovery_.forget(consumer_.participant().layout().header.instance_uuid, keys_in_pool()))
    log::warn("{}", problem.text());
}

// The daemon raises the request after the last result is in Q2; it is answered when all of that is in finished files.
void WriterLoop::answer_close_request() {
  const std::uint64_t generation = consumer_.close_requested();
  if (!consumer_.participant().pool_is_live())
    return;  // frames of the next pool are waiting, which has_work() does not see yet
  if (generation == 0 || !work_.empty() || !ended_.empty() || consumer_.has_work() || Clock::now() < hold_until_)
    return;
  const bool finished = output_.finish();
  collect_uncertain();
  hold_if_troubled();
  if (!finished) return;
  const auto findings = look_for_orphans();
  if (findings.unreadable || findings.unfinished) {
    hold(findings.problems.front());
    return;
  }
  go_on();
  index_finished();
  index_.make_all();
  if (!work_.empty() || consumer_.has_work()) return;
  forget_orphans();  // who asked for the close finds nothing but finished files
  append_accounting(true, true);
  sync_outcome_log();
  consumer_.closed(generation);
}

// The pool was replaced by one of another geometry: move over when nothing of the old one can reach a writer any more.
void WriterLoop::follow_pool() {
  shm::Participant& participant = consumer_.participant();
  if (participant.pool_is_live() || !work_.empty()) return;
  using shm::SlotState;
  const auto counts = participant.pool().count_states();
  const auto in = [&](SlotState state) { return counts[static_cast<std::size_t>(state)]; };
  const auto before_us = in(SlotState::filling) + in(SlotState::ready) + in(SlotState::inferring) + in(SlotState::done);
  if (before_us != 0 || in(SlotState::writing) != output_.unreleased()) return;
  const bool finished = output_.finish();
  collect_uncertain();
  hold_if_troubled();
  if (!finished) return;
  if (auto followed = participant.follow_epoch(); !followed) {
    hold(followed.error());
  } else if (*followed) {
    log::info("moved over to a pool of {}", describe(consumer_.geometry()));
  }
}

void WriterLoop::wait(std::stop_token stop) {
  const auto now = Clock::now();
  if (now < hold_until_) {
    std::unique_lock lock(asleep_);
    wake_.wait_until(lock, stop, hold_until_, [] { return false; });
    return;
  }
  if (ready() > 0) return;
  Clock::duration span = shm::kWaitSlice;
  if (const auto due = output_.next_due())
    span = std::clamp<Clock::duration>(*due - now, Clock::duration::zero(), span);
  if (outcome_log_.unsafe()) span = std::clamp<Clock::duration>(sync_at_ - now, Clock::duration::zero(), span);
  if (span > Clock::duration::zero()) consumer_.wait_for_work(span);
}

Recovery::Findings WriterLoop::look_for_orphans() {
  look_at_ = Clock::now() + kLookInPassing;
  auto findings = recovery_.look();
  for (const auto& problem : findings.problems) {
    if (said_.insert(problem.text()).second) log::error("{}", problem.text());
  }
  if (findings.problems.empty()) said_.clear();
  for (const auto& file : findings.finished) {
    index_.file_finished(file.path);
    log::warn("recovered {}: {} events", file.path.string(), file.events);
    consumer_.participant().count(shm::Counter::files);
    consumer_.participant().count(shm::Counter::file_bytes, file.bytes);
  }
  return findings;
}

void WriterLoop::index_finished() {
  const auto finished = output_.take_finished();
  for (const auto& path : finished) index_.file_finished(path);
  if (!finished.empty()) append_accounting(false);
}

// Keys of the frames that may still be offered to a writer. Other processes own these slots: a word that changed while
// its descriptor was copied belongs to a frame that has just been finished.
std::set<EventKey> WriterLoop::keys_in_pool() const {
  std::set<EventKey> keys;
  const shm::Pool& pool = consumer_.participant().pool();
  for (std::uint32_t slot = 0; slot < pool.geometry().slots; ++slot) {
    using shm::SlotState;
    const auto state = shm::StateWord::unpack(pool.word(slot).load(std::memory_order_acquire)).state;
    if (state != SlotState::done && state != SlotState::writing && state != SlotState::quarantined) continue;
    const shm::FrameDescriptor descriptor = pool.descriptor(slot);
    keys.insert(key_of(descriptor));
  }
  return keys;
}

// Frames of a file that was given up: only Recovery knows which of them are durable.
void WriterLoop::collect_uncertain() {
  for (auto& frame : output_.take_uncertain()) {
    work_.push_front({std::move(frame), true});
    settle_at_ = Clock::now();
  }
}

void WriterLoop::hold_if_troubled() {
  if (const auto error = output_.trouble()) {
    hold(*error);
  } else if (worked_) {
    go_on();
  }
}

void WriterLoop::hold(const Error& error) {
  if (!held_for_ || held_for_->id != error.id) log::error("{}", log_of_waiting(error));
  consumer_.participant().record_error(error);
  if (!held_for_) holding_since_ns_ = shm::realtime_ns();
  held_for_ = error;
  worked_ = false;
  hold_until_ = look_at_ = Clock::now() + kHold;
}

void WriterLoop::go_on() {
  if (!held_for_) return;
  held_for_.reset();
  log::info("the disk takes data again: the writer continues");
}

void WriterLoop::show_disk() {
  std::error_code unknown;
  const auto space = std::filesystem::space(config_.output.dir, unknown);
  consumer_.participant().record().output_free_bytes.store(unknown ? shm::kUnknownBytes : space.available,
                                                           std::memory_order_relaxed);
}

void WriterLoop::show_state() {
  auto& record = consumer_.participant().record();
  record.held.store(output_.unreleased() + work_.size() + ended_.size(), std::memory_order_relaxed);
  record.holding_since_ns.store(held_for_ ? holding_since_ns_ : 0, std::memory_order_relaxed);
  record.note.store(held_for_ ? note_of_waiting(*held_for_) : output_.current());
}

}  // namespace peaknet::writer
