#include "control/health.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/text.hpp"
#include "control/outcome_names.hpp"
#include "control/protocol.hpp"
#include "shm/clock.hpp"
#include "shm/errors.hpp"

namespace peaknet::control {
namespace {

using shm::Counter;
using shm::DaemonState;
using shm::SlotState;

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kOldHeartbeat = 5 * kSecond;
constexpr std::int64_t kFullTooLong = 2 * kSecond;
constexpr std::int64_t kWaitsTooLong = 10 * kSecond;  // a result for the writer
constexpr std::int64_t kRecently = 300 * kSecond;
constexpr double kMinutesLeft = 30;
constexpr std::uint64_t kLittleDisk = std::uint64_t{1} << 30;

std::string seconds_text(std::int64_t ns) { return std::to_string(ns / kSecond) + " s"; }

class Judge {
 public:
  Judge(const shm::ControlSegment& control_segment, const shm::Pool* pool, std::optional<bool> daemon_alive,
        const shm::FrameAccounting& accounting)
      : control_segment_(control_segment),
        pool_(pool),
        accounting_(accounting),
        layout_(control_segment.layout()),
        errors_(shm::read_errors(control_segment)),
        state_(daemon_alive.value_or(true) ? layout_.daemon.state.load() : DaemonState::absent) {}

  Health run() {
    daemon();
    devices();
    writers();
    pool();
    frames();
    feeds();
    recent_errors();
    auto& reasons = health_.reasons;
    std::stable_sort(reasons.begin(), reasons.end(), [](const auto& a, const auto& b) { return a.state > b.state; });
    if (!reasons.empty()) health_.state = reasons.front().state;
    return std::move(health_);
  }

 private:
  void failing(const std::string& id, const std::string& what, const std::string& untouched,
               const std::string& remedy) {
    health_.reasons.push_back({HealthState::failing, {"health." + id, what, untouched, remedy}});
  }
  void degraded(const std::string& id, const std::string& what, const std::string& untouched,
                const std::string& remedy) {
    health_.reasons.push_back({HealthState::degraded, {"health." + id, what, untouched, remedy}});
  }
  std::uint32_t slots(SlotState state) const { return accounting_.slots[static_cast<std::size_t>(state)]; }
  std::string instance() const { return control_segment_.instance(); }
  bool at_work() const { return state_ == DaemonState::running || state_ == DaemonState::draining; }

  void daemon() {
    const auto& daemon = layout_.daemon;
    const std::string failure = daemon.failure.load();
    const std::string restart = "systemctl restart peaknetd@" + instance();
    if (state_ == DaemonState::absent) {
      return failing("absent", "peaknetd is not running", "frames in shared memory are kept",
                     "journalctl -u peaknetd@" + instance() + " -n 30, then " + restart);
    }
    if (state_ == DaemonState::failed)
      return failing("failed", "peaknetd has failed: " + failure, "frames in shared memory are kept",
                     "peaknetctl errors, then " + restart);
    if (!failure.empty()) degraded("last-failure", failure, "", "peaknetctl errors");
    const std::int64_t beat = daemon.heartbeat_ns.load();
    if (beat > 0 && monotonic_ns_ - beat > kOldHeartbeat)
      failing("heartbeat", "peaknetd has not looked after its devices for " + seconds_text(monotonic_ns_ - beat), "",
              "it hangs or is stopped: journalctl -u peaknetd@" + instance() + "; systemd ends it after WatchdogSec");
  }

  void devices() {
    if (state_ == DaemonState::absent || state_ == DaemonState::failed) return;
    for (const auto& device : layout_.devices) {
      if (device.state.load() != "lost") continue;
      degraded("device-lost", "device " + device.name.load() + " is lost: " + device.error.load(),
               "the other devices have its frames", "restart peaknetd when the run has ended");
    }
    if (layout_.shedding.level.load() > 0)
      degraded("shedding", "the detector is faster than the devices: " + layout_.shedding.effort.load(),
               "what is skipped is counted and named", "peaknetctl stats; more devices, or a faster model");
  }

  void writers() {
    bool any = false;
    for (const auto& record : layout_.participants) {
      if (record.presence.load(std::memory_order_acquire) != shm::Presence::attached ||
          record.role.load() != shm::Role::writer)
        continue;
      any = true;
      writer(record);
    }
    if (any) writers_behind();
    const std::uint32_t results = slots(SlotState::done);
    if (any || (results == 0 && !at_work())) return;
    failing("no-writer",
            results > 0 ? "no writer is attached, and " + std::to_string(results) + " results wait in shared memory"
                        : "a run is active and no writer is attached",
            "results are kept", "systemctl start peaknet-writer@" + instance());
  }

