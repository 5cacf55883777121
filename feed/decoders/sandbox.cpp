#include "feed/decoders/sandbox.hpp"

#include <dirent.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <initializer_list>
#include <map>
#include <memory>
#include <utility>
#include <vector>

namespace peaknet::feed {
namespace {

// Packets of one socket: a head, and what belongs to it. After `died` (of the fork server) comes `next` (from here):
// what was sent in between was for the worker that is gone, and no other reads it.
enum class Kind : std::uint32_t { ask, read, data, reply, last_reply, died, next };
constexpr int kReplace = SIGUSR1;  // to the fork server: the worker is no good
struct Head {
  Kind kind = Kind::ask;
  std::uint32_t value = 0;     // died: the signal; last_reply: the worker is spent
  std::uint64_t a = 0, b = 0;  // ask: bytes of the input; read: offset, bytes
};
constexpr std::size_t kLoad = std::size_t{32} << 10;
constexpr std::size_t kMostBlocks = 2048;
// A fork server that does not even say that its child has died.
constexpr std::chrono::seconds kGrace{5};
constexpr int kOver = 0, kThrew = 1, kSpent = 2;  // exit codes of a worker

struct Packet {
  Head head;
  std::array<std::byte, kLoad> bytes;
  std::size_t size = 0;
};

bool send_packet(int socket, const Head& head, std::span<const std::byte> load) {
  std::array<iovec, 2> parts{
      {{const_cast<Head*>(&head), sizeof head}, {const_cast<std::byte*>(load.data()), load.size()}}};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  ssize_t sent = 0;
  do {
    sent = sendmsg(socket, &message, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent >= 0;
}

// False: the other side is gone.
bool receive_packet(int socket, Packet& packet) {
  std::array<iovec, 2> parts{{{&packet.head, sizeof packet.head}, {packet.bytes.data(), packet.bytes.size()}}};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  ssize_t got = 0;
  do {
    got = recvmsg(socket, &message, 0);
  } while (got < 0 && errno == EINTR);
  if (got < static_cast<ssize_t>(sizeof packet.head)) return false;
  packet.size = static_cast<std::size_t>(got) - sizeof packet.head;
  return true;
}

// --- in the sandbox ------------------------------------------------------------------------------------------------

// The input of a piece of work, fetched block by block.
class Input {
 public:
  Input(int socket, std::uint64_t bytes) : socket_(socket), bytes_(bytes) {}
  bool read(std::uint64_t offset, std::span<std::byte> out) {
    if (offset > bytes_ || out.size() > bytes_ - offset) return false;
    while (!out.empty()) {
      const auto& block = fetch(offset / kLoad);
      const std::size_t from = offset % kLoad, n = std::min(out.size(), block.size() - from);
      std::memcpy(out.data(), block.data() + from, n);
      out = out.subspan(n);
      offset += n;
    }
    return true;
  }

 private:
  const std::vector<std::byte>& fetch(std::uint64_t number) {
    if (const auto known = blocks_.find(number); known != blocks_.end()) return known->second;
    if (blocks_.size() == kMostBlocks) blocks_.clear();
    const std::uint64_t offset = number * kLoad;
    const std::size_t bytes = static_cast<std::size_t>(std::min<std::uint64_t>(kLoad, bytes_ - offset));
    auto packet = std::make_unique<Packet>();
    if (!send_packet(socket_, {Kind::read, 0, offset, bytes}, {}) || !receive_packet(socket_, *packet) ||
        packet->head.kind != Kind::data || packet->size != bytes)
      _exit(0);  // they are gone
    return blocks_[number] = {packet->bytes.begin(), packet->bytes.begin() + static_cast<std::ptrdiff_t>(bytes)};
  }
  int socket_;
  std::uint64_t bytes_;
  std::map<std::uint64_t, std::vector<std::byte>> blocks_;
};

sigset_t signals(std::initializer_list<int> numbers) {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : numbers) sigaddset(&set, number);
  return set;
}

void set_timer(std::chrono::milliseconds span) {
  itimerval timer{};
  timer.it_value.tv_sec = span.count() / 1000;
  timer.it_value.tv_usec = span.count() % 1000 * 1000;
  setitimer(ITIMER_REAL, &timer, nullptr);
}

// Of a process that begins as a copy of this one: `more` beside what is here already.
rlimit memory_limit([[maybe_unused]] std::uint64_t more) {
  rlimit limit{};
  getrlimit(RLIMIT_DATA, &limit);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  if (more == 0) return limit;
  std::uint64_t whole = 0, resident = 0, shared = 0, text = 0, unused = 0, data = 0;
  std::ifstream("/proc/self/statm") >> whole >> resident >> shared >> text >> unused >> data;
  limit.rlim_max = std::min(limit.rlim_max, data * static_cast<rlim_t>(sysconf(_SC_PAGESIZE)) + more);
  limit.rlim_cur = limit.rlim_max;
#endif
  return limit;
}

[[noreturn]] void be_the_worker(int socket, const Sandbox::Work& work, std::chrono::milliseconds at_most,
                                const rlimit& memory) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  // A crash here is an answer: no core file, and none of our own handlers.
  const rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
  setrlimit(RLIMIT_DATA, &memory);
  for (const int number : {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGALRM}) std::signal(number, SIG_DFL);
  const sigset_t alarm = signals({SIGALRM});
  sigprocmask(SIG_UNBLOCK, &alarm, nullptr);
  const auto packet = std::make_unique<Packet>();
  while (receive_packet(socket, *packet)) {
    if (packet->head.kind != Kind::ask) _exit(kThrew);
    const std::vector<std::byte> request(packet->bytes.begin(),
                                         packet->bytes.begin() + static_cast<std::ptrdiff_t>(packet->size));
    set_timer(at_most);
    Input input(socket, packet->head.a);
    Sandbox::Done done;
    try {
      done = work([&](std::uint64_t offset, std::span<std::byte> out) { return input.read(offset, out); },
                  packet->head.a, request);
    } catch (...) {
      _exit(kThrew);
    }
    set_timer(std::chrono::milliseconds(0));
    if (done.reply.size() > Sandbox::kLongestReply) _exit(kThrew);
    std::span<const std::byte> rest = done.reply;
    while (rest.size() > kLoad) {
      if (!send_packet(socket, {Kind::reply}, rest.first(kLoad))) _exit(0);
      rest = rest.subspan(kLoad);
    }
    if (!send_packet(socket, {Kind::last_reply, done.spent ? 1U : 0U}, rest)) _exit(kOver);
    if (done.spent) _exit(kSpent);
  }
  _exit(0);
}

// Every descriptor from `first` on. glibc has a wrapper since 2.34, Linux the call since 5.9: without it those that
// there are, which does not take longer where the limit is a milliard.
void close_from(int first) {
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
  if (syscall(SYS_close_range, static_cast<unsigned>(first), ~0U, 0U) == 0) return;
  DIR* const folder = opendir("/proc/self/fd");
  if (folder == nullptr) _exit(1);  // better no helper than one with descriptors of ours
  std::vector<int> open;
  while (const dirent* const entry = readdir(folder)) {
    const int descriptor = std::atoi(entry->d_name);
    if (descriptor >= first && descriptor != dirfd(folder)) open.push_back(descriptor);
  }
  closedir(folder);
  for (const int descriptor : open) close(descriptor);
}

// How the worker ended; it is ended where we are told to.
int status_of(pid_t worker, const sigset_t& news) {
  for (;;) {
    int status = 0;
    const pid_t ended = waitpid(worker, &status, WNOHANG);
    if (ended == worker) return status;
    if (ended < 0 && errno != EINTR) return 0;
    if (sigwaitinfo(&news, nullptr) == kReplace) kill(worker, SIGKILL);
  }
}

[[noreturn]] void be_the_fork_server(int socket, const Sandbox::Work& work, const Sandbox::Limits& limits) {
  // Our descriptors, and with them the locks that say that we live, are not for others.
  constexpr int kSocket = STDERR_FILENO + 1;
  if (socket != kSocket) dup2(socket, kSocket);
  close_from(kSocket + 1);
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) std::signal(number, SIG_IGN);
  std::signal(SIGCHLD, SIG_DFL);
  const sigset_t news = signals({SIGCHLD, kReplace});
  sigprocmask(SIG_BLOCK, &news, nullptr);
  const auto packet = std::make_unique<Packet>();
  const rlimit memory = memory_limit(limits.memory);
  for (;;) {
    const pid_t worker = fork();
    if (worker < 0) _exit(1);
    if (worker == 0) be_the_worker(kSocket, work, limits.time, memory);
    const int status = status_of(worker, news);
    if (WIFEXITED(status) && WEXITSTATUS(status) == kOver) _exit(0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == kSpent) continue;
    const std::uint32_t by = WIFSIGNALED(status) ? static_cast<std::uint32_t>(WTERMSIG(status)) : 0;
    if (!send_packet(kSocket, {Kind::died, by}, {})) _exit(0);
    do {
      if (!receive_packet(kSocket, *packet)) _exit(0);
    } while (packet->head.kind != Kind::next);
    // A word that was for the worker that had ended already.
    const timespec no_time{};
    while (sigtimedwait(&news, nullptr, &no_time) > 0) {
    }
  }
}

}  // namespace

