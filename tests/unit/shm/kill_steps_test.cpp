// The law under the microscope: one participant is stopped between two machine instructions of an operation and killed
// there; then the others go on, and no slot, no committed frame and no count may be lost or doubled.
//
// A first run finds out after which instructions the shared memory differs, and where the kernel is entered (locks). A
// kill anywhere between two such places leaves the same behind, so these are tried first, each of them; then random
// others, as long as there is time. In the soak test every instruction is tried.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <map>
#include <random>
#include <set>
#include <vector>

#include "shm/clock.hpp"
#include "tests/support/instance.hpp"
#include "tests/unit/shm/stepper.hpp"

namespace peaknet::shm {
namespace {

using namespace std::chrono_literals;
using test::must;
using test::small_frames;
using test::Stepper;
using test::TestInstance;

#ifdef PEAKNET_SOAK
constexpr std::chrono::seconds kTimeForAnOperation = std::chrono::hours(1), kMostTime = kTimeForAnOperation;
#else
constexpr std::chrono::seconds kTimeForAnOperation{2}, kMostTime{10};  // the second is for slow machines and ASan
#endif
constexpr std::uint32_t kSlots = 4;

// The pixels say whose frame it is, so that a torn or mixed-up one is seen.
void fill(Frame& frame, std::uint64_t producer, std::uint64_t seq) {
  frame.info().event_id = producer << 32 | seq;
  const auto pixels = frame.pixels<std::uint16_t>();
  pixels[0] = pixels[pixels.size() / 2] = pixels[pixels.size() - 1] = static_cast<std::uint16_t>(producer * 257 + seq);
}

bool whole(const HeldFrame& frame) {
  const FrameDescriptor& d = frame.descriptor();
  const auto* pixels = reinterpret_cast<const std::uint16_t*>(frame.image().data());
  const std::size_t n = frame.geometry().pixels();
  const auto value = static_cast<std::uint16_t>(d.producer * 257 + d.producer_seq);
  return d.event_id == (d.producer << 32 | d.producer_seq) && pixels[0] == value && pixels[n / 2] == value &&
         pixels[n - 1] == value;
}

void produce(Producer& producer) {
  Frame frame = must(producer.claim(1s));
  fill(frame, producer.number(), producer.committed());
  must(frame.commit());
}

// A participant that is dead when this returns; `deed` may leave anything half done.
void die_after(const std::function<void()>& deed) {
  const pid_t pid = fork();
  if (pid == 0) {
    deed();
    raise(SIGKILL);
  }
  waitpid(pid, nullptr, 0);
}

using FrameId = std::pair<std::uint64_t, std::uint64_t>;

enum class After {
  kill,              // killed, recovered
  others_then_kill,  // others take and finish everything they can, then it is killed and recovered
  others_then_go_on  // others take and finish everything they can, then it goes on to its end
};

// What the survivors do, and the evidence they collect.
class Scene {
 public:
  explicit Scene(FullPolicy full) : instance_({.geometry = small_frames(kSlots), .full = full}) {
    producer_ = instance_.producer();
    device_ = instance_.consumer(Queue::q1);
    writer_ = instance_.consumer(Queue::q2);
  }

  TestInstance& instance() { return instance_; }
  const std::string& name() const { return instance_.name(); }
  Member& survivor() { return device_->member(); }

  void ready(int count) {
    for (int i = 0; i < count; ++i) {
      made_.insert({producer_->number(), producer_->committed()});
      produce(*producer_);
    }
  }
  void done(int count) {
    ready(count);
    for (auto& frame : device_->take(static_cast<std::size_t>(count)).frames) must(frame.publish(ResultStatus::mask));
  }
  void quarantined() {  // as after three deaths
    done(1);
    for (std::uint32_t slot = 0; slot < kSlots; ++slot) {
      auto word = StateWord::unpack(instance_.pool().word(slot).load());
      if (word.state != SlotState::done) continue;
      word.state = SlotState::quarantined;
      word.attempts = kMaxAttempts;
      instance_.pool().word(slot).store(word.pack());
    }
  }

  void begin() {
    made_.clear();
    seen_.clear();
    before_ = instance_.books();
  }