  // One that holds says so itself; one that is stopped, or hangs in a write, says nothing.
  void writers_behind() {
    const std::int64_t waits = longest_wait();
    if (waits < kWaitsTooLong || has("health.writer-holds")) return;
    const auto& daemon = layout_.daemon;
    const bool moves = daemon.written_per_s.load() + daemon.filtered_per_s.load() > 0;
    const std::string what = "a result has waited for the writer for " + seconds_text(waits);
    if (moves) return degraded("writer-behind", what + ": it is slower than the devices", "", "peaknetctl stats");
    failing("writer-behind", what + ", and it takes none", "results are kept",
            "peaknetctl writers has its pid; ps -o stat= -p PID: T is stopped (kill -CONT), D is a disk that hangs");
  }

  bool has(const std::string& id) const {
    return std::ranges::any_of(health_.reasons, [&](const HealthReason& reason) { return reason.error.id == id; });
  }

  // Of the results in Q2. A descriptor is read while others may write: the word says whether it was still that frame.
  std::int64_t longest_wait() const {
    if (pool_ == nullptr) return 0;
    std::int64_t longest = 0;
    for (std::uint32_t slot = 0; slot < pool_->geometry().slots; ++slot) {
      const std::uint64_t word = pool_->word(slot).load(std::memory_order_acquire);
      if (shm::StateWord::unpack(word).state != SlotState::done) continue;
      std::uint64_t done_ns = 0;
      std::memcpy(&done_ns, &pool_->descriptor(slot).done_ns, sizeof done_ns);
      std::atomic_thread_fence(std::memory_order_acquire);
      if (done_ns > 0 && pool_->word(slot).load(std::memory_order_relaxed) == word)
        longest = std::max(longest, monotonic_ns_ - static_cast<std::int64_t>(done_ns));
    }
    return longest;
  }

  void writer(const shm::ParticipantRecord& record) {
    const std::int64_t since = record.holding_since_ns.load();
    if (since > 0) {
      const std::string note = record.note.load();
      failing("writer-holds",
              "writer " + std::to_string(record.number.load()) + " has not written for " +
                  seconds_text(std::max<std::int64_t>(0, realtime_ns_ - since)) + ", " + note,
              "its frames are kept",
              note.ends_with("[output.disk-full]") ? "make room in the output folder (df); it continues by itself"
                                                   : "do that; it continues by itself. Once more: peaknetctl errors");
    }
    const std::uint64_t free = record.output_free_bytes.load();
    if (free == shm::kUnknownBytes) return;
    const double rate = layout_.daemon.file_bytes_per_s.load();
    const double minutes = rate > 0 ? static_cast<double>(free) / rate / 60 : HUGE_VAL;
    if (free >= kLittleDisk && minutes >= kMinutesLeft) return;
    degraded("disk",
             "the output folder of writer " + std::to_string(record.number.load()) + " has " + human_bytes(free) +
                 " free" +
                 (std::isfinite(minutes)
                      ? ", enough for " + std::to_string(static_cast<int>(minutes)) + " minutes at the present rate"
                      : ""),
             "", "make room, or end the run before it is full: peaknetctl stop");
  }

  void pool() {
    if (pool_ == nullptr || state_ == DaemonState::absent) return;
    if (const auto since = layout_.daemon.full_since_ns.load(); since > 0 && monotonic_ns_ - since >= kFullTooLong) {
      const std::array<const char*, 3> causes = {
          at_work() ? "the devices are the slowest stage" : "the frames wait for a run, and none is active",
          "the writer is the slowest stage", "producers hold the slots unfilled"};
      const std::array counts = {slots(SlotState::ready) + slots(SlotState::inferring),
                                 slots(SlotState::done) + slots(SlotState::writing), slots(SlotState::filling)};
      const auto most = static_cast<std::size_t>(std::max_element(counts.begin(), counts.end()) - counts.begin());
      failing("pool-full", "no slot has been free for " + seconds_text(monotonic_ns_ - since) + ": " + causes.at(most),
              std::string("producers are held up or refused (pool.full: ") + shm::name(pool_->policy()) + ")",
              most == 0 && !at_work() ? "peaknetctl start" : "peaknetctl stats shows each stage");
    }
    if (state_ == DaemonState::idle && slots(SlotState::ready) > 0)
      degraded("frames-wait", std::to_string(slots(SlotState::ready)) + " frames wait and no run is active",
               "they are kept", "peaknetctl start");
  }