// --- here ---------------------------------------------------------------------------------------------------------

namespace {

bool wait_for_packet(int socket, std::chrono::steady_clock::time_point deadline) {
  for (;;) {
    pollfd item{socket, POLLIN, 0};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    const int ready = poll(&item, 1, static_cast<int>(std::max<std::int64_t>(0, left.count())));
    if (ready >= 0 || errno != EINTR) return ready > 0;
  }
}

}  // namespace

Sandbox::Sandbox(Work work, Limits limits, Hold hold)
    : work_(std::move(work)), limits_(limits), hold_(std::move(hold)) {
  start();
}

Sandbox::~Sandbox() { end(); }

bool Sandbox::start() {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) return false;
  {
    const auto held = hold_ ? hold_() : nullptr;
    fork_server_ = fork();
    if (fork_server_ == 0) be_the_fork_server(ends[1], work_, limits_);
  }
  close(ends[1]);
  socket_ = ends[0];
  if (fork_server_ < 0) end();
  return fork_server_ >= 0;
}

void Sandbox::end() {
  if (socket_ >= 0) close(socket_);
  socket_ = -1;
  if (fork_server_ < 0) return;
  kill(fork_server_, SIGKILL);  // and with it the worker
  while (waitpid(fork_server_, nullptr, 0) < 0 && errno == EINTR) {
  }
  fork_server_ = -1;
}

