// The invariants under the microscope, with two participants: A is stopped before a step of its operation, B before a
// step of its own, at every pair of steps; then one of them dies or overtakes the other, the survivors go on, and no
// slot, no committed frame, no count and no wake-up may be lost or doubled. The steps are those of the real code
// (puppet.hpp).
//
// The unit form tries every single step and, for a fixed time, pairs drawn with a fixed seed; the soak form tries every
// pair. Both print a table of what was tried.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "tests/unit/shm/puppet.hpp"
#include "tests/unit/shm/scene.hpp"
#include "tests/unit/shm/step_table.hpp"

namespace peaknet::shm {
namespace {

using namespace std::chrono_literals;
using test::FrameId;
using test::Ledger;
using test::must;
using test::Puppet;
using test::Scene;
using test::StepTable;

#ifdef PEAKNET_SOAK
constexpr bool kEveryPair = true;
#else
constexpr bool kEveryPair = false;
#endif
// Of the unit form, each of the two orders; PEAKNET_SOAK_MILLISECONDS instead.
const std::chrono::milliseconds kTimeForAPair{
    std::getenv("PEAKNET_SOAK_MILLISECONDS") == nullptr ? 600 : std::atoi(std::getenv("PEAKNET_SOAK_MILLISECONDS"))};
constexpr std::uint32_t kSlots = 3;

// --- the operations

struct Deed {
  std::string name;
  std::function<Puppet::Operation(Scene&, Ledger&)> prepare;
  // Is there what one who does this may sleep for?
  std::function<bool(Scene&)> awaited = [](Scene&) { return false; };
};

// Clients of a puppet; never closed by a destructor.
template <class T>
T& keep(std::unique_ptr<T> client) {
  return *client.release();
}

bool free_slot(Scene& scene) { return scene.instance().slots_in(SlotState::free) > 0; }
bool frame_ready(Scene& scene) { return scene.instance().slots_in(SlotState::ready) > 0; }
bool frame_done(Scene& scene) { return scene.instance().slots_in(SlotState::done) > 0; }

void produce(Producer& producer, Ledger& ledger) {
  Frame frame = must(producer.claim(1h));
  const FrameId id{producer.number(), producer.committed()};
  test::fill(frame, id.first, id.second);
  ledger.maybe.insert(id);
  must(frame.commit());
  ledger.sure.insert(id);
}

Deed producing(const std::string& name, FullPolicy policy) {
  return {.name = name,
          .prepare = [policy](Scene& scene, Ledger& ledger) -> Puppet::Operation {
            return [&producer = keep(scene.instance().producer(policy)), &ledger] { produce(producer, ledger); };
          },
          .awaited =
              [policy](Scene& scene) {
                return free_slot(scene) || (policy == FullPolicy::drop_oldest && frame_ready(scene));
              }};
}
const Deed kClaim = producing("claim fill commit", FullPolicy::block);
const Deed kDrop = producing("drop oldest, commit", FullPolicy::drop_oldest);
const Deed kAbort{.name = "claim, give up",
                  .prepare = [](Scene& scene, Ledger&) -> Puppet::Operation {
                    return [&producer = keep(scene.instance().producer())] { must(producer.claim(1h)); };
                  },
                  .awaited = free_slot};

// Takes one; where there is none, sleeps once and looks again.
Consumer::Taken take_one(Consumer& consumer) {
  auto taken = consumer.take(1);
  if (!taken.frames.empty() || !taken.refused.empty()) return taken;
  consumer.wait_for_work(1h);
  return consumer.take(1);
}

const Deed kTakePublish{.name = "take, publish",
                        .prepare = [](Scene& scene, Ledger&) -> Puppet::Operation {
                          return [&device = keep(scene.instance().consumer(Queue::q1))] {
                            for (auto& frame : take_one(device).frames) must(frame.publish(ResultStatus::mask));
                          };
                        },
                        .awaited = frame_ready};
const Deed kTakeBack{.name = "take, give back",
                     .prepare = [](Scene& scene, Ledger&) -> Puppet::Operation {
                       return [&device = keep(scene.instance().consumer(Queue::q1))] { take_one(device); };
                     },
                     .awaited = frame_ready};
const Deed kTakeFinish{.name = "take, finish",
                       .prepare = [](Scene& scene, Ledger&) -> Puppet::Operation {
                         return [&writer = keep(scene.instance().consumer(Queue::q2))] {
                           for (auto& frame : take_one(writer).frames) must(frame.finish(Counter::filtered));
                         };
                       },
                       .awaited = frame_done};
const Deed kClear{.name = "clear quarantine", .prepare = [](Scene& scene, Ledger&) -> Puppet::Operation {
                    return [&daemon = keep(scene.instance().consumer(Queue::q1))] {
                      daemon.participant().clear_quarantine();
                    };
                  }};
const Deed kRecover{
    .name = "recover the dead", .prepare = [](Scene& scene, Ledger&) -> Puppet::Operation {
      return [&participant =
                  keep(must(Participant::attach(scene.name(), Role::writer, "sweeper", scene.survivor().mappings())))] {
        participant.recover_dead();
      };
    }};
const Deed kAttach{
    .name = "attach", .prepare = [](Scene& scene, Ledger&) -> Puppet::Operation {
      return [&scene] {
        keep(must(Participant::attach(scene.name(), Role::producer, "newcomer", scene.survivor().mappings())));
      };
    }};
const Deed kDetach{.name = "detach", .prepare = [](Scene& scene, Ledger& ledger) -> Puppet::Operation {
                     auto& producer = keep(scene.instance().producer());
                     return [&producer, &ledger] {
                       produce(producer, ledger);
                       delete &producer;
                     };
                   }};

// --- what they meet

using Dead = std::vector<std::unique_ptr<Puppet>>;
using Setup = std::function<void(Scene&, Ledger&, Dead&)>;

Setup waiting(int done, int ready) {
  return [=](Scene& scene, Ledger&, Dead&) {
    scene.done(done);
    scene.ready(ready);
  };
}

// Participants that are dead: one whose commit was cut in two (before or after the exchange of the word), one that held
// a frame on its device and one in its file.
Setup with_dead(bool committed) {
  return [=](Scene& scene, Ledger& ledger, Dead& dead) {
    scene.done(1);
    scene.ready(1);
    std::uint32_t id = 0;
    dead.push_back(std::make_unique<Puppet>([&]() -> Puppet::Operation {
      auto& producer = keep(scene.instance().producer());
      new Consumer::Taken(keep(scene.instance().consumer(Queue::q1)).take(1));
      new Consumer::Taken(keep(scene.instance().consumer(Queue::q2)).take(1));
      id = producer.participant().id();
      return [&producer, &ledger] { produce(producer, ledger); };
    }));
    const IntentRecord& intent = scene.instance().layout().participants[id].intent;
    const auto cut = [&] {
      return intent.old_word != 0 && (scene.instance().pool().word(intent.slot).load() == intent.new_word) == committed;
    };
    while (!cut()) ASSERT_TRUE(dead.back()->step());
    dead.back()->kill();
  };
}

const Setup kQuarantined = [](Scene& scene, Ledger&, Dead&) { scene.quarantined(); };

// --- one trial

enum class Ending { a_dies, a_dies_and_is_recovered, a_goes_first, b_goes_first, both_die };
constexpr std::array<Ending, 5> kEndings = {Ending::a_dies, Ending::a_dies_and_is_recovered, Ending::a_goes_first,
                                            Ending::b_goes_first, Ending::both_die};
const char* text(Ending ending) {
  constexpr std::array<const char*, 5> kTexts = {"A dies", "A dies and is recovered before B goes on", "A goes first",
                                                 "B goes first", "both die"};
  return kTexts[static_cast<std::size_t>(ending)];
}
bool kills(Ending ending) { return ending != Ending::a_goes_first && ending != Ending::b_goes_first; }

// In an order that is random and always the same.
struct TrialOf {
  int a, b;
  Ending ending;
};
std::vector<TrialOf> every_trial(int steps_of_a, int steps_of_b) {
  std::vector<TrialOf> trials;
  for (int a = 0; a <= steps_of_a; ++a) {
    for (int b = 0; b <= steps_of_b; ++b) {
      for (const Ending ending : kEndings) trials.push_back({a, b, ending});
    }
  }
  std::shuffle(trials.begin(), trials.end(), std::mt19937(20261121));
  return trials;
}

struct Pair {
  FullPolicy full = FullPolicy::block;
  Setup setup;
  Deed a, b;
};

// Where they really stood: less than asked for if they slept or were done before.
struct Stood {
  int a = 0, b = 0;
  unsigned states = 0;
};

class Trial {
 public:
  Trial(Scene& scene, const Pair& pair, bool with_b) : scene_(scene), pair_(pair) {
    scene_.begin();
    pair_.setup(scene_, ledger_, dead_);
    a_ = std::make_unique<Puppet>([&] { return pair_.a.prepare(scene_, ledger_); });
    if (with_b) b_ = std::make_unique<Puppet>([&] { return pair_.b.prepare(scene_, ledger_); });
  }

