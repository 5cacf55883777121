// Property test of the whole engine on test devices: a real pool, the workers' own code, and every step of it chosen by
// a seed: turns of the workers, single operations of the devices' streams, a producer, a writer that may be slow (Q2
// full), shedding, rebuffers, changes of the model, stops, starts, drains, time, and faults (memory, transient, sticky,
// stuck). Whatever happened: every frame comes out once, with its own mask and description; events order every access
// to memory; the frame accounting balances; and nobody waits for something that does not come.
//
// There is one thread and no clock, so a seed is a story that can be told again: PEAKNET_TEST_SEED=n tells that one and
// prints it, PEAKNET_TEST_STORIES=m tells so many from there on. Hundreds in the unit form, 100 000 in the soak form.
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <array>
#include <cstdlib>
#include <iostream>
#include <map>
#include <random>

#include "tests/unit/daemon/engine/seat.hpp"

namespace peaknet::engine::test {
namespace {

#if defined(PEAKNET_SOAK)
const unsigned kStories = std::getenv("PEAKNET_SOAK_STORIES") == nullptr
                              ? 100'000
                              : static_cast<unsigned>(std::atoi(std::getenv("PEAKNET_SOAK_STORIES")));
#elif defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr unsigned kStories = 100;
#else
constexpr unsigned kStories = 400;
#endif
constexpr std::size_t kMostLosses = 100;     // a frame that takes every device down does not do so for ever
constexpr std::size_t kMostSteps = 200'000;  // of the last part of a story, in which everything must come to rest

class Story {
 public:
  explicit Story(unsigned seed) : random_(seed), line_({.slots = 2 + number(20), .panels = 1 + number(4)}) {
    line_.watch = order_;
    max_delay_ = chance(3) ? std::chrono::nanoseconds(0) : chance(2) ? std::chrono::nanoseconds(1ms) : 1h;
    // Times of the size of those that pass in a story.
    if (chance(3)) {
      shedding_ = std::make_shared<Shedding>(SheddingOptions{.raise_at = 0.5,
                                                             .lower_at = 0.3,
                                                             .raise_after = std::chrono::microseconds(number(800)),
                                                             .lower_after = 1500us,
                                                             .smaller_model = chance(2),
                                                             .keep_one_of = 1 + number(9)});
      line_.may_skip = true;
    }
    recording_ = chance(3);
    const auto devices = 1 + number(2);
    for (std::uint32_t i = 0; i < devices; ++i) {
      seats_.push_back(std::make_unique<Seat>(line_, order_, time_,
                                              Line::Choice{.depth = 1 + number(kMaxDepth - 1),
                                                           .batch = 1 + number(9),
                                                           .max_delay = max_delay_,
                                                           .index = i,
                                                           .shedding = shedding_,
                                                           .smaller_model = shedding_ != nullptr}));
    }
    faulty_ = chance(2);
    writer_weight_ = number(6);
    say("slots " + std::to_string(line_.geometry.slots) + ", panels " + std::to_string(line_.geometry.panels) +
        ", devices " + std::to_string(devices) + ", max_delay " + std::to_string(max_delay_.count()) + " ns");
    for (auto& seat : seats_) start(*seat);
  }

  void tell() {
    const std::uint32_t steps = 50 + number(400);
    for (std::uint32_t i = 0; i < steps && !stop_here(); ++i) step();
    come_to_rest();
    if (stop_here()) return;
    expect_receipts();
    line_.expect_settled();
  }
  bool stop_here() const { return testing::Test::HasFailure() || !order_->violations().empty(); }
  // How often what happened, for those who want to know that it does.
  void count(std::map<std::string, std::uint64_t>& all) const {
    for (std::uint32_t i = 0; i < seats_.size(); ++i) {
      const auto& record = line_.record(i);
      all["frames"] += record.frames.load();
      all["frames of batches tried again"] += record.retried.load();
      all["batches made smaller for memory"] += record.shrinks.load();
      all["events split"] += record.split.load();
      all["rows of padding"] += record.padded_rows.load();
      all["rebuffers"] += record.rebuffers.load();
      all["frames quarantined"] += record.quarantined.load();
      all["model errors"] += record.model_errors.load();
    }
    for (const auto& [id, times] : lost_) all["lost: " + id] += times;
    all["models changed"] += models_changed_;
    for (const auto& seat : seats_) all["replays"] += seat->replays();
    all["frames skipped"] += line_.skipped().size();
    all["steps of shedding"] += line_.instance.layout().shedding.raises + line_.instance.layout().shedding.lowerings;
    all["pool found full"] += full_;
    all["frames given back"] += line_.instance.total(Counter::redelivered);
  }
  const std::vector<std::string>& lines() const { return lines_; }
  std::vector<std::string> violations() const { return order_->violations(); }

