#include "feed/decoders/sandbox.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <stdexcept>

#include "tests/support/child.hpp"
#include "tests/support/watched_calls.hpp"

namespace peaknet::feed {
namespace {

using std::chrono::milliseconds;
using Bytes = std::vector<std::byte>;
using Outcome = Sandbox::Outcome;

Bytes bytes_of(const std::string& text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

// Does what the first byte of the request says; the reply has the sandbox's pid and its parent's, and a part of the
// input.
Sandbox::Done obey(const Sandbox::ReadAt& input, std::uint64_t size, std::span<const std::byte> request) {
  switch (static_cast<char>(request.front())) {
    case 'c':
      std::raise(SIGSEGV);
      break;
    case 'a':
      std::abort();
    case 't':
      throw std::runtime_error("thrown");
    case 'h':
      for (;;) pause();
    case 'l':
      return {Bytes(Sandbox::kLongestReply + 1)};
    case 'j': {  // not in the rules: a packet of nonsense in the only descriptor that it has
      const Bytes nonsense(64, std::byte{0xee});
      if (send(STDERR_FILENO + 1, nonsense.data(), nonsense.size(), 0) > 0) pause();
      break;
    }
    case 'm':  // memory that is used
      return {Bytes(1), Bytes(std::size_t{600} << 20, std::byte{1}).back() != std::byte{1}};
    case 'b':
      return {Bytes(1'000'000, std::byte{7})};
    default:
      break;
  }
  // Damage that shows at the next work.
  static bool damaged = false;
  if (damaged) std::abort();
  damaged = static_cast<char>(request.front()) == 'd';
  Bytes reply(2 * sizeof(pid_t) + 8);
  const std::array<pid_t, 2> pids = {getpid(), getppid()};
  std::memcpy(reply.data(), pids.data(), sizeof pids);
  if (size >= 8 && !input(size - 8, std::span(reply).subspan(sizeof pids))) std::abort();
  return {reply, static_cast<char>(request.front()) == 's'};
}

pid_t worker_of(const Bytes& reply) {
  pid_t pid = 0;
  std::memcpy(&pid, reply.data(), sizeof pid);
  return pid;
}

pid_t fork_server_of(const Bytes& reply) {
  pid_t pid = 0;
  std::memcpy(&pid, reply.data() + sizeof pid, sizeof pid);
  return pid;
}

TEST(Sandbox, AnswersFromAProcessThatStays) {
  Sandbox sandbox(obey, {milliseconds(60'000)});
  Bytes input(1'000'000);
  for (std::size_t i = 0; i < input.size(); ++i) input[i] = static_cast<std::byte>(i % 251);
  const auto one = sandbox.ask(input, bytes_of("r")), two = sandbox.ask(input, bytes_of("r"));
  ASSERT_EQ(one.outcome, Outcome::answered);
  ASSERT_EQ(two.outcome, Outcome::answered);
  EXPECT_EQ(one.reply, two.reply);
  EXPECT_NE(worker_of(one.reply), getpid());
  EXPECT_TRUE(std::equal(input.end() - 8, input.end(), one.reply.begin() + 2 * sizeof(pid_t)));
  EXPECT_EQ(sandbox.ask({}, bytes_of("b")).reply, Bytes(1'000'000, std::byte{7}));
}

TEST(Sandbox, ACrashCostsItsWorkAloneAndTheNextHasAFreshProcess) {
  Sandbox sandbox(obey, {milliseconds(60'000)});
  const pid_t first = worker_of(sandbox.ask({}, bytes_of("r")).reply);
  for (const char* end : {"c", "a", "t", "l"})
    EXPECT_EQ(sandbox.ask({}, bytes_of(end)).outcome, Outcome::crashed) << end;
  const auto after = sandbox.ask({}, bytes_of("r"));
  ASSERT_EQ(after.outcome, Outcome::answered);
  EXPECT_NE(worker_of(after.reply), first);
}

TEST(Sandbox, DamageThatShowsLaterCostsNoOtherWork) {
  Sandbox sandbox(obey, {milliseconds(60'000)});
  const auto harm = sandbox.ask({}, bytes_of("d"));
  ASSERT_EQ(harm.outcome, Outcome::answered);
  const auto innocent = sandbox.ask({}, bytes_of("r"));
  ASSERT_EQ(innocent.outcome, Outcome::answered);
  EXPECT_NE(worker_of(innocent.reply), worker_of(harm.reply));
  // Work that says so itself is the last of its process.
  const auto spent = sandbox.ask({}, bytes_of("s"));
  EXPECT_EQ(worker_of(spent.reply), worker_of(innocent.reply));
  EXPECT_NE(worker_of(sandbox.ask({}, bytes_of("r")).reply), worker_of(spent.reply));
}

TEST(Sandbox, WorkThatDoesNotEndIsEnded) {
  Sandbox sandbox(obey, {milliseconds(50)});
  EXPECT_EQ(sandbox.ask({}, bytes_of("h")).outcome, Outcome::hung);
  EXPECT_EQ(sandbox.ask({}, bytes_of("r")).outcome, Outcome::answered);
}

// A fork of this process, with its threads and its memory, is what the fork server is there to spare.
TEST(Sandbox, NothingThatWorkDoesCostsTheNursery) {
  Sandbox sandbox(obey, {milliseconds(200)});
  const auto before = sandbox.ask({}, bytes_of("r"));
  ASSERT_EQ(before.outcome, Outcome::answered);
  for (const char* end : {"c", "j", "h", "s", "d", "t", "l", "j", "j"}) {
    (void)sandbox.ask({}, bytes_of(end));
    const auto after = sandbox.ask({}, bytes_of("r"));
    ASSERT_EQ(after.outcome, Outcome::answered) << end;
    EXPECT_NE(worker_of(after.reply), worker_of(before.reply)) << end;
    EXPECT_EQ(fork_server_of(after.reply), fork_server_of(before.reply)) << end;
  }
}

TEST(Sandbox, WorkThatWantsMoreMemoryThanItMayHaveCostsItselfAlone) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizers need the address space";
#endif
  const std::uint64_t kMiB = std::uint64_t{1} << 20;
  Sandbox sandbox(obey, {milliseconds(60'000), 500 * kMiB}), larger(obey, {milliseconds(60'000), 700 * kMiB});
  EXPECT_EQ(sandbox.ask({}, bytes_of("m")).outcome, Outcome::crashed);
  EXPECT_EQ(sandbox.ask({}, bytes_of("r")).outcome, Outcome::answered);
  EXPECT_EQ(larger.ask({}, bytes_of("m")).outcome, Outcome::answered);
}

TEST(Sandbox, ANurseryThatIsKilledFromOutsideIsReplaced) {
  Sandbox sandbox(obey, {milliseconds(60'000)});
  const auto before = sandbox.ask({}, bytes_of("r"));
  kill(fork_server_of(before.reply), SIGKILL);
  ASSERT_TRUE(test::eventually([&] { return kill(worker_of(before.reply), 0) != 0; }));
  (void)sandbox.ask({}, bytes_of("r"));
  const auto after = sandbox.ask({}, bytes_of("r"));
  ASSERT_EQ(after.outcome, Outcome::answered);
  EXPECT_NE(fork_server_of(after.reply), fork_server_of(before.reply));
}

TEST(Sandbox, WhatAsksTheWholeServiceToStopDoesNotEndIt) {
  Sandbox sandbox(obey, {milliseconds(60'000)});
  const auto before = sandbox.ask({}, bytes_of("r"));
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) {
    kill(fork_server_of(before.reply), number);
    kill(worker_of(before.reply), number);
  }
  EXPECT_EQ(sandbox.ask({}, bytes_of("r")).reply, before.reply);
}

TEST(Sandbox, TheLocksThatItsWorkWantsAreHeldWhileAProcessIsMade) {
  int held = 0, at_fork = -1;
  {
    Sandbox sandbox(
        [&held](const Sandbox::ReadAt&, std::uint64_t, std::span<const std::byte>) {
          return Sandbox::Done{Bytes(1, static_cast<std::byte>(held))};
        },
        {milliseconds(60'000)},
        [&held] {
          ++held;
          return std::shared_ptr<void>(&held, [](int* count) { --*count; });
        });
    at_fork = static_cast<int>(sandbox.ask({}, bytes_of("r")).reply.at(0));
  }
  EXPECT_EQ(at_fork, 1);
  EXPECT_EQ(held, 0);
}

TEST(Sandbox, OneThatIsKilledFromOutsideIsReplaced) {
  Sandbox sandbox(obey, {milliseconds(60'000)});
  const pid_t worker = worker_of(sandbox.ask({}, bytes_of("r")).reply);
  kill(worker, SIGKILL);
  ASSERT_TRUE(test::eventually([&] { return kill(worker, 0) != 0; }));
  // Whoever asks first may be told of it.
  (void)sandbox.ask({}, bytes_of("r"));
  EXPECT_EQ(sandbox.ask({}, bytes_of("r")).outcome, Outcome::answered);
}

// A descriptor of ours is not open in the helper, and the helper ends with the sandbox.
void expect_without_our_descriptors() {
  const int any = open("/dev/null", O_RDONLY);
  const int ours = fcntl(any, F_DUPFD, 10);  // not a number that it uses itself
  close(any);
  ASSERT_GE(ours, 10);
  pid_t worker = 0;
  {
    Sandbox sandbox(
        [ours](const Sandbox::ReadAt&, std::uint64_t, std::span<const std::byte>) {
          const pid_t self = getpid();
          Bytes reply(sizeof self + 1, fcntl(ours, F_GETFD) < 0 ? std::byte{1} : std::byte{0});
          std::memcpy(reply.data(), &self, sizeof self);
          return Sandbox::Done{reply};
        },
        {milliseconds(60'000)});
    const auto answer = sandbox.ask({}, bytes_of("r"));
    ASSERT_EQ(answer.outcome, Outcome::answered);
    EXPECT_EQ(answer.reply.back(), std::byte{1});
    worker = worker_of(answer.reply);
  }
  close(ours);
  EXPECT_TRUE(test::eventually([&] { return kill(worker, 0) != 0; }));
}

TEST(Sandbox, EndsWithItsOwnerAndHasNoneOfItsDescriptors) { expect_without_our_descriptors(); }

TEST(Sandbox, HasNoneOfItsOwnersDescriptorsOnAKernelThatClosesNoRangeOfThem) {
  int asked = 0;
  const bool watched = test::with_watched_calls(
      {SYS_close_range},
      [&](const test::Call&) {
        ++asked;
        return ENOSYS;
      },
      [] { expect_without_our_descriptors(); });
  if (!watched) GTEST_SKIP() << test::kCannotWatch;
  EXPECT_EQ(asked, 1);
}

}  // namespace
}  // namespace peaknet::feed