  Stood run(int a, int b, Ending ending) {
    for (int i = 0; i < a && a_->step(); ++i) {
    }
    for (int i = 0; b_ && i < b && b_->step(); ++i) {
    }
    Stood stood{a_->steps(), b_ ? b_->steps() : 0, scene_.states_now()};
    end(ending);
    settle();
    expect_nobody_overslept(false);

    const bool b_late = missed(b_.get(), pair_.b);
    scene_.survivor().recover_dead();
    settle();
    EXPECT_TRUE(b_late || !missed(b_.get(), pair_.b)) << "B was not woken for what the recovery gave back";
    wake_late();
    scene_.drain();
    settle();
    scene_.drain();
    settle();
    expect_nobody_overslept(true);
    for (auto* puppet : {a_.get(), b_.get()}) {
      if (puppet == nullptr || !puppet->living()) continue;
      if (puppet->state() == Puppet::State::asleep) puppet->time_out();  // there was nothing for it
      puppet->run();
      EXPECT_EQ(puppet->state(), Puppet::State::done) << "waits for ever";
      EXPECT_EQ(puppet->failure(), "");
    }
    scene_.judge(ledger_);  // while the living ones are still there
    a_.reset();
    b_.reset();
    scene_.survivor().recover_dead();
    EXPECT_EQ(scene_.instance().slots_in(SlotState::free), kSlots) << "slots lost at the end of the participants";
    EXPECT_BALANCED(scene_.instance());
    return stood;
  }