// That somebody has killed the worker in between is nothing that the next work has done. False: the fork server is
// gone.
bool Sandbox::forget_the_past() {
  Head old;
  ssize_t got = 0;
  while ((got = recv(socket_, &old, sizeof old, MSG_DONTWAIT)) > 0) {
    if (got == sizeof old && old.kind == Kind::died && !send_packet(socket_, {Kind::next}, {})) return false;
  }
  return got < 0 && (errno == EAGAIN || errno == EINTR);
}

// The worker does not keep to the rules, or not to its time. A fork server that is alive says at once that it has died.
void Sandbox::replace_worker() {
  kill(fork_server_, kReplace);
  const auto deadline = std::chrono::steady_clock::now() + kGrace;
  const auto packet = std::make_unique<Packet>();
  while (wait_for_packet(socket_, deadline) && receive_packet(socket_, *packet)) {
    if (packet->head.kind != Kind::died) continue;
    if (send_packet(socket_, {Kind::next}, {})) return;
    break;
  }
  end();
}

Sandbox::Answer Sandbox::ask(std::span<const std::byte> input, std::span<const std::byte> request) {
  const bool fresh = fresh_;
  auto answer = ask_once(input, request);
  const bool ended = answer.outcome == Outcome::crashed || answer.outcome == Outcome::hung;
  return ended && !fresh ? ask_once(input, request) : answer;
}

Sandbox::Answer Sandbox::ask_once(std::span<const std::byte> input, std::span<const std::byte> request) {
  if (socket_ >= 0 && !forget_the_past()) end();
  if (socket_ < 0 && !start()) return {};
  Answer answer{Outcome::crashed, {}};
  const auto deadline = std::chrono::steady_clock::now() + limits_.time + kGrace;
  const auto packet = std::make_unique<Packet>();
  fresh_ = true;  // unless there is an answer, the next one has another process
  bool sound = request.size() <= kLoad && send_packet(socket_, {Kind::ask, 0, input.size(), 0}, request);
  while (sound) {
    if (!wait_for_packet(socket_, deadline)) {
      replace_worker();
      return {Outcome::hung, {}};
    }
    if (!receive_packet(socket_, *packet)) {
      end();
      return {Outcome::crashed, {}};
    }
    const Head& head = packet->head;
    switch (head.kind) {
      case Kind::read:
        sound = head.b <= kLoad && head.a <= input.size() && head.b <= input.size() - head.a &&
                send_packet(socket_, {Kind::data}, input.subspan(head.a, head.b));
        break;
      case Kind::reply:
      case Kind::last_reply:
        sound = answer.reply.size() + packet->size <= kLongestReply;
        if (!sound) break;
        answer.reply.insert(answer.reply.end(), packet->bytes.begin(),
                            packet->bytes.begin() + static_cast<std::ptrdiff_t>(packet->size));
        if (head.kind == Kind::reply) break;
        answer.outcome = Outcome::answered;
        fresh_ = head.value != 0;
        return answer;
      case Kind::died:
        if (!send_packet(socket_, {Kind::next}, {})) end();
        return {head.value == SIGALRM ? Outcome::hung : Outcome::crashed, {}};
      default:
        sound = false;
    }
  }
  replace_worker();
  return {Outcome::crashed, {}};
}

}  // namespace peaknet::feed
