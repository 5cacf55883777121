#include "writer/hit_sums.hpp"

#include <algorithm>
#include <new>
#include <system_error>
#include <tuple>
#include <utility>

#include "base/log_line.hpp"
#include "shm/clock.hpp"

namespace peaknet::writer {
namespace {

using std::chrono::milliseconds;

double seconds(HitSums::Clock::duration span) { return std::chrono::duration<double>(span).count(); }

}  // namespace

HitSums::HitSums(std::filesystem::path folder, std::uint64_t writer)
    : folder_(std::move(folder)), writer_(writer), adding_(kShare, milliseconds(20), Clock::now()) {}

// Numbers of writers begin anew with the shared memory; a file of before stays.
std::filesystem::path HitSums::new_path(const std::string& stem) {
  for (;;) {
    auto path = sums_path(folder_, stem, writer_, next_part_++);
    std::error_code unknown;
    if (!std::filesystem::exists(path, unknown)) return path;
  }
}

// Null: there is no memory for it.
HitSums::Run* HitSums::run_of(const std::string& stem, const FileFacts& facts) {
  const auto found = std::find_if(runs_.begin(), runs_.end(),
                                  [&](const Run& run) { return run.stem == stem && run.sums.fits(facts); });
  if (found != runs_.end()) return &*found;
  if (runs_.size() >= kMost) {
    const auto oldest =
        std::min_element(runs_.begin(), runs_.end(), [](const Run& a, const Run& b) { return a.last < b.last; });
    save_last(*oldest);
    runs_.erase(oldest);
  }
  try {
    const auto now = Clock::now();
    runs_.push_back({stem, new_path(stem), ImageSums(facts), now, now});
    const double bytes = 16.0 * static_cast<double>(facts.slab_height() * facts.slab_width());
    const std::chrono::duration<double> rest(bytes / kSaveBytesPerSecond / kSaveShare);
    const auto first = now + std::max<Clock::duration>(kSaveEvery, std::chrono::duration_cast<Clock::duration>(rest));
    save_at_ = std::max(save_at_, first);
    return &runs_.back();
  } catch (const std::bad_alloc&) {
    say("there is no memory for the sums of " + stem);
    return nullptr;
  }
}

void HitSums::add(const std::string& stem, const FileFacts& facts, std::span<const shm::HeldFrame> frames,
                  std::span<const StoredEvent> events) {
  const auto begun = Clock::now();
  Run* const run = run_of(stem, facts);
  if (run == nullptr || events.empty()) return;
  run->sums.leave_out(facts.bad);
  for (const StoredEvent& stored : events) {
    run->sums.leave_out_padding(stored.event);
    run->sums.add_peaks(stored.event);
  }
  std::vector<const void*> images;
  for (const shm::HeldFrame& frame : frames) images.push_back(frame.image().data());
  auto looked = begun;
  for (std::span<const void* const> left(images); !left.empty() && adding_.has_some(looked);) {
    const std::size_t some = std::min(left.size(), kAtOnce);
    run->sums.add_images(left.first(some));
    left = left.subspan(some);
    const auto now = Clock::now();
    adding_.spend(now - std::exchange(looked, now));
  }
  run->last = Clock::now();
  adding_.spend(run->last - looked);
  run->spent += run->last - begun;
  run->last_ns = shm::realtime_ns();
  if (run->first_ns == 0) run->first_ns = run->last_ns;
  run->saved = false;
}

// Nothing: there is no memory for it.
std::optional<RunSums> HitSums::snapshot(const Run& run) try {
  RunSums sums = run.sums.in_slab();
  sums.first_ns = run.first_ns;
  sums.last_ns = run.last_ns;
  sums.spent_s = seconds(run.spent);
  sums.span_s = seconds(run.last - run.begun);
  return sums;
} catch (const std::bad_alloc&) {
  say("there is no memory to write those of " + run.stem);
  return std::nullopt;
}

HitSums::Saved HitSums::put_down(const std::filesystem::path& path, const RunSums& sums, bool durable) {
  const auto begun = Clock::now();
  auto written = write_sums(path, sums, durable);
  return {std::move(written), Clock::now() - begun};
}

// What is due after the next hits is tried again where it failed.
void HitSums::begin_to_save(Run& run) {
  const auto begun = Clock::now();
  run.saved = true;
  run.saved_at = begun;
  auto sums = snapshot(run);
  if (!sums) return;
  // Where no thread can be had, it is done when it is looked at.
  saving_ =
      Saving{run.path, std::async(std::launch::async | std::launch::deferred,
                                  [path = run.path, sums = std::move(*sums)] { return put_down(path, sums, false); })};
  const auto taken = Clock::now() - begun;
  run.spent += taken;
  adding_.spend(taken);
}

void HitSums::end_saving() {
  if (!saving_) return;
  const Saved saved = saving_->done.get();
  for (Run& run : runs_) {
    if (run.path == saving_->path) run.spent += saved.taken;
  }
  saving_.reset();
  if (saved.written) {
    said_.clear();
  } else {
    say(saved.written.error().text());
  }
  const auto rest = std::chrono::duration_cast<Clock::duration>(saved.taken / kSaveShare);
  save_at_ = Clock::now() + std::max<Clock::duration>(kSaveEvery, rest);
}

void HitSums::save_due() {
  const bool busy = saving_ && saving_->done.wait_for(std::chrono::seconds(0)) == std::future_status::timeout;
  if (busy) return;
  end_saving();
  if (Clock::now() < save_at_) return;
  // In turn, where there are several.
  const auto due = std::min_element(runs_.begin(), runs_.end(), [](const Run& a, const Run& b) {
    return std::tuple(a.saved, a.saved_at) < std::tuple(b.saved, b.saved_at);
  });
  if (due != runs_.end() && !due->saved) begin_to_save(*due);
}

std::optional<HitSums::Clock::time_point> HitSums::next_due() const {
  const bool all_saved = std::all_of(runs_.begin(), runs_.end(), [](const Run& run) { return run.saved; });
  if (saving_ || all_saved) return std::nullopt;
  return save_at_;
}

void HitSums::save_last(Run& run) {
  end_saving();
  const auto sums = snapshot(run);
  if (!sums) return;
  if (const auto saved = put_down(run.path, *sums, true); !saved.written) say(saved.written.error().text());
}

void HitSums::finish() {
  for (Run& run : runs_) save_last(run);
  runs_.clear();
}

void HitSums::say(const std::string& what) {
  if (said_.insert(what).second) log::warn("the sums of hits are not complete: {}", what);
}

}  // namespace peaknet::writer