 private:
  void end(Ending ending) {
    anybody_died_ = kills(ending) || !dead_.empty();
    switch (ending) {
      case Ending::a_dies:
        a_->kill();
        break;
      case Ending::a_dies_and_is_recovered:
        a_->kill();
        scene_.survivor().recover_dead();
        break;
      case Ending::a_goes_first:
        a_->run();
        break;
      case Ending::b_goes_first:
        if (b_) b_->run();
        a_->run();
        break;
      case Ending::both_die:
        a_->kill();
        if (b_) b_->kill();
        break;
    }
  }

  // Whoever lives goes on until it sleeps or is done.
  void settle() {
    for (bool moved = true; moved;) {
      moved = false;
      for (auto* puppet : {a_.get(), b_.get()}) {
        if (puppet == nullptr || puppet->state() != Puppet::State::standing) continue;
        puppet->run();
        moved = true;
      }
    }
  }

  // Does it sleep although what it waits for is there?
  bool missed(Puppet* puppet, const Deed& deed) {
    return puppet != nullptr && puppet->state() == Puppet::State::asleep && deed.awaited(scene_);
  }
  // Nobody may, unless a notifier died between its deed and the wake-up: then the sleep ends by its time-out.
  void expect_nobody_overslept(bool after_recovery) {
    if (anybody_died_ && !after_recovery) return;
    EXPECT_FALSE(missed(a_.get(), pair_.a)) << "A lost its wake-up";
    EXPECT_FALSE(missed(b_.get(), pair_.b)) << "B lost its wake-up";
  }
  void wake_late() {
    if (missed(b_.get(), pair_.b)) b_->time_out();
    if (missed(a_.get(), pair_.a)) a_->time_out();
    settle();
  }

