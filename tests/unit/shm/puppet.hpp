// Puppet: a participant on strings, in this process: it stands still before every single access to shared memory (load,
// store, compare-exchange, copy) and before every call of the kernel that others notice (locks, futexes), and goes on
// only when the test says so. Between any two of its steps the test can kill it, or let others act.
//
// How: the code of shm/ is compiled once more, unchanged, with -fsanitize=thread, by which the compiler itself
// announces each access to memory; puppet.cpp is the receiver in place of the sanitizer's. A puppet runs on a stack of
// its own and is left there for ever when it is killed; its locks and mappings go then, as the kernel takes them from a
// process. So a step costs nanoseconds, not a turn through the kernel (stepper.hpp), and two puppets can be tried at
// every pair of steps. Where pixels, labels, times and ids that nobody has are touched it does not stop: no invariant
// depends on them.
//
// Sleep is played, too: a futex wait hands over to the test until somebody wakes that word, or the test says that the
// time is over. A puppet that sleeps although what it waits for is there has lost its wake-up; no clock is needed to
// see it.
//
// One thread alone uses puppets; nothing here is for another thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace peaknet::test {

class Puppet {
 public:
  using Operation = std::function<void()>;
  // `prepare` runs at once and at full speed and returns what is to be stepped through. Clients that it opens belong to
  // the puppet until the end: let them leak (`keep`).
  explicit Puppet(const std::function<Operation()>& prepare);
  Puppet(const Puppet&) = delete;
  Puppet& operator=(const Puppet&) = delete;
  ~Puppet() { kill(); }

  enum class State { standing, asleep, done, dead };
  State state() const { return state_; }
  bool living() const { return state_ != State::dead; }
  int steps() const { return steps_; }

  // On to the next place where it stands, sleeps or is done. False: it slept, or was done or dead, and stays so.
  bool step();
  // On until it sleeps, is done or is dead.
  void run();
  // The sleep ends by its time-out.
  void time_out();
  // As kill -9 where it stands: it never does anything again, its locks and mappings are gone. Also the end of one that
  // is done.
  void kill();

  // What the operation threw; "" if nothing.
  const std::string& failure() const { return failure_; }

  // --- for the receivers of the compiler's announcements and of the kernel's calls
  struct Word {  // a futex word, the same through every mapping of its object
    std::uint64_t object = 0;
    std::size_t offset = 0;
    bool operator==(const Word&) const = default;
  };
  void stand();                                      // a place where it can be stopped
  bool sleep(const Word* words, std::size_t count);  // true: woken; false: the time is over
  static int wake(const Word& word);                 // how many were woken
  void owns_lock(int fd);
  void forget_lock(int fd);

 private:
  static void enter();
  void resume();
  void yield(State state);

  Operation operation_;
  State state_ = State::standing;
  int steps_ = 0;
  bool woken_ = false;
  std::array<Word, 8> sleeps_on_{};
  std::size_t sleeps_on_count_ = 0;
  std::string failure_;
  std::vector<int> locks_;
  void* stack_ = nullptr;
  bool entered_ = false;
  std::array<std::uint64_t, 32> here_{};   // where the puppet stands
  std::array<std::uint64_t, 32> there_{};  // where the test waits for it
};

}  // namespace peaknet::test