 private:
  std::uint32_t number(std::uint32_t largest) { return static_cast<std::uint32_t>(random_() % (largest + 1)); }
  bool chance(std::uint32_t one_in) { return number(one_in - 1) == 0; }
  void say(std::string line) { lines_.push_back(std::move(line)); }
  Seat& some_seat() { return *seats_[number(static_cast<std::uint32_t>(seats_.size()) - 1)]; }
  std::string name(const Seat& seat) const {
    std::size_t i = 0;
    while (seats_[i].get() != &seat) ++i;
    return "device " + std::to_string(i);
  }

  void step() {
    const std::uint32_t what = number(49);
    if (what < 18) {
      some_seat().device_step();
    } else if (what < 34) {
      turn(some_seat());
    } else if (what < 39) {
      commit();
    } else if (what < 39 + writer_weight_) {
      write();
    } else {
      something_rare();
    }
  }

  void something_rare() {
    Seat& seat = some_seat();
    if (chance(12)) {
      if (seat.works()) change_model(seat);
      return;
    }
    switch (number(faulty_ ? 12 : 7)) {
      case 0:
      case 1:
        if (seat.works()) rebuffer(seat);
        break;
      case 2:
      case 3:
        say("open");
        line_.gate.open("run");
        break;
      case 4:
        if (!chance(3)) break;
        say("drain");
        line_.gate.drain(line_.instance.layout().next_sequence.load());
        break;
      case 5:
        if (!chance(3)) break;
        say("shut");
        line_.gate.shut();
        break;
      case 6:
        time_.pass(std::chrono::microseconds(number(1500)));
        break;
      case 7:
        if (!chance(6)) break;
        if (seat.works()) {
          say("end " + name(seat));
          seat.end();
        } else if (!seat.taken()) {
          start(seat);
        }
        break;
      case 8:
        if (seat.device() == nullptr || transients_ == 3) break;
        ++transients_;
        ++seat.faults().failing_runs;
        say("transient fault on " + name(seat));
        break;
      case 9:
        if (seat.device() == nullptr || !chance(4)) break;
        seat.faults().most_rows = number(12);
        say("room for " + std::to_string(seat.faults().most_rows) + " rows on " + name(seat));
        break;
      case 10:
        if (seat.device() == nullptr || !chance(4)) break;
        say("sticky fault on " + name(seat));
        seat.device()->break_down();
        break;
      case 11: {
        if (seat.device() == nullptr || !chance(6)) break;
        const bool stubborn = chance(2);
        say(std::string(stubborn ? "stubbornly " : "") + "stuck: " + name(seat));
        seat.device()->stick(stubborn);
        for (std::uint32_t seconds = chance(2) ? 12 : 0; seconds > 0; --seconds) {
          time_.pass(1s);
          turn(seat);
          turn(seat);  // asleep again
        }
        break;
      }
      case 12:
        if (seat.device() == nullptr) break;
        seat.device()->free_streams();
        break;
      default:
        break;
    }
  }

  void start(Seat& seat) {
    const auto seed = static_cast<unsigned>(random_());
    const bool small = faulty_ && chance(6);
    const std::uint32_t rows = number(20);
    const std::size_t bytes = small && chance(2) ? 1000 * (1 + number(100)) : ~0UL;
    const bool staged = chance(3);
    say("start " + name(seat) + (small ? " with room for " + std::to_string(rows) + " rows" : ""));
    seat.start(seed, [&](TestDeviceHandle& faults) {
      if (small) faults.most_rows = rows;
      faults.most_bytes = bytes;
      faults.staged = staged;
      faults.has_graphs = recording_;
    });
  }