  Scene& scene_;
  const Pair& pair_;
  Ledger ledger_;
  Dead dead_;
  std::unique_ptr<Puppet> a_, b_;
  bool anybody_died_ = false;
};

// --- all trials of a pair

// Stops A before step `a` and B before step `b` (not there at all if b < 0), and judges.
using RunTrial = std::function<Stood(int a, int b, Ending ending)>;

class Trials {
 public:
  Trials(const std::string& a, const std::string& b, RunTrial run)
      : a_(a), b_(b), run_(std::move(run)), row_{.operation = a} {}

  void singles() {
    for (int a = 0;; ++a) {
      for (const Ending ending : {Ending::a_dies, Ending::a_goes_first}) {
        if (!one(a, -1, ending)) return;
      }
      if (last_.a < a) break;
      row_.steps = a;
    }
  }

  void every_pair() {
    row_.every_one = true;
    for (int a = 0;; ++a) {
      for (int b = 0;; ++b) {
        for (const Ending ending : kEndings) {
          if (!one(a, b, ending)) return;
          ++row_.pairs;
        }
        if (last_.b < b) break;
      }
      if (last_.a < a) break;
    }
  }

  void some_pairs() {
    int steps_of_b = 0;
    while (one(0, steps_of_b, Ending::a_goes_first) && last_.b == steps_of_b) ++steps_of_b;
    constexpr int kLonger = 10;  // its way may be longer where A stands in it
    auto trials = every_trial(static_cast<int>(row_.steps), steps_of_b + kLonger);
    const auto until = std::chrono::steady_clock::now() + kTimeForAPair;
    for (const auto& [a, b, ending] : trials) {
      if (std::chrono::steady_clock::now() > until || !one(a, b, ending)) return;
      if (last_.a == a && last_.b == b) ++row_.pairs;
    }
  }

  ~Trials() { StepTable::of_this_process().add(row_); }
  Trials(const Trials&) = delete;
  Trials& operator=(const Trials&) = delete;

 private:
  bool one(int a, int b, Ending ending) {
    const std::string where = a_ + " at step " + std::to_string(a) +
                              (b < 0 ? "" : ", " + b_ + " at step " + std::to_string(b)) + ": " + text(ending);
    SCOPED_TRACE(where);
    row_.bad = where;  // stays if the trial throws
    last_ = run_(a, b, ending);
    if (!testing::Test::HasFailure()) row_.bad.clear();
    if (kills(ending)) {
      ++row_.killed;
      row_.states |= last_.states;
    }
    return !testing::Test::HasFailure();
  }

