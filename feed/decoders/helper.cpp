#include "feed/decoders/helper.hpp"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <map>
#include <memory>
#include <utility>

namespace peaknet::feed {
namespace {

// Packets of one socket: a head, and what belongs to it.
enum class Kind : std::uint32_t { ask, read, data, reply, last_reply, died };
struct Head {
  Kind kind = Kind::ask;
  std::uint32_t value = 0;     // died: the signal; last_reply: the worker is spent
  std::uint64_t a = 0, b = 0;  // ask: bytes of the input; read: offset, bytes
};
constexpr std::size_t kLoad = std::size_t{32} << 10;
constexpr std::size_t kMostBlocks = 2048;
// A nursery that does not even say that its child has died.
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

// --- in the helper ------------------------------------------------------------------------------------------------

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

void set_timer(std::chrono::milliseconds span) {
  itimerval timer{};
  timer.it_value.tv_sec = span.count() / 1000;
  timer.it_value.tv_usec = span.count() % 1000 * 1000;
  setitimer(ITIMER_REAL, &timer, nullptr);
}

[[noreturn]] void be_the_worker(int socket, const Helper::Work& work, std::chrono::milliseconds at_most) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  // A crash here is an answer: no core file, and none of our own handlers.
  const rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
  for (const int number : {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGALRM}) std::signal(number, SIG_DFL);
  sigset_t alarm;
  sigemptyset(&alarm);
  sigaddset(&alarm, SIGALRM);
  sigprocmask(SIG_UNBLOCK, &alarm, nullptr);
  const auto packet = std::make_unique<Packet>();
  while (receive_packet(socket, *packet)) {
    if (packet->head.kind != Kind::ask) continue;  // what the one before me did not live to read
    const std::vector<std::byte> request(packet->bytes.begin(),
                                         packet->bytes.begin() + static_cast<std::ptrdiff_t>(packet->size));
    set_timer(at_most);
    Input input(socket, packet->head.a);
    Helper::Done done;
    try {
      done = work([&](std::uint64_t offset, std::span<std::byte> out) { return input.read(offset, out); },
                  packet->head.a, request);
    } catch (...) {
      _exit(kThrew);
    }
    set_timer(std::chrono::milliseconds(0));
    if (done.reply.size() > Helper::kLongestReply) _exit(kThrew);
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

[[noreturn]] void be_the_nursery(int socket, const Helper::Work& work, std::chrono::milliseconds at_most) {
  // Our descriptors, and with them the locks that say that we live, are not for others.
  constexpr int kSocket = STDERR_FILENO + 1;
  if (socket != kSocket) dup2(socket, kSocket);
  close_range(kSocket + 1, ~0U, 0);
  for (;;) {
    const pid_t worker = fork();
    if (worker < 0) _exit(1);
    if (worker == 0) be_the_worker(kSocket, work, at_most);
    int status = 0;
    while (waitpid(worker, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == kOver) _exit(0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == kSpent) continue;
    const std::uint32_t by = WIFSIGNALED(status) ? static_cast<std::uint32_t>(WTERMSIG(status)) : 0;
    if (!send_packet(kSocket, {Kind::died, by}, {})) _exit(0);
  }
}

}  // namespace

// --- here ---------------------------------------------------------------------------------------------------------

Helper::Helper(Work work, std::chrono::milliseconds at_most) : work_(std::move(work)), at_most_(at_most) { start(); }

Helper::~Helper() { end(); }

bool Helper::start() {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) return false;
  nursery_ = fork();
  if (nursery_ == 0) be_the_nursery(ends[1], work_, at_most_);
  close(ends[1]);
  socket_ = ends[0];
  if (nursery_ < 0) end();
  return nursery_ >= 0;
}

void Helper::end() {
  if (socket_ >= 0) close(socket_);
  socket_ = -1;
  if (nursery_ < 0) return;
  kill(nursery_, SIGKILL);  // and with it the worker
  while (waitpid(nursery_, nullptr, 0) < 0 && errno == EINTR) {
  }
  nursery_ = -1;
}

Helper::Answer Helper::ask(std::span<const std::byte> input, std::span<const std::byte> request) {
  const bool fresh = fresh_;
  auto answer = ask_once(input, request);
  const bool ended = answer.outcome == Outcome::crashed || answer.outcome == Outcome::hung;
  return ended && !fresh ? ask_once(input, request) : answer;
}

Helper::Answer Helper::ask_once(std::span<const std::byte> input, std::span<const std::byte> request) {
  if (socket_ < 0 && !start()) return {};
  Answer answer{Outcome::crashed, {}};
  // That somebody has killed the worker in between is nothing that this work has done.
  std::byte old{};
  while (recv(socket_, &old, 1, MSG_DONTWAIT) > 0) {
  }
  const auto deadline = std::chrono::steady_clock::now() + at_most_ + kGrace;
  const auto packet = std::make_unique<Packet>();
  fresh_ = true;  // unless there is an answer, the next one has another process
  bool alive = request.size() <= kLoad && send_packet(socket_, {Kind::ask, 0, input.size(), 0}, request);
  while (alive) {
    pollfd item{socket_, POLLIN, 0};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    const int ready = poll(&item, 1, static_cast<int>(std::max<std::int64_t>(0, left.count())));
    if (ready < 0 && errno == EINTR) continue;
    if (ready == 0) {
      end();
      return {Outcome::hung, {}};
    }
    if (!receive_packet(socket_, *packet)) break;
    const Head& head = packet->head;
    switch (head.kind) {
      case Kind::read:
        alive = head.b <= kLoad && head.a <= input.size() && head.b <= input.size() - head.a &&
                send_packet(socket_, {Kind::data}, input.subspan(head.a, head.b));
        continue;
      case Kind::reply:
      case Kind::last_reply:
        if (answer.reply.size() + packet->size > kLongestReply) break;
        answer.reply.insert(answer.reply.end(), packet->bytes.begin(),
                            packet->bytes.begin() + static_cast<std::ptrdiff_t>(packet->size));
        if (head.kind == Kind::reply) continue;
        answer.outcome = Outcome::answered;
        fresh_ = head.value != 0;
        return answer;
      case Kind::died:
        return {head.value == SIGALRM ? Outcome::hung : Outcome::crashed, {}};
      default:
        break;
    }
    break;
  }
  end();  // the next piece of work has a new one
  return {Outcome::crashed, {}};
}

}  // namespace peaknet::feed