  bool turn(Seat& seat) {
    return watching_for_loss(seat, [&] { return seat.turn(); });
  }
  template <class Act>
  bool watching_for_loss(Seat& seat, const Act& act) {
    const bool was_taken = seat.taken();
    const auto state_before = was_taken ? seat.loop().state() : WorkerState::ended;
    const bool moved = act();
    if (seat.taken() && seat.loop().state() == WorkerState::lost && state_before != WorkerState::lost) {
      const std::string id = seat.loop().failure().id;
      say("lost: " + name(seat) + " " + id);
      ++lost_[id];
      // A frame that was alone on one device that failed, and on another before, is an error; the first loss costs
      // none.
      if (id != "device.no-memory" && ++losses_ > 1) ++line_.may_be_unlucky;
    }
    if (was_taken && !seat.taken()) say("empty: " + name(seat));
    return moved;
  }

  void commit() {
    for (std::uint32_t i = 1 + number(4); i > 0; --i) {
      const Nature nature = chance(25)              ? Nature::poisoned
                            : faulty_ && chance(60) ? Nature::killer
                            : chance(25)            ? Nature::blinding
                                                    : Nature::good;
      const auto id = line_.committed();
      if (!line_.try_commit(nature)) {
        ++full_;
        break;
      }
      constexpr std::array<const char*, 4> kNames = {"", "poisoned ", "killer ", "blinding "};
      if (nature != Nature::good) say(kNames[static_cast<std::size_t>(nature)] + std::to_string(id));
    }
  }
  bool write() { return line_.take_results(1 + number(8)) > 0; }

  void rebuffer(Seat& seat) {
    const std::uint32_t depth = 1 + number(kMaxDepth - 1);
    const std::uint32_t batch = chance(2) ? 0 : 1 + number(9);
    say("rebuffer " + name(seat) + " to depth " + std::to_string(depth) + ", batch " + std::to_string(batch));
    receipts_.push_back({depth, batch, seat.loop().rebuffer(depth, batch)});
  }

  void change_model(Seat& seat) {
    const bool take_over = !chance(3);
    say("another model for " + name(seat) + (take_over ? "" : ", dropped again"));
    offers_.push_back(seat.loop().stage(seat.another_model()));
    offers_.push_back(seat.loop().commit(take_over));
  }

  // In the end there is a device, a run, a writer, and nothing new: everything must come out, and nobody may sleep
  // while there is something to do.
  void come_to_rest() {
    say("coming to rest");
    for (auto& seat : seats_) {
      if (seat->device() == nullptr) continue;
      seat->faults().failing_runs = 0;
      seat->device()->free_streams();
    }
    line_.gate.open("run");
    for (std::size_t i = 0; i < kMostSteps && !stop_here(); ++i) {
      bool moved = false;
      const auto first = number(static_cast<std::uint32_t>(seats_.size()) - 1);
      for (std::size_t k = 0; k < seats_.size(); ++k) {
        Seat& seat = *seats_[(first + k) % seats_.size()];
        if (!chance(3)) moved |= turn(seat);
        if (!chance(3)) moved |= seat.device_step();
      }
      moved |= write();
      if (moved) continue;
      if (!anything_moves()) {
        if (all_receipts_are_there() && line_.in(SlotState::free) == line_.geometry.slots) return;
        for (const auto& seat : seats_) {
          if (watching_for_loss(*seat, [&] { return seat->sleeps_through_work(); }))
            ADD_FAILURE() << name(*seat) << " slept through work: nobody had woken it";
        }
        if (!let_time_pass() && !start_again() && !anything_moves()) {
          fail_asleep();
          return;
        }
      }
    }
    if (!stop_here()) ADD_FAILURE() << "it did not come to rest within " << kMostSteps << " steps";
  }
  // The same without chance.
  bool anything_moves() {
    bool moved = false;
    for (auto& seat : seats_) {
      moved |= turn(*seat);
      moved |= seat->device_step();
    }
    moved |= write();
    return moved;
  }
  bool let_time_pass() {
    for (auto& seat : seats_) turn(*seat), turn(*seat);  // asleep again, each until its time
    std::optional<TestTime::Clock::time_point> due;
    for (const auto& seat : seats_) {
      if (const auto mine = seat->due(); mine && *mine > time_.now()) due = due ? std::min(*due, *mine) : *mine;
    }
    if (due) time_.reach(*due);
    return due.has_value();
  }
  // Every device is lost: systemd starts the daemon again.
  bool start_again() {
    if (std::any_of(seats_.begin(), seats_.end(), [](const auto& seat) { return seat->works(); })) return false;
    if (losses_ > kMostLosses) return false;
    faulty_ = false;
    for (auto& seat : seats_) {
      if (!seat->taken()) {
        start(*seat);
        return true;
      }
    }
    return false;
  }
  bool all_receipts_are_there() const {
    return std::all_of(receipts_.begin(), receipts_.end(),
                       [](const auto& one) { return one.receipt.wait_for(0s) == std::future_status::ready; }) &&
           std::all_of(offers_.begin(), offers_.end(),
                       [](const auto& one) { return one.wait_for(0s) == std::future_status::ready; });
  }
  void fail_asleep() const {
    std::string states;
    for (const auto state : {SlotState::ready, SlotState::inferring, SlotState::done, SlotState::writing})
      states += std::to_string(line_.in(state)) + " " + shm::name(state) + " ";
    ADD_FAILURE() << "everybody sleeps and nobody would ever wake them: " << states
                  << (all_receipts_are_there() ? "" : ", and a rebuffer or a model is not answered");
  }
  void expect_receipts() {
    for (auto& offer : offers_) {
      try {
        models_changed_ += offer.get().ok() ? 1 : 0;
      } catch (const std::future_error&) {  // the worker was ended or lost before it got to it
      }
    }
    for (auto& [depth, batch, receipt] : receipts_) {
      try {
        const auto values = receipt.get();
        EXPECT_EQ(values.after, depth);
        EXPECT_TRUE(batch != 0 ? values.batch_after <= batch : values.batch_after == values.batch_before);
        EXPECT_GE(values.before, 1U);
        EXPECT_LE(values.before, kMaxDepth);
        EXPECT_LE(values.in_flight, line_.geometry.slots);
      } catch (const std::future_error&) {  // the worker was ended or lost before it got to it
      }
    }
  }