  std::string a_, b_;
  RunTrial run_;
  StepTable::Row row_;
  Stood last_;
};

void try_all(const std::string& a, const std::string& b, const RunTrial& run) {
  if (testing::Test::HasFailure()) return;
  Trials trials(a, b, run);
  trials.singles();
  if (testing::Test::HasFailure()) return;
  kEveryPair ? trials.every_pair() : trials.some_pairs();
}

void try_in_order(const Pair& pair) {
  Scene scene(pair.full, kSlots);
  try_all(pair.a.name, pair.b.name,
          [&](int a, int b, Ending ending) { return Trial(scene, pair, b >= 0).run(a, b, ending); });
}

// Each of the two is the one that is killed.
void compete(FullPolicy full, const Setup& setup, const Deed& one, const Deed& other) {
  try_in_order({full, setup, one, other});
  if (one.name != other.name) try_in_order({full, setup, other, one});
}

TEST(StepPairs, producers_that_compete_for_a_slot) {
  compete(FullPolicy::block, waiting(0, 2), kClaim, kClaim);
  compete(FullPolicy::block, waiting(0, 2), kClaim, kDrop);
  compete(FullPolicy::block, waiting(0, 2), kClaim, kAbort);
}

TEST(StepPairs, producers_that_drop_the_oldest_frame) {
  compete(FullPolicy::drop_oldest, waiting(0, 3), kDrop, kDrop);
  compete(FullPolicy::drop_oldest, waiting(0, 3), kDrop, kTakePublish);
  compete(FullPolicy::drop_oldest, waiting(1, 2), kDrop, kTakeFinish);
  compete(FullPolicy::drop_oldest, waiting(0, 3), kDrop, kTakeBack);
}

TEST(StepPairs, consumers_that_compete_for_a_frame) {
  compete(FullPolicy::block, waiting(0, 2), kTakePublish, kTakePublish);
  compete(FullPolicy::block, waiting(0, 1), kTakePublish, kTakePublish);
  compete(FullPolicy::block, waiting(2, 0), kTakeFinish, kTakeFinish);
  compete(FullPolicy::block, waiting(0, 1), kTakeBack, kTakePublish);
}

TEST(StepPairs, one_hands_over_to_the_next_who_may_sleep) {
  compete(FullPolicy::block, waiting(0, 0), kClaim, kTakePublish);
  compete(FullPolicy::block, waiting(0, 1), kClaim, kTakePublish);
  compete(FullPolicy::block, waiting(0, 1), kTakePublish, kTakeFinish);
  compete(FullPolicy::block, waiting(3, 0), kTakeFinish, kClaim);
  compete(FullPolicy::drop_oldest, waiting(3, 0), kTakeFinish, kDrop);
}

TEST(StepPairs, recovery_beside_those_who_live) {
  for (const bool committed : {false, true}) {
    for (const Deed* other : {&kClaim, &kTakePublish, &kTakeFinish})
      compete(FullPolicy::block, with_dead(committed), kRecover, *other);
    compete(FullPolicy::drop_oldest, with_dead(committed), kRecover, kDrop);
  }
  compete(FullPolicy::block, kQuarantined, kClear, kRecover);
  compete(FullPolicy::block, kQuarantined, kClear, kClear);
}

TEST(StepPairs, those_who_recover_come_and_go) {
  for (const bool committed : {false, true}) {
    compete(FullPolicy::block, with_dead(committed), kRecover, kRecover);
    compete(FullPolicy::block, with_dead(committed), kRecover, kAttach);
    compete(FullPolicy::block, with_dead(committed), kAttach, kAttach);
    compete(FullPolicy::block, with_dead(committed), kAttach, kClaim);
  }
  compete(FullPolicy::block, waiting(0, 1), kDetach, kRecover);
  compete(FullPolicy::block, waiting(0, 1), kDetach, kAttach);
}

// --- a change of the pool beside a claim

// What peaknetd does (daemon/supervisor/pool_manager.cpp): retire the pool, wait until nobody fills a slot of it, and,
// if it is empty, put the next one in its place; else the old one lives on.
void replace_pool(const test::TestInstance& instance, Participant& daemon) {
  const auto old = daemon.shared_pool();
  const auto in = [&](SlotState state) { return old->count_states()[static_cast<std::size_t>(state)]; };
  old->header().header.state.store(SegmentState::retired);
  while (in(SlotState::filling) > 0) {
    auto& freed = old->header().free_event;
    const auto ticket = freed.prepare();
    if (in(SlotState::filling) == 0) break;
    freed.wait(ticket);
    daemon.recover_dead();
  }
  if (in(SlotState::free) < kSlots) {
    old->header().header.state.store(SegmentState::live);
    old->header().free_event.notify();
    return;
  }
  Segment::unlink(pool_name(instance.name(), old->epoch()));
  must(Pool::create(instance.name(), old->epoch() + 1, test::small_frames(kSlots), old->policy(),
                    instance.control_segment().uuid(), {.mode = 0600}));
  instance.layout().epoch.store(old->epoch() + 1);
  old->header().free_event.notify();
  old->header().done_event.notify();
}

class ChangeOfThePool {
 public:
  explicit ChangeOfThePool(FullPolicy full) : full_(full) {}

