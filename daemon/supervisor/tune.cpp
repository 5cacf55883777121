#include "daemon/supervisor/tune.hpp"

#include <algorithm>
#include <chrono>
#include <future>
#include <memory>
#include <stop_token>
#include <utility>

#include "daemon/engine/bounded_wait.hpp"
#include "daemon/engine/left_behind.hpp"
#include "daemon/supervisor/device_thread.hpp"
#include "daemon/supervisor/engine_plan.hpp"
#include "daemon/supervisor/tune_stand.hpp"

namespace peaknet::supervisor {
namespace {

using Clock = std::chrono::steady_clock;

// What a device's thread answers.
struct Step {
  Status outcome;
  TuneReport report;
  std::vector<double> rates;
};

// A device and its thread; both are left behind where the thread does not come back.
struct Seat {
  std::string name;
  std::shared_ptr<TuneStand> stand;
  std::shared_ptr<DeviceThread> thread;
};

// What a seat was asked, and when its thread last went on.
struct Call {
  Seat* seat = nullptr;
  std::future<Step> answer;
  std::uint64_t steps = 0;
  Clock::time_point since = Clock::now();
  std::optional<Step> step{};

  std::chrono::nanoseconds stood_still() {
    if (const auto now = seat->stand->steps(); std::exchange(steps, now) != now) since = Clock::now();
    return Clock::now() - since;
  }
};

class Tuner {
 public:
  Tuner(const std::vector<engine::DevicePlan>& plans, const config::Config& config, const TuneHooks& hooks,
        const TuneOptions& tuned)
      : plans_(plans), config_(config), hooks_(hooks), tuned_(tuned), options_(worker_options(config)) {}
  Tuner(const Tuner&) = delete;
  Tuner& operator=(const Tuner&) = delete;
  ~Tuner() = default;

  Tuning run() {
    if (open()) measure();
    end();
    return std::move(tuning_);
  }

 private:
  using Work = std::function<Step(TuneStand&)>;

  bool open() {
    const auto needed = static_cast<std::uint32_t>(plans_.size()) * TuneStand::slots_needed(config_);
    auto slots = TuneSlots::make(config_, needed);
    if (!slots) {
      tuning_.outcome = slots.error();
      return false;
    }
    tuning_.memory = (*slots)->told();
    if (!tuning_.memory.note.empty()) hooks_.say("not measured as a daemon would be: " + tuning_.memory.note);
    seats_.reserve(plans_.size());  // calls have their addresses
    for (std::size_t i = 0; i < plans_.size(); ++i) {
      seats_.push_back({plans_[i].name, std::make_shared<TuneStand>(config_, *slots, i, stop_.get_token(), tuned_),
                        std::make_shared<DeviceThread>()});
      auto steps = ask({&seats_.back()}, [plan = plans_[i]](TuneStand& stand) {
        return Step{stand.open(plan), stand.report(), {}};
      });
      if (!tuning_.outcome) return false;
      tuning_.devices.push_back(std::move(steps.front().report));
      if (const auto& slow = tuning_.devices.back().slow_precision; !slow.empty()) hooks_.say("note: " + slow);
    }
    return true;
  }

  void measure() {
    for (const std::uint32_t events : seats_.front().stand->buckets()) {
      for (std::size_t i = 0; i < seats_.size(); ++i) {
        hooks_.say(seats_[i].name + ": batches of " + std::to_string(events));
        auto steps = ask({&seats_[i]}, [events](TuneStand& stand) {
          return Step{stand.measure(events), stand.report(), {}};
        });
        if (!tuning_.outcome) return;
        tuning_.devices[i] = std::move(steps.front().report);
      }
      const bool all = std::all_of(tuning_.devices.begin(), tuning_.devices.end(),
                                   [](const TuneReport& report) { return report.stopped.empty(); });
      if (seats_.size() > 1 && all && !measure_at_once(events)) return;
    }
  }