  // Take and finish whatever waits; every frame must be whole and new.
  void drain() {
    for (auto& frame : device_->take(kSlots).frames) must(frame.publish(ResultStatus::mask));
    auto taken = writer_->take(kSlots);
    EXPECT_TRUE(taken.refused.empty());
    for (auto& frame : taken.frames) {
      EXPECT_TRUE(whole(frame)) << "torn: " << frame.descriptor().frame_name();
      see(frame.descriptor());
      must(frame.finish(Counter::written));
    }
  }

  // After the killed one's slots were given back: nothing is held, and the books and the frames agree to the last one.
  void judge() {
    for (std::uint32_t slot = 0; slot < kSlots; ++slot) {
      const auto word = StateWord::unpack(instance_.pool().word(slot).load());
      EXPECT_FALSE(word.held()) << "slot " << slot << " is " << shm::name(word.state) << " for ever";
    }
    EXPECT_BALANCED(instance_);
    drain();
    for (const auto& descriptor : survivor().clear_quarantine()) see(descriptor);
    EXPECT_EQ(instance_.slots_in(SlotState::free), kSlots) << "slots lost";
    const Books after = instance_.books();
    EXPECT_EQ(test::unbalanced(after), "");
    const auto delta = [&](Counter counter) { return after.total(counter) - before_.total(counter); };

    std::size_t ours = 0;
    std::size_t theirs = 0;
    for (const auto& id : seen_) {
      const bool is_ours = id.first == producer_->number();
      ++(is_ours ? ours : theirs);
      EXPECT_TRUE(!is_ours || made_.contains(id)) << "a frame that was never made";
    }
    EXPECT_EQ(delta(Counter::committed), made_.size() + theirs)
        << "committed frames that nobody saw, or seen ones never committed";
    // What disappeared was ended by the killed one, and is counted.
    EXPECT_EQ(after.outcomes() - before_.outcomes(), seen_.size() + (made_.size() - ours));
  }