  Stood run(bool daemon_is_a, int a, int b, Ending ending) {
    const auto former = new_pool();
    auto supervisor = must(Participant::attach(instance_.name(), Role::daemon, "supervisor"));
    const FrameAccounting before = read_accounting(instance_.control_segment(), former.get());
    Ledger ledger;
    Puppet daemon([&]() -> Puppet::Operation {
      return [this, &participant = keep(must(Participant::attach(instance_.name(), Role::daemon, "daemon")))] {
        replace_pool(instance_, participant);
      };
    });
    Puppet producer([&]() -> Puppet::Operation {
      return [&client = keep(instance_.producer()), &ledger] { produce(client, ledger); };
    });
    Puppet& first = daemon_is_a ? daemon : producer;
    Puppet& second = daemon_is_a ? producer : daemon;
    if (b < 0) second.kill();
    for (int i = 0; i < a && first.step(); ++i) {
    }
    for (int i = 0; i < b && second.step(); ++i) {
    }
    const Stood stood{first.steps(), second.steps(), test::states_of(*former)};
    if (kills(ending)) first.kill();
    if (ending == Ending::both_die) second.kill();
    if (ending == Ending::a_dies_and_is_recovered) supervisor->recover_dead();
    if (ending == Ending::b_goes_first) second.run();
    settle(daemon, producer);
    supervisor->recover_dead();
    settle(daemon, producer);
    if (!daemon.living() ||
        daemon.state() == Puppet::State::asleep) {  // dead, or it waits for one who has the old pool's slot
      daemon.kill();
      supervisor->recover_dead();
      if (instance_.layout().epoch.load() == former->epoch()) restart(*former);
    }
    settle(daemon, producer);
    for (int i = 0; i < 3 && producer.state() == Puppet::State::asleep; ++i) {
      EXPECT_TRUE(kills(ending) || b < 0) << "the producer was not told of the new pool";
      producer.time_out();
      settle(daemon, producer);
    }
    EXPECT_TRUE(!producer.living() || producer.state() == Puppet::State::done) << "waits for ever";
    EXPECT_EQ(producer.failure() + daemon.failure(), "");
    judge(*former, before, ledger);
    daemon.kill();
    producer.kill();
    supervisor->recover_dead();
    return stood;
  }

 private:
  std::shared_ptr<Pool> new_pool() {
    const std::uint64_t epoch = instance_.layout().epoch.load() + 1;
    auto pool = must(Pool::create(instance_.name(), epoch, test::small_frames(kSlots), full_,
                                  instance_.control_segment().uuid(), {.mode = 0600}));
    instance_.layout().epoch.store(epoch);
    return pool;
  }

  // The next daemon: removes a pool that the last one made but did not publish, and replaces the old one in its turn.
  void restart(const Pool& former) {
    instance_.drop_owner();
    Segment::unlink(pool_name(instance_.name(), former.epoch() + 1));
    auto participant = must(Participant::attach(instance_.name(), Role::daemon, "next daemon"));
    if (participant->has_pool()) {
      replace_pool(instance_, *participant);
    } else {
      new_pool();
    }
  }

  static void settle(Puppet& one, Puppet& other) {
    while (one.state() == Puppet::State::standing || other.state() == Puppet::State::standing) {
      one.run();
      other.run();
    }
  }