  bool measure_at_once(std::uint32_t events) {
    hooks_.say(std::to_string(seats_.size()) + " devices at once: batches of " + std::to_string(events));
    TuneRallies rallies;
    for (std::uint32_t i = 0; i < kTuneDepths; ++i) rallies.push_back(std::make_shared<TuneRally>(seats_.size()));
    std::vector<Seat*> all;
    for (auto& seat : seats_) all.push_back(&seat);
    const auto steps = ask(all, [rallies](TuneStand& stand) {
      auto rates = stand.measure_beside(rallies);
      return rates ? Step{{}, {}, std::move(*rates)} : Step{rates.error(), {}, {}};
    });
    if (!tuning_.outcome) return false;
    TuneSum sum;
    sum.events = events;
    sum.at_once.resize(kTuneDepths);
    sum.alone.resize(kTuneDepths);
    for (std::size_t i = 0; i < steps.size(); ++i) {
      const TuneRow& row = tuning_.devices[i].rows.back();
      sum.sequential = std::max(sum.sequential, row.sequential);
      sum.devices.push_back(seats_[i].name);
      sum.of_each.push_back(steps[i].rates);
      for (std::uint32_t depth = 0; depth < kTuneDepths; ++depth) {
        sum.at_once[depth] += steps[i].rates[depth];
        sum.alone[depth] += row.events_per_s[depth];
      }
    }
    tuning_.sums.push_back(std::move(sum));
    recommend(tuning_);
    return true;
  }

  // Devices and models go where they came from: on their threads.
  void end() {
    for (auto& seat : seats_) {
      if (!seat.thread) continue;
      auto over = seat.thread->run(
          std::function<Step()>([stand = std::move(seat.stand), patience = options_.last_patience]() mutable {
            if (!stand->release(patience)) engine::leave_behind(stand);
            stand.reset();
            return Step{};
          }));
      if (over.wait_for(3 * options_.last_patience) != std::future_status::ready)
        engine::leave_behind(std::move(seat.thread));
    }
    seats_.clear();
  }

  // The answers of these, who work at the same time. The first error ends the work of all, and is the outcome.
  std::vector<Step> ask(const std::vector<Seat*>& seats, const Work& work) {
    std::vector<Call> calls;
    for (Seat* seat : seats) {
      calls.push_back({.seat = seat, .answer = seat->thread->run(std::function<Step()>([work, stand = seat->stand] {
                         return work(*stand);
                       }))});
    }
    for (;;) {
      Call* open = nullptr;
      for (auto& call : calls) {
        look_at(call);
        if (!call.step && open == nullptr) open = &call;
      }
      if (open == nullptr) break;
      if (const auto who = hooks_.asked_to(); who && !stop_.stop_requested())
        end_with(Error{"tune.interrupted", *who + " came", "what was measured before is in the report", ""});
      open->answer.wait_for(engine::kLookSlice);
    }
    std::vector<Step> steps;
    for (auto& call : calls) steps.push_back(std::move(*call.step));
    return steps;
  }

  void look_at(Call& call) {
    if (call.step) return;
    if (call.answer.wait_for(std::chrono::seconds(0)) == std::future_status::ready) {
      call.step = call.answer.get();
      if (!call.step->outcome) end_with(call.step->outcome.error());
      return;
    }
    const auto longest =
        stop_.stop_requested() ? options_.last_patience : engine::kPatienceInLoading * options_.bound();
    const auto still = call.stood_still();
    if (longest.count() == 0 || still < longest) return;
    call.step.emplace();
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(still).count();
    end_with(Error{"device.stuck",
                   call.seat->name + ": a call of the driver or of the model has not come back for " +
                       std::to_string(seconds) + " s",
                   "tune ends; what that device may still touch stays until it has ended",
                   "see nvidia-smi and dmesg (Xid); a larger engine.stuck_seconds if the model is that slow"});
    engine::leave_behind(std::move(call.seat->stand));
    engine::leave_behind(std::move(call.seat->thread));
  }

  void end_with(Error error) {
    if (tuning_.outcome) tuning_.outcome = std::move(error);
    stop_.request_stop();
  }

  const std::vector<engine::DevicePlan>& plans_;
  const config::Config& config_;
  const TuneHooks& hooks_;
  const TuneOptions& tuned_;
  const engine::WorkerOptions options_;
  std::stop_source stop_;
  Tuning tuning_;
  std::vector<Seat> seats_;
};

}  // namespace

Tuning tune_on(const std::vector<engine::DevicePlan>& plans, const config::Config& config, const TuneHooks& hooks,
               const TuneOptions& options) {
  if (options.batches.empty()) return Tuner(plans, config, hooks, options).run();
  auto wider = config;  // slots, lanes and plans are made for the largest batch
  wider.engine.batch = *std::max_element(options.batches.begin(), options.batches.end());
  return Tuner(plans, wider, hooks, options).run();
}

Tuning tune(const config::Config& config, const TuneHooks& hooks, const TuneOptions& options) {
  const auto plans = plan_devices(config);
  if (plans) return tune_on(*plans, config, hooks, options);
  Tuning refused;
  refused.outcome = plans.error();
  return refused;
}

}  // namespace peaknet::supervisor
