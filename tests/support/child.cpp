#include "tests/support/child.hpp"

#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <iterator>
#include <ostream>
#include <stdexcept>
#include <system_error>
#include <thread>

namespace peaknet::test {
namespace {

constexpr int kExitException = 121;

[[noreturn]] void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

// In the child: die with the test. The parent may have died before the request; then nobody would tell us any more.
void die_with(pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(kExitException);
}

Exit from_status(int status) {
  return WIFSIGNALED(status) ? Exit::signal(WTERMSIG(status)) : Exit::code(WEXITSTATUS(status));
}

// A lock that another thread holds at the moment of a fork stays locked in the copy for ever.
void refuse_other_threads() {
#ifdef __SANITIZE_THREAD__
  constexpr std::ptrdiff_t kOwn = 2;  // the sanitizer's own, which is prepared for a fork
#else
  constexpr std::ptrdiff_t kOwn = 1;
#endif
  const std::filesystem::directory_iterator threads("/proc/self/task");
  if (std::distance(begin(threads), end(threads)) > kOwn)
    throw std::logic_error("Child::run: this process has threads by now; start the copy first and let it wait");
}

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const Exit& exit) {
  if (exit.by_signal) return out << "signal " << exit.number << " (" << strsignal(exit.number) << ")";
  return out << "exit code " << exit.number;
}

void Child::adopt(pid_t pid) {
  pid_ = pid;
  pidfd_ = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  if (pidfd_ < 0) fail("pidfd_open");
}

Child Child::run(const std::function<int()>& body) {
  refuse_other_threads();
  std::fflush(nullptr);  // else the copy would print it again
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) fail("fork");
  if (pid == 0) {
    die_with(parent);
    int code = kExitException;
    try {
      code = body();
    } catch (const std::exception& failure) {
      std::fprintf(stderr, "child: %s\n", failure.what());
    }
    std::fflush(nullptr);
    _exit(code);
  }
  Child child;
  child.adopt(pid);
  return child;
}

Child Child::start(const std::vector<std::string>& arguments, const Options& options) {
  Child child;
  child.out_ = memfd_create("stdout", MFD_CLOEXEC);
  child.err_ = memfd_create("stderr", MFD_CLOEXEC);
  if (child.out_ < 0 || child.err_ < 0) fail("memfd_create");
  std::vector<char*> argv;
  for (const auto& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);

  std::fflush(nullptr);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) fail("fork");
  if (pid == 0) {
    die_with(parent);
    for (const auto& entry : options.environment) putenv(const_cast<char*>(entry.c_str()));
    const bool moved = options.folder.empty() || chdir(options.folder.c_str()) == 0;
    if (moved && dup2(child.out_, STDOUT_FILENO) >= 0 && dup2(child.err_, STDERR_FILENO) >= 0)
      execvp(argv[0], argv.data());
    const char* cause = strerrorname_np(errno);
    dprintf(child.err_, "cannot start %s: %s\n", argv[0], cause == nullptr ? "?" : cause);
    _exit(127);
  }
  child.adopt(pid);
  return child;
}

Child::~Child() {
  if (pid_ > 0 && !exit_) kill();
  for (const int fd : {pidfd_, out_, err_}) {
    if (fd >= 0) close(fd);
  }
}

bool Child::running() { return pid_ > 0 && !wait_for(std::chrono::milliseconds(0)); }

void Child::signal(int number) const {
  if (pid_ > 0 && !exit_) ::kill(pid_, number);
}

void Child::stop() {
  signal(SIGSTOP);
  wait_stopped();
}

bool Child::wait_stopped() const {
  siginfo_t info{};
  if (pid_ <= 0 || exit_) return false;
  while (waitid(P_PID, static_cast<id_t>(pid_), &info, WSTOPPED | WEXITED | WNOWAIT) != 0) {
    if (errno != EINTR) fail("waitid");
  }
  return info.si_code == CLD_STOPPED;
}

Exit Child::kill() {
  signal(SIGKILL);
  return wait();
}

Exit Child::wait() {
  if (exit_) return *exit_;
  int status = 0;
  do {  // a traced child also reports its stops
    if (waitpid(pid_, &status, 0) < 0 && errno != EINTR) fail("waitpid");
  } while (!WIFEXITED(status) && !WIFSIGNALED(status));
  exit_ = from_status(status);
  return *exit_;
}

std::optional<Exit> Child::wait_for(std::chrono::milliseconds at_most) {
  if (exit_) return exit_;
  pollfd ended{.fd = pidfd_, .events = POLLIN, .revents = 0};
  if (poll(&ended, 1, static_cast<int>(at_most.count())) <= 0) return std::nullopt;
  return wait();
}

std::string Child::text_of(int fd) {
  std::string text;
  std::array<char, 4096> part{};
  for (ssize_t n = 0; fd >= 0 && (n = pread(fd, part.data(), part.size(), static_cast<off_t>(text.size()))) > 0;) {
    text.append(part.data(), static_cast<std::size_t>(n));
  }
  return text;
}

std::string bin_dir() { return variable("PEAKNET_BIN_DIR"); }
std::string source_dir() { return variable("PEAKNET_SOURCE_DIR"); }

bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds at_most) {
  const auto end = std::chrono::steady_clock::now() + at_most;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

}  // namespace peaknet::test
