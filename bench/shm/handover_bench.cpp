// handover_bench: the C++ processes of one run of the hand-over benchmark, each producer and consumer one of its own.
//
//   handover_bench --board FILE --transport peaknet --bytes 1048576 --producers 2 --consumers 1
//
// It forks them, and ends when the board says stop. bench/shm/handover.py makes the board, times the run, and reads
// what they wrote on it; processes in Python (bench/shm/peers.py) may be of the same run: `--producers 0 --consumers 1
// --name N` is the daemon's side for producers elsewhere that attach to the instance N.
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <vector>

#include "bench/shm/board.hpp"
#include "bench/shm/transport.hpp"

namespace peaknet::bench {
namespace {

struct Run {
  std::string board;
  std::int64_t paced_us = 0;
  bool spin = false;
  std::vector<int> cpus;  // producer i is bound to entry i, consumer i to entry i from the end, round and round
};

void sleep_until(std::int64_t when_ns) {
  const timespec when{when_ns / 1'000'000'000, when_ns % 1'000'000'000};
  while (::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, nullptr) == EINTR) {
  }
}

void bind_to(const Run& run, std::size_t place) {
  if (run.cpus.empty()) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(run.cpus[place % run.cpus.size()], &set);
  if (::sched_setaffinity(0, sizeof set, &set) != 0) throw std::runtime_error("--cpus: there is no such processor");
}

void produce(Transport& transport, std::uint32_t index, const Run& run) {
  bind_to(run, index);
  Board board(run.board);
  const SendClient client = transport.producer(index);
  board.wait_for_go_as_producer(index);
  std::int64_t next = now_ns();
  while (!board.stopped()) {
    if (run.paced_us > 0) sleep_until(next += run.paced_us * 1000);
    if (client.send()) board.sent(index);
  }
}

void consume(Transport& transport, std::uint32_t index, const Run& run) {
  bind_to(run, run.cpus.size() - 1 - index % std::max<std::size_t>(run.cpus.size(), 1));
  Board board(run.board);
  const ReceiveClient client = transport.consumer(index);
  board.wait_for_go_as_consumer(index);
  while (!board.stopped()) {
    const std::int64_t stamp = client.receive(run.spin);
    if (stamp != kNothing) board.received(index, now_ns() - stamp);
  }
}

void relay(Transport& transport, std::uint32_t index, const Run& run) {
  Board board(run.board);
  const ReceiveClient client = transport.relay(index);
  board.wait_for_go_as_helper(index);
  while (!board.stopped()) client.receive(false);
}

void fork_off(std::vector<pid_t>& children, const std::function<void()>& body) {
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) throw std::runtime_error("fork failed");
  children.push_back(pid);
  if (pid > 0) return;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  int code = ::getppid() == parent ? 0 : 1;
  try {
    if (code == 0) body();
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "handover_bench: %s\n", failure.what());
    code = 1;
  }
  ::_exit(code);
}

// Ends when the last process has ended and stdin is at its end, for others may still use what is shared; kills the rest
// as soon as one has failed.
int run_all(const Plan& plan, std::uint32_t relays, const Run& run) {
  const auto transport = Transport::make(plan);
  std::vector<pid_t> children;
  for (std::uint32_t i = 0; i < relays; ++i) fork_off(children, [&] { relay(*transport, i, run); });
  for (std::uint32_t i = 0; i < plan.consumers; ++i) fork_off(children, [&] { consume(*transport, i, run); });
  for (std::uint32_t i = 0; i < plan.producers; ++i) fork_off(children, [&] { produce(*transport, i, run); });
  int status = 0;
  bool failed = false;
  for (pid_t ended = 0; (ended = ::waitpid(-1, &status, 0)) > 0;) {
    std::erase(children, ended);  // its number may be another's by now
    if (status == 0 || failed) continue;
    failed = true;
    for (const pid_t pid : children) ::kill(pid, SIGKILL);
  }
  while (!failed && std::fgetc(stdin) != EOF) {
  }
  return failed ? 1 : 0;
}

int run(int argc, char** argv) {
  Plan plan;
  Run run;
  std::uint32_t relays = 0;
  CLI::App app("The C++ processes of one run of the hand-over benchmark; see bench/shm/handover.py.");
  app.add_option("--board", run.board)->required();
  app.add_option("--name", plan.name, "of what the processes share: instance, queue, folder")->required();
  app.add_option("--transport", plan.transport)->check(CLI::IsMember(transports()));
  app.add_option("--bytes", plan.bytes);
  app.add_option("--producers", plan.producers)->check(CLI::Range(0U, Board::kMost));
  app.add_option("--consumers", plan.consumers)->check(CLI::Range(0U, Board::kMost));
  app.add_option("--relays", relays, "peaknet: stand-ins of the daemon, for consumers elsewhere that take results")
      ->check(CLI::Range(0U, Board::kMost));
  app.add_option("--slots", plan.slots);
  app.add_option("--paced-us", run.paced_us, "one frame per so many microseconds and producer");
  app.add_flag("--spin", run.spin, "consumers look all the time instead of sleeping");
  app.add_option("--cpus", run.cpus, "bind producers to these in turn, consumers from the last one on")->delimiter(',');
  CLI11_PARSE(app, argc, argv);
  // Ctrl-C is for handover.py, which then says stop: what is shared gets removed.
  std::signal(SIGINT, SIG_IGN);
  try {
    return run_all(plan, relays, run);
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "handover_bench: %s\n", failure.what());
    return 1;
  }
}

}  // namespace
}  // namespace peaknet::bench

int main(int argc, char** argv) { return peaknet::bench::run(argc, argv); }
