// The invariants under the microscope: one participant is stopped between two machine instructions of an operation and
// killed there; then the others go on, and no slot, no committed frame and no count may be lost or doubled.
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
#include <cstdlib>
#include <cstring>
#include <map>
#include <random>
#include <vector>

#include "shm/clock.hpp"
#include "tests/unit/shm/scene.hpp"
#include "tests/unit/shm/step_table.hpp"
#include "tests/unit/shm/stepper.hpp"

namespace peaknet::shm {
namespace {

using namespace std::chrono_literals;
using test::fill;
using test::must;
using test::produce;
using test::Scene;
using test::small_frames;
using test::Stepper;
using test::StepTable;
using test::TestInstance;

#ifdef PEAKNET_SOAK
// PEAKNET_SOAK_SECONDS for each operation; those steps that change what others see come first. Without it: all steps.
const std::chrono::seconds kTimeForAnOperation{
    std::getenv("PEAKNET_SOAK_SECONDS") == nullptr ? 3600 : std::atoi(std::getenv("PEAKNET_SOAK_SECONDS"))};
const std::chrono::seconds kMostTime = std::chrono::hours(1);
#else
constexpr std::chrono::seconds kTimeForAnOperation{1}, kMostTime{4};  // the second is for slow machines and ASan
#endif
constexpr std::uint32_t kSlots = 4;

// A participant that is dead when this returns; `deed` may leave anything half done.
void die_after(const std::function<void()>& deed) {
  const pid_t pid = fork();
  if (pid == 0) {
    deed();
    raise(SIGKILL);
  }
  waitpid(pid, nullptr, 0);
}

enum class After {
  kill,              // killed, recovered
  others_then_kill,  // others take and finish everything they can, then it is killed and recovered
  others_then_go_on  // others take and finish everything they can, then it goes on to its end
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
  const ControlLayout& layout = scene.instance().layout();
  const Pool& pool = scene.instance().pool();
  for (std::uint32_t slot = 0; slot < kSlots; ++slot) {
    mix(&pool.word(slot), sizeof(std::uint64_t));
    mix(&pool.descriptor(slot), sizeof(FrameDescriptor));
  }
  mix(&pool.header(), sizeof(PoolHeader));
  mix(&layout, offsetof(ControlLayout, daemon));
  mix(&layout.participants, 12 * sizeof(ParticipantRecord));  // more are never there in these tests
  return hash;
}

struct Point {
  long step;
  After after;
  bool telling;
};

// Where to kill, the most telling points first.
std::vector<Point> points_of(Scene& scene, const Operation& operation, StepTable::Row& row) {
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
  row.steps = step;
  return points;
}

void try_every_step(const Operation& operation) {
  Scene scene(operation.full, kSlots);
  StepTable::Row row{.operation = testing::UnitTest::GetInstance()->current_test_info()->name()};
  const auto points = points_of(scene, operation, row);
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
    row.states |= scene.states_now();
    ++row.killed;
    if (after != After::kill) scene.drain();
    if (after == After::others_then_go_on) {
      EXPECT_EQ(stepper.finish(), test::Exit::code(0));
    } else {
      stepper.kill();
    }
    scene.survivor().recover_dead();
    scene.judge();
    ++tried[after];
    if (testing::Test::HasFailure()) row.bad = "at instruction " + std::to_string(step);
  }
  row.every_one = row.killed == static_cast<long>(points.size());
  StepTable::of_this_process().add(row);
  std::printf("killed %d times at once, %d times after others had acted; overtaken by others %d times\n",
              tried[After::kill], tried[After::others_then_kill], tried[After::others_then_go_on]);
}

// Clients of the process under the microscope; never destroyed there.
template <class T>
T& keep(std::unique_ptr<T> client) {
  return *client.release();
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
                    return [&daemon = keep(scene.instance().consumer(Queue::q1))] {
                      daemon.participant().clear_quarantine();
                    };
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
      auto& record = producer.participant().record();
      record.intent.new_word.store(ready.pack());
      record.intent.slot.store(slot);
      record.intent.rule.store(static_cast<std::uint32_t>(IntentRule::left_old));
      record.intent.counter.store(static_cast<std::uint32_t>(Counter::committed));
      record.intent.value.store(record.counters[static_cast<std::size_t>(Counter::committed)].load() + 1);
      record.intent.old_word.store(old_word);
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
                      return [&recoverer] { recoverer.participant().recover_dead(); };
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
    const auto former = must(instance.control_segment().open_pool(Access::read_write));
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
    auto& layout = owner->control_segment()->layout();
    if (layout.epoch.load() == 0) {
      must(Pool::create(name, 1, small_frames(2), FullPolicy::block, owner->control_segment()->uuid(), {.mode = 0600}));
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
  must(Pool::create(name, 1, small_frames(2), FullPolicy::block, owner->control_segment()->uuid(), {.mode = 0600}));
  owner->control_segment()->layout().epoch.store(1);
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
