// handover_bench: how fast, how late and how dear frames go from producers to consumers, each a process of its own.
//
//   handover_bench --transport peaknet --bytes 1048576 --producers 2 --consumers 1 --seconds 3
//   handover_bench --transport zeromq --bytes 64 --paced-us 1000 [--spin]     # latency of single frames
//
// Prints one JSON object: frames_per_s, gb_per_s, cpu_us_per_frame of all processes together, latency_us {p50, p99}
// from the stamp (frame filled, not yet handed over) to the consumer. Without --paced-us producers send as fast as they
// can and the latency is that of a full queue. bench/shm/report.py runs all of it beside the Python peers.
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <iostream>
#include <nlohmann/json.hpp>

#include "bench/shm/transport.hpp"

namespace peaknet::bench {
namespace {

constexpr std::size_t kSamples = std::size_t{1} << 16;  // latencies kept per consumer: the last so many

struct Board {  // shared by all processes of a run
  std::atomic<std::uint32_t> ready{0};
  std::atomic<bool> go{false}, measure{false}, stop{false};
  struct alignas(64) Count {
    std::atomic<std::uint64_t> frames{0}, at_begin{0};
    std::array<std::atomic<std::int64_t>, kSamples> latency_ns{};
  };
  std::array<Count, 16> counts;  // of consumers; of producers where there are none
};

void sleep_until(std::int64_t when_ns) {
  const timespec when{when_ns / 1'000'000'000, when_ns % 1'000'000'000};
  while (::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, nullptr) == EINTR) {
  }
}

void await(const std::atomic<bool>& flag) {
  while (!flag.load()) sleep_until(now_ns() + 1'000'000);
}

int produce(Transport& transport, std::uint32_t index, std::int64_t paced_us, bool counted, Board& board) {
  const SendDoor door = transport.producer(index);
  ++board.ready;
  await(board.go);
  std::int64_t next = now_ns();
  while (!board.stop.load(std::memory_order_relaxed)) {
    if (paced_us > 0) sleep_until(next += paced_us * 1000);
    if (door.send() && counted) board.counts[index].frames.fetch_add(1, std::memory_order_relaxed);
  }
  return 0;
}

int consume(Transport& transport, std::uint32_t index, bool spin, Board& board) {
  const ReceiveDoor door = transport.consumer(index);
  ++board.ready;
  auto& count = board.counts[index];
  while (!board.stop.load(std::memory_order_relaxed)) {
    const std::int64_t stamp = door.receive(spin);
    if (stamp == kNothing) continue;
    const std::uint64_t n = count.frames.load(std::memory_order_relaxed);
    count.latency_ns[n % kSamples].store(now_ns() - stamp, std::memory_order_relaxed);
    count.frames.store(n + 1, std::memory_order_relaxed);
  }
  return 0;
}

pid_t fork_off(const std::function<int()>& body) {
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  int code = 1;
  try {
    code = body();
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "handover_bench: %s\n", failure.what());
  }
  ::_exit(code);
}

double cpu_us(const rusage& usage) {
  const auto us = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_usec);
  };
  return us(usage.ru_utime) + us(usage.ru_stime);
}

nlohmann::json measure(const Plan& plan, double seconds, std::int64_t paced_us, bool spin) {
  void* page = ::mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) throw std::runtime_error("no memory to share");
  auto& board = *new (page) Board;
  const auto transport = Transport::make(plan);
  std::vector<pid_t> children;
  for (std::uint32_t i = 0; i < plan.consumers; ++i)
    children.push_back(fork_off([&] { return consume(*transport, i, spin, board); }));
  for (std::uint32_t i = 0; i < plan.producers; ++i)
    children.push_back(fork_off([&] { return produce(*transport, i, paced_us, plan.consumers == 0, board); }));
  bool failed = false;
  while (board.ready.load() < children.size() && !failed) {
    sleep_until(now_ns() + 1'000'000);
    failed = ::waitpid(-1, nullptr, WNOHANG) > 0;
  }
  board.go.store(true);
  const auto warm_up = static_cast<std::int64_t>(seconds * 0.25e9);
  sleep_until(now_ns() + warm_up);
  for (auto& count : board.counts) count.at_begin.store(count.frames.load());
  const std::int64_t begin = now_ns();
  sleep_until(begin + static_cast<std::int64_t>(seconds * 1e9));
  std::uint64_t frames = 0;
  std::uint64_t all_frames = 0;
  for (auto& count : board.counts) {
    const std::uint64_t now = count.frames.load();
    frames += now - count.at_begin.load();
    all_frames += now;
  }
  const double took = static_cast<double>(now_ns() - begin) * 1e-9;
  board.stop.store(true);
  double cpu = 0;
  for (std::size_t i = failed ? 1 : 0; i < children.size(); ++i) {
    int status = 0;
    rusage usage{};
    if (::wait4(-1, &status, 0, &usage) > 0) cpu += cpu_us(usage);
    failed = failed || status != 0;
  }
  if (failed) throw std::runtime_error("a process of the run failed");
  std::vector<double> latencies;
  for (std::uint32_t i = 0; i < plan.consumers; ++i) {
    const auto& count = board.counts[i];
    const std::uint64_t last = count.frames.load();
    const std::uint64_t first = std::max(count.at_begin.load(), last > kSamples ? last - kSamples : 0);
    for (std::uint64_t n = first; n < last; ++n)
      latencies.push_back(static_cast<double>(count.latency_ns[n % kSamples].load()) * 1e-3);
  }
  std::sort(latencies.begin(), latencies.end());
  const auto quantile = [&](double q) -> nlohmann::json {
    if (latencies.empty()) return nullptr;
    return latencies[static_cast<std::size_t>(q * static_cast<double>(latencies.size() - 1))];
  };
  ::munmap(page, sizeof(Board));
  return {{"transport", plan.transport},
          {"language", "C++"},
          {"bytes", plan.bytes},
          {"producers", plan.producers},
          {"consumers", plan.consumers},
          {"paced_us", paced_us},
          {"spin", spin},
          {"frames", frames},
          {"frames_per_s", static_cast<double>(frames) / took},
          {"gb_per_s", static_cast<double>(frames) * static_cast<double>(plan.bytes) / took * 1e-9},
          {"cpu_us_per_frame", all_frames == 0 ? 0 : cpu / static_cast<double>(all_frames)},
          {"latency_us", {{"p50", quantile(0.5)}, {"p99", quantile(0.99)}}}};
}

}  // namespace
}  // namespace peaknet::bench

int main(int argc, char** argv) {
  using namespace peaknet::bench;
  Plan plan;
  double seconds = 2;
  std::int64_t paced_us = 0;
  bool spin = false;
  CLI::App app("Frames from producers to consumers, ours beside its peers.");
  app.add_option("--transport", plan.transport)->check(CLI::IsMember(transports()));
  app.add_option("--bytes", plan.bytes);
  app.add_option("--producers", plan.producers)->check(CLI::Range(1, 16));
  app.add_option("--consumers", plan.consumers)->check(CLI::Range(0, 16));
  app.add_option("--slots", plan.slots);
  app.add_option("--seconds", seconds);
  app.add_option("--paced-us", paced_us, "one frame per so many microseconds and producer");
  app.add_flag("--spin", spin, "consumers look all the time instead of sleeping");
  CLI11_PARSE(app, argc, argv);
  try {
    std::cout << measure(plan, seconds, paced_us, spin).dump() << '\n';
    return 0;
  } catch (const std::exception& failure) {
    std::cerr << "handover_bench: " << failure.what() << '\n';
    return 1;
  }
}