  std::mt19937 random_;
  std::shared_ptr<HappensBefore> order_ = std::make_shared<HappensBefore>();
  Line line_;
  TestTime time_;
  std::vector<std::unique_ptr<Seat>> seats_;
  std::chrono::nanoseconds max_delay_{};
  std::shared_ptr<Shedding> shedding_;
  bool recording_ = false;  // the devices have graphs
  bool faulty_ = false;
  std::uint32_t writer_weight_ = 0;
  std::uint32_t transients_ = 0;
  std::size_t losses_ = 0;
  std::map<std::string, std::uint64_t> lost_;
  std::uint64_t full_ = 0;
  struct Asked {
    std::uint32_t depth, batch;
    std::future<RebufferReceipt> receipt;
  };
  std::vector<Asked> receipts_;
  std::vector<std::future<Status>> offers_;
  std::uint64_t models_changed_ = 0;
  std::vector<std::string> lines_;
};

TEST(EngineStory, whatever_happens_in_whatever_order_each_frame_comes_out_once_as_itself_and_nobody_waits_for_ever) {
  spdlog::set_level(spdlog::level::off);
  const char* chosen = std::getenv("PEAKNET_TEST_SEED");
  const char* wanted = std::getenv("PEAKNET_TEST_STORIES");
  const unsigned first = chosen != nullptr ? static_cast<unsigned>(std::strtoul(chosen, nullptr, 10)) : 1;
  const unsigned all = chosen != nullptr ? 1 : kStories;
  const unsigned count = wanted != nullptr ? static_cast<unsigned>(std::strtoul(wanted, nullptr, 10)) : all;
  std::map<std::string, std::uint64_t> happened;
  for (unsigned seed = first; seed < first + count; ++seed) {
    Story story(seed);
    story.tell();
    for (const auto& violation : story.violations()) ADD_FAILURE() << violation;
    if (HasFailure() || count == 1) {
      std::cout << "The story of PEAKNET_TEST_SEED=" << seed << ":\n";
      for (const auto& line : story.lines()) std::cout << "  " << line << "\n";
    }
    ASSERT_FALSE(HasFailure()) << "PEAKNET_TEST_SEED=" << seed << " tells this story again";
    story.count(happened);
  }
  for (const auto& [what, times] : happened) std::cout << "  " << what << ": " << times << "\n";
  if (count < 400) return;
  for (const char* what : {"frames of batches tried again", "batches made smaller for memory", "events split",
                           "rows of padding", "rebuffers", "models changed", "frames quarantined", "model errors",
                           "lost: device.lost", "lost: device.stuck", "lost: device.no-memory", "pool found full",
                           "frames skipped", "steps of shedding", "replays", "frames given back"})
    EXPECT_GT(happened[what], 0U) << what << " never happened: the stories prove nothing about it";
}

}  // namespace
}  // namespace peaknet::engine::test