  void judge(const Pool& former, const FrameAccounting& before, const Ledger& ledger) {
    auto device = instance_.consumer(Queue::q1);
    auto writer = instance_.consumer(Queue::q2);
    for (auto& frame : device->take(kSlots).frames) must(frame.publish(ResultStatus::mask));
    std::size_t seen = 0;
    for (auto& frame : writer->take(kSlots).frames) {
      EXPECT_TRUE(test::whole(frame));
      ++seen;
      must(frame.finish(Counter::written));
    }
    EXPECT_GE(seen, ledger.sure.size()) << "committed into a pool that was drained and removed";
    EXPECT_LE(seen, ledger.maybe.size());
    const Pool& now = device->participant().pool();
    for (const Pool* pool : {&former, &now})
      EXPECT_EQ(pool->count_states()[static_cast<std::size_t>(SlotState::free)], kSlots) << "epoch " << pool->epoch();
    const FrameAccounting after = read_accounting(instance_.control_segment(), &now);
    EXPECT_EQ(test::unbalanced(after), "");
    EXPECT_EQ(after.total(Counter::committed) - before.total(Counter::committed), seen);
    Segment::unlink(pool_name(instance_.name(), former.epoch()));
    Segment::unlink(pool_name(instance_.name(), now.epoch()));
  }

  FullPolicy full_;
  test::TestInstance instance_{{.with_pool = false}};
};

TEST(StepPairs, change_of_the_pool_beside_a_claim) {
  for (const FullPolicy full : {FullPolicy::block, FullPolicy::drop_oldest}) {
    ChangeOfThePool scene(full);
    const std::string claim = full == FullPolicy::block ? kClaim.name : kDrop.name;
    try_all("change the pool", claim, [&](int a, int b, Ending ending) { return scene.run(true, a, b, ending); });
    try_all(claim, "change the pool", [&](int a, int b, Ending ending) { return scene.run(false, a, b, ending); });
  }
}

// One member of the group writes another word of a waiting frame, older than all others, before every step of ours.
TEST(StepPairs, a_word_that_never_stands_still_keeps_nobody) {
  for (const int every : {1, 2, 3, 5, 7, 11}) {
    test::TestInstance instance({.geometry = test::small_frames(kSlots)});
    instance.layout().next_sequence.store(1'000'000'000);
    auto producer = instance.producer(FullPolicy::drop_oldest);
    for (std::uint64_t event = 1; event <= kSlots; ++event) {
      Frame frame = must(producer->claim(1h));
      frame.info().event_id = event;
      must(frame.commit());
    }
    auto hostile = [&, sequence = std::uint64_t{0}]() mutable {
      instance.pool().word(0).store(StateWord{++sequence, 0, 0, SlotState::ready}.pack());
    };
    std::vector<std::uint64_t> events;
    const auto ends = [&](const std::function<void()>& deed) {
      Puppet puppet([&]() -> Puppet::Operation { return deed; });
      for (int i = 0; i < 100'000 && puppet.state() == Puppet::State::standing; ++i) {
        if (i % every == 0) hostile();
        puppet.step();
      }
      EXPECT_EQ(puppet.failure(), "");
      return puppet.state() == Puppet::State::done;
    };
    auto& device = keep(instance.consumer(Queue::q1));
    EXPECT_TRUE(ends([&] {
      for (auto& frame : device.take(kSlots).frames) events.push_back(frame.descriptor().event_id);
    })) << "a device, every "
        << every;
    EXPECT_THAT(events, testing::IsSupersetOf({2U, 3U})) << "the others' frames go on";
    auto& dropper = keep(instance.producer(FullPolicy::drop_oldest));
    EXPECT_TRUE(ends([&] { static_cast<void>(dropper.claim(0ns)); })) << "a producer that drops, every " << every;
  }
}

}  // namespace
}  // namespace peaknet::shm
