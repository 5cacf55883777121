// Child: another process of a test, that the test may stop, kill and wait for. It never outlives the test: the kernel
// kills it when the test's main thread ends, the destructor kills and reaps it before.
//
//   auto writer = Child::start({bin_dir() + "/peaknet-writer", "--config", file});     // a program
//   auto producer = Child::run([&] { return produce(instance.name(), 100); });         // a copy of this process
//   producer.kill();
//   EXPECT_EQ(writer.wait(), Exit::code(0)) << writer.err();
//
// Used by one thread. Do not call EXPECT_... inside run(): nobody reads the copy's results; return a number instead.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <csignal>
#include <functional>
#include <iosfwd>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace peaknet::test {

// How a process ended: by an exit code or by a signal.
struct Exit {
  bool by_signal = false;
  int number = 0;
  static Exit code(int number) { return {false, number}; }
  static Exit signal(int number) { return {true, number}; }
  bool operator==(const Exit&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Exit& exit);  // "exit code 2", "signal 9 (Killed)"

class Child {
 public:
  // A forked copy of this process that runs `body` and leaves with what it returns, without running destructors or
  // atexit handlers of the test. An exception ends it with code 121 and its text on stderr. Not once the test has
  // threads (std::logic_error): start the copy first; raise(SIGSTOP) in it, wait_stopped() and go_on() let it wait.
  static Child run(const std::function<int()>& body);

  struct Options {
    std::vector<std::string> environment = {};  // "NAME=value", beside or instead of what the test has
    std::string folder = {};                    // working directory; "": that of the test
  };
  // A program (arguments[0] is its path) whose stdout and stderr are kept. Exit code 127 if it cannot be started.
  static Child start(const std::vector<std::string>& arguments, const Options& options);
  static Child start(const std::vector<std::string>& arguments) { return start(arguments, Options{}); }

  Child() = default;  // no process
  Child(Child&& other) noexcept { swap(other); }
  Child& operator=(Child&& other) noexcept {
    Child(std::move(other)).swap(*this);
    return *this;
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child();

  pid_t pid() const { return pid_; }
  bool running();  // false also for no process

  void signal(int number) const;  // SIGTERM, SIGSTOP, ...; nothing where there is no process
  void stop();                    // SIGSTOP, and returns when it stands still
  bool wait_stopped() const;      // until it has stopped itself (raise(SIGSTOP)); false if it has ended instead
  void go_on() const { signal(SIGCONT); }
  Exit kill();  // SIGKILL and wait

  Exit wait();  // as long as it takes; the test's own time-out is the limit
  std::optional<Exit> wait_for(std::chrono::milliseconds at_most);

  // Everything a started program has written until now.
  std::string out() const { return text_of(out_); }
  std::string err() const { return text_of(err_); }

 private:
  void swap(Child& other) noexcept {
    std::swap(pid_, other.pid_);
    std::swap(pidfd_, other.pidfd_);
    std::swap(out_, other.out_);
    std::swap(err_, other.err_);
    std::swap(exit_, other.exit_);
  }
  void adopt(pid_t pid);
  static std::string text_of(int fd);
  pid_t pid_ = -1;
  int pidfd_ = -1;
  int out_ = -1, err_ = -1;
  std::optional<Exit> exit_;
};

// Folder with the programs that this build made (PEAKNET_BIN_DIR); "" outside of ctest.
std::string bin_dir();
// Root of the repository (PEAKNET_SOURCE_DIR).
std::string source_dir();

// Look at a condition again and again until it holds or the time is over. For conditions in other processes that no
// event announces; true if it came to hold.
bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds at_most = std::chrono::seconds(10));

}  // namespace peaknet::test