  template <std::size_t N>
  void counted(const std::string& id, const std::array<Cause, N>& causes, const std::string& verb,
               const std::string& remedy) {
    std::uint64_t sum = 0;
    std::string list;
    for (const Cause& cause : causes) {
      const std::uint64_t count = accounting_.of_run(cause.counter);
      sum += count;
      if (count > 0) list += (list.empty() ? "" : ", ") + std::string(cause.name) + " " + std::to_string(count);
    }
    if (sum == 0) return;
    degraded(id, std::to_string(sum) + " frames " + verb + " since the run began (" + list + ")", "they are counted",
             remedy);
  }

  void frames() {
    if (accounting_.settled && accounting_.imbalance() != 0)
      failing("imbalance", std::to_string(accounting_.imbalance()) + " frames are unaccounted for", "",
              "this is a fault of the programs: peaknetctl audit DIR, and report it");
    counted("dropped", kDropCauses, "were dropped", "peaknetctl stats");
    counted("failed-frames", kFailCauses, "failed", "peaknetctl errors");
    counted("refused", kRefusalCauses, "were refused", "peaknetctl producers");
    if (const auto lost = accounting_.of_run(Counter::messages_lost); lost > 0)
      degraded("messages-lost", std::to_string(lost) + " messages were lost with feeds that died", "they are counted",
               "journalctl -u peaknet-feed@" + instance());
  }

  void feeds() {
    std::string list;
    for (const auto& kind : errors_) {
      if (!is_refusal_of_run(kind, layout_)) continue;
      list += (list.empty() ? "" : ", ") + kind.id + " (" + std::to_string(kind.count) + " in all)";
    }
    if (list.empty()) return;
    degraded("feed", "since the run began a feed could not take what it got: " + list, "what was taken is not affected",
             "peaknetctl errors has the last of each cause; the next run begins anew");
  }

  void recent_errors() {
    std::uint64_t kinds = 0;
    std::string latest;
    for (const auto& kind : errors_) {
      if (realtime_ns_ - kind.last_ns > kRecently || is_feed_cause(kind.id)) continue;
      if (kinds++ == 0) latest = kind.text;
    }
    if (kinds == 0) return;
    degraded("errors",
             std::to_string(kinds) + (kinds == 1 ? " kind of error" : " kinds of errors") +
                 " in the last five minutes, the latest: " + latest,
             "", "peaknetctl errors");
  }

  const shm::ControlSegment& control_segment_;
  const shm::Pool* pool_;
  const shm::FrameAccounting& accounting_;
  const shm::ControlLayout& layout_;
  std::vector<shm::ErrorSummary> errors_;  // the latest first
  DaemonState state_;
  std::int64_t realtime_ns_ = shm::realtime_ns();
  std::int64_t monotonic_ns_ = shm::monotonic_ns();
  Health health_;
};

}  // namespace

Health judge(const shm::ControlSegment& control_segment, const shm::Pool* pool, std::optional<bool> daemon_alive,
             const shm::FrameAccounting& accounting) {
  return Judge(control_segment, pool, daemon_alive, accounting).run();
}

Error why_full(const shm::ControlSegment& control_segment, const shm::Pool* pool, std::optional<bool> daemon_alive,
               const shm::FrameAccounting& accounting) {
  const Health health = judge(control_segment, pool, daemon_alive, accounting);
  for (const char* id : {"health.absent", "health.failed", "health.frames-wait", "health.no-writer",
                         "health.writer-holds", "health.writer-behind", "health.heartbeat", "health.pool-full"}) {
    for (const HealthReason& reason : health.reasons) {
      if (reason.error.id == id) return reason.error;
    }
  }
  return {"health.pool-full", "every slot is taken", "", "peaknetctl stats shows each stage"};
}

nlohmann::json health_part(const Health& health) {
  nlohmann::json reasons = nlohmann::json::array();
  for (const auto& [state, error] : health.reasons) {
    reasons.push_back(to_json(error));
    reasons.back()["state"] = name(state);
  }
  return {{"state", name(health.state)}, {"reasons", std::move(reasons)}};
}

std::string health_line(const Health& health) {
  if (health.reasons.empty()) return name(health.state);
  const std::size_t more = health.reasons.size() - 1;
  return std::string(name(health.state)) + ": " + health.reasons.front().error.what +
         (more > 0 ? " (+" + std::to_string(more) + ")" : "");
}

}  // namespace peaknet::control