 private:
  void see(const FrameDescriptor& descriptor) {
    EXPECT_TRUE(seen_.insert({descriptor.producer, descriptor.producer_seq}).second)
        << "twice: " << descriptor.frame_name();
  }
  TestInstance instance_;
  std::unique_ptr<Producer> producer_;
  std::unique_ptr<Consumer> device_, writer_;
  std::set<FrameId> made_;  // by us, in this round
  std::set<FrameId> seen_;  // by the writer or in quarantine, in this round
  Books before_;
};

struct Operation {
  FullPolicy full = FullPolicy::block;
  std::function<void(Scene&)> setup = [](Scene&) {};
  std::function<Stepper::Operation(Scene&)> prepare;  // runs in the process that will be killed
};

// Everything in shared memory but the pixels and the times, as one number.
std::uint64_t fingerprint(Scene& scene) {
  std::uint64_t hash = 0;
  const auto mix = [&](const void* data, std::size_t bytes) {
    for (std::size_t i = 0; i + 8 <= bytes; i += 8) {
      std::uint64_t value = 0;
      std::memcpy(&value, static_cast<const char*>(data) + i, 8);
      hash = (std::rotl(hash, 5) ^ value) * 0x9e3779b97f4a7c15ULL;
    }
  };
  const DirectoryLayout& layout = scene.instance().layout();
  const Pool& pool = scene.instance().pool();
  for (std::uint32_t slot = 0; slot < kSlots; ++slot) {
    mix(&pool.word(slot), sizeof(std::uint64_t));
    mix(&pool.descriptor(slot), sizeof(FrameDescriptor));
  }
  mix(&pool.header(), sizeof(PoolHeader));
  mix(&layout, offsetof(DirectoryLayout, daemon));
  mix(&layout.participants, 12 * sizeof(ParticipantRecord));  // more are never there in these tests
  return hash;
}

struct Point {
  long step;
  After after;
  bool telling;
};

// Where to kill, the most telling points first.
std::vector<Point> points_of(Scene& scene, const Operation& operation) {
  scene.begin();
  operation.setup(scene);
  Stepper stepper([&] { return operation.prepare(scene); });
  std::vector<long> telling{0}, others;
  std::uint64_t last = fingerprint(scene);
  long step = 1;
  for (bool kernel = stepper.before_kernel(); stepper.advance(); kernel = stepper.before_kernel(), ++step) {
    const std::uint64_t now = fingerprint(scene);
    (std::exchange(last, now) != now || kernel ? telling : others).push_back(step);
  }
  stepper.finish();
  scene.survivor().recover_dead();
  scene.judge();

  std::mt19937 random(static_cast<unsigned>(monotonic_ns()));
  std::shuffle(telling.begin(), telling.end(), random);
  std::shuffle(others.begin(), others.end(), random);
  std::vector<Point> points;
  for (const bool tells : {true, false}) {
    for (const After after : {After::kill, After::others_then_kill, After::others_then_go_on}) {
      for (const long at : tells ? telling : others) points.push_back({at, after, tells});
    }
  }
  std::shuffle(points.begin() + static_cast<std::ptrdiff_t>(3 * telling.size()), points.end(), random);
  std::printf("%ld instructions, %zu that change what others see\n", step, telling.size());
  return points;
}

void try_every_step(const Operation& operation) {
  Scene scene(operation.full);
  const auto points = points_of(scene, operation);
  const auto start = std::chrono::steady_clock::now();
  std::map<After, int> tried;
  for (const auto& [step, after, telling] : points) {
    const auto spent = std::chrono::steady_clock::now() - start;
    if (testing::Test::HasFailure() || spent > (telling ? kMostTime : kTimeForAnOperation)) break;
    SCOPED_TRACE("instruction " + std::to_string(step) + ", mode " + std::to_string(static_cast<int>(after)));
    scene.begin();
    operation.setup(scene);
    Stepper stepper([&] { return operation.prepare(scene); });
    stepper.advance(step);
    if (after != After::kill) scene.drain();
    if (after == After::others_then_go_on) {
      EXPECT_EQ(stepper.finish(), test::Exit::code(0));
    } else {
      stepper.kill();
    }
    scene.survivor().recover_dead();
    scene.judge();
    ++tried[after];
  }
  std::printf("killed %d times at once, %d times after others had acted; overtaken by others %d times\n",
              tried[After::kill], tried[After::others_then_kill], tried[After::others_then_go_on]);
}

// Doors of the process under the microscope; never destroyed there.
template <class T>
T& keep(std::unique_ptr<T> door) {
  return *door.release();
}

TEST(KillSteps, claim_fill_commit) {
  try_every_step({.setup = [](Scene& scene) { scene.ready(1); },
                  .prepare = [](Scene& scene) -> Stepper::Operation {
                    return [&producer = keep(scene.instance().producer())] { produce(producer); };
                  }});
}

TEST(KillSteps, claim_and_give_up) {
  try_every_step({.setup = [](Scene& scene) { scene.ready(1); },
                  .prepare = [](Scene& scene) -> Stepper::Operation {
                    return [&producer = keep(scene.instance().producer())] {
                      const Frame frame = must(producer.claim(1s));
                    };
                  }});
}

TEST(KillSteps, drop_oldest_and_commit) {
  try_every_step({.full = FullPolicy::drop_oldest,
                  .setup = [](Scene& scene) { scene.ready(kSlots); },
                  .prepare = [](Scene& scene) -> Stepper::Operation {
                    return [&producer = keep(scene.instance().producer())] { produce(producer); };
                  }});
}

TEST(KillSteps, take_and_publish) {
  try_every_step({.setup = [](Scene& scene) { scene.ready(2); },
                  .prepare = [](Scene& scene) -> Stepper::Operation {
                    return [&device = keep(scene.instance().consumer(Queue::q1))] {
                      for (auto& frame : device.take(2).frames) must(frame.publish(ResultStatus::mask));
                    };
                  }});
}

TEST(KillSteps, take_and_finish) {
  try_every_step({.setup = [](Scene& scene) { scene.done(2); },
                  .prepare = [](Scene& scene) -> Stepper::Operation {
                    return [&writer = keep(scene.instance().consumer(Queue::q2))] {
                      for (auto& frame : writer.take(2).frames) must(frame.finish(Counter::filtered));
                    };
                  }});
}

TEST(KillSteps, take_and_give_back) {
  try_every_step({.setup = [](Scene& scene) { scene.ready(2); },
                  .prepare = [](Scene& scene) -> Stepper::Operation {
                    return [&device = keep(scene.instance().consumer(Queue::q1))] { device.take(2); };
                  }});
}

TEST(KillSteps, take_of_a_damaged_frame) {
  try_every_step({.setup =
                      [](Scene& scene) {
                        scene.ready(1);
                        scene.instance().pool().descriptor(0).height = 1;
                      },
                  .prepare = [](Scene& scene) -> Stepper::Operation {
                    return [&device = keep(scene.instance().consumer(Queue::q1))] { device.take(2); };
                  }});
}

TEST(KillSteps, clear_quarantine) {
  try_every_step({.setup = [](Scene& scene) { scene.quarantined(); },
                  .prepare = [](Scene& scene) -> Stepper::Operation {
                    return
                        [&daemon = keep(scene.instance().consumer(Queue::q1))] { daemon.member().clear_quarantine(); };
                  }});
}

// Leaves a dead participant behind whose commit was cut in two, one that held a frame on its device and one in its
// file.
void leave_the_dead(Scene& scene, bool committed) {
  die_after([&] {
    auto& producer = keep(scene.instance().producer());
    auto& device = keep(scene.instance().consumer(Queue::q1));
    auto& writer = keep(scene.instance().consumer(Queue::q2));
    auto* taken = new Consumer::Taken(device.take(1));
    new Consumer::Taken(writer.take(1));
    auto* frame = new Frame(must(producer.claim(1s)));
    fill(*frame, producer.number(), 0);
    for (std::uint32_t slot = 0; slot < kSlots; ++slot) {
      const std::uint64_t old_word = scene.instance().pool().word(slot).load();
      const auto word = StateWord::unpack(old_word);
      if (word.state != SlotState::filling) continue;
      FrameDescriptor& descriptor = scene.instance().pool().descriptor(slot);
      descriptor = frame->info();
      descriptor.producer = producer.number();
      const StateWord ready{word.sequence, 0, 0, SlotState::ready};
      auto& record = producer.member().record();
      record.journal.new_word.store(ready.pack());
      record.journal.slot.store(slot);
      record.journal.rule.store(static_cast<std::uint32_t>(JournalRule::left_old));
      record.journal.counter.store(static_cast<std::uint32_t>(Counter::committed));
      record.journal.value.store(record.counters[static_cast<std::size_t>(Counter::committed)].load() + 1);
      record.journal.old_word.store(old_word);
      if (committed) scene.instance().pool().word(slot).store(ready.pack());
    }
    static_cast<void>(taken);
  });
}

TEST(KillSteps, recover_the_dead) {
  for (const bool committed : {false, true}) {
    try_every_step({.setup =
                        [](Scene& scene) {
                          scene.done(1);
                          scene.ready(1);
                        },
                    .prepare = [committed](Scene& scene) -> Stepper::Operation {
                      auto& recoverer = keep(scene.instance().consumer(Queue::q2));
                      leave_the_dead(scene, committed);
                      return [&recoverer] { recoverer.member().recover_dead(); };
                    }});
  }
}

TEST(KillSteps, attach_with_the_id_of_a_dead_one) {
  for (const bool committed : {false, true}) {
    try_every_step({.setup =
                        [committed](Scene& scene) {
                          scene.done(1);
                          scene.ready(1);
                          leave_the_dead(scene, committed);
                        },
                    .prepare = [](Scene& scene) -> Stepper::Operation {
                      return [name = scene.name()] { keep(must(Producer::attach(name))); };
                    }});
  }
}

TEST(KillSteps, detach) {
  try_every_step({.setup = [](Scene& scene) { scene.ready(1); },
                  .prepare = [](Scene& scene) -> Stepper::Operation {
                    auto& producer = keep(scene.instance().producer());
                    produce(producer);
                    return [&producer] { delete &producer; };
                  }});
}

// A change of the pool at any instruction of a claim: if the daemon found the retired pool empty, no frame may enter it
// any more.
TEST(KillSteps, change_of_the_pool_during_a_claim) {
  TestInstance instance({.geometry = small_frames(kSlots)});
  const auto prepare = [&]() -> Stepper::Operation {
    return [&producer = keep(instance.producer())] { produce(producer); };
  };
  std::vector<long> steps{0};
  {
    Stepper stepper(prepare);
    while (stepper.advance()) steps.push_back(static_cast<long>(steps.size()));
    stepper.finish();
  }
  std::shuffle(steps.begin(), steps.end(), std::mt19937(static_cast<unsigned>(monotonic_ns())));
  const auto end = std::chrono::steady_clock::now() + kTimeForAnOperation;
  int overtaken = 0;
  int tried = 0;
  for (const long step : steps) {
    if (++tried > 50 && std::chrono::steady_clock::now() > end) break;
    const auto former = must(instance.directory().open_pool(Access::read_write));
    for (std::uint32_t slot = 0; slot < kSlots; ++slot) former->word(slot).store(0);
    Stepper stepper(prepare);
    stepper.advance(step);
    instance.next_epoch(small_frames(kSlots));
    const bool empty = former->count_states()[static_cast<std::size_t>(SlotState::free)] == kSlots;
    ASSERT_EQ(stepper.finish(), test::Exit::code(0));
    const auto in_former = former->count_states()[static_cast<std::size_t>(SlotState::ready)];
    ASSERT_EQ(in_former + instance.slots_in(SlotState::ready), 1U);
    if (empty) {
      ++overtaken;
      ASSERT_EQ(in_former, 0U) << "instruction " << step << " of " << steps.size()
                               << ": committed into a pool that was drained and removed";
    }
    Segment::unlink(pool_name(instance.name(), former->epoch()));
  }
  EXPECT_GT(overtaken, 0);
}

// --- what the daemon alone does: making and removing an instance
// ---------------------------------------------------------------

// Killed before or after any system call, the next daemon starts, makes a pool, and leaves nothing else behind. (What
// others see of these operations changes with system calls; a store counts together with the call that follows.)
void try_every_step_of_the_daemon(const std::function<Stepper::Operation(const std::string&)>& prepare) {
  const auto restart = [](const std::string& name) {
    auto owner = InstanceOwner::take(name, {.mode = 0600});
    ASSERT_TRUE(owner) << owner.error().text();
    auto& layout = owner->directory()->layout();
    if (layout.epoch.load() == 0) {
      must(Pool::create(name, 1, small_frames(2), FullPolicy::block, owner->directory()->uuid(), {.mode = 0600}));
      layout.epoch.store(1);
    }
    must(must(must(Producer::attach(name))->claim(1s)).commit());
    EXPECT_EQ(test::shared_memory_of(name).size(), 2U);
  };
  int step = 0;
  for (bool killed = true; killed && !testing::Test::HasFailure(); ++step) {
    SCOPED_TRACE("system call stop " + std::to_string(step));
    const std::string name = TestInstance::unique_name();
    Stepper stepper([&] { return prepare(name); });
    for (int i = 0; i < step && killed; ++i) killed = stepper.advance_to_kernel();
    stepper.kill();
    restart(name);
    test::remove_shared_memory(name);
  }
  std::printf("killed at %d places\n", step);
  EXPECT_GT(step, 20);
}

InstanceOwner& make_instance(const std::string& name) {
  auto* owner = new InstanceOwner(must(InstanceOwner::take(name, {.mode = 0600})));
  must(Pool::create(name, 1, small_frames(2), FullPolicy::block, owner->directory()->uuid(), {.mode = 0600}));
  owner->directory()->layout().epoch.store(1);
  return *owner;
}

TEST(KillSteps, making_an_instance) {
  try_every_step_of_the_daemon(
      [](const std::string& name) -> Stepper::Operation { return [name] { make_instance(name); }; });
}

TEST(KillSteps, removing_an_instance) {
  try_every_step_of_the_daemon([](const std::string& name) -> Stepper::Operation {
    return [&owner = make_instance(name)] { owner.remove_if_unused(); };
  });
}

}  // namespace
}  // namespace peaknet::shm
