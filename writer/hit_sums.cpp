#include "writer/hit_sums.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <new>
#include <system_error>
#include <utility>

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
    save(*oldest, true);
    runs_.erase(oldest);
  }
  try {
    const auto now = Clock::now();
    runs_.push_back({stem, new_path(stem), ImageSums(facts), now, now});
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

bool HitSums::save(Run& run, bool durable) {
  const auto begun = Clock::now();
  run.saved = true;  // or it is tried again with the next hit
  RunSums sums = run.sums.in_slab();
  sums.first_ns = run.first_ns;
  sums.last_ns = run.last_ns;
  sums.spent_s = seconds(run.spent);
  sums.span_s = seconds(run.last - run.begun);
  const auto written = write_sums(run.path, sums, durable);
  run.spent += Clock::now() - begun;
  if (!written) say(written.error().text());
  return written.ok();
}

void HitSums::save_due() {
  const auto begun = Clock::now();
  if (begun < save_at_ || std::all_of(runs_.begin(), runs_.end(), [](const Run& run) { return run.saved; })) return;
  for (Run& run : runs_) {
    if (!run.saved && save(run, false)) said_.clear();
  }
  const auto now = Clock::now();
  const auto rest = std::chrono::duration_cast<Clock::duration>((now - begun) / kSaveShare);
  save_at_ = now + std::max<Clock::duration>(kSaveEvery, rest);
}

std::optional<HitSums::Clock::time_point> HitSums::next_due() const {
  if (std::all_of(runs_.begin(), runs_.end(), [](const Run& run) { return run.saved; })) return std::nullopt;
  return save_at_;
}

void HitSums::finish() {
  for (Run& run : runs_) save(run, true);
  runs_.clear();
}

void HitSums::say(const std::string& what) {
  if (said_.insert(what).second) spdlog::warn("the sums of hits are not complete: {}", what);
}

}  // namespace peaknet::writer
