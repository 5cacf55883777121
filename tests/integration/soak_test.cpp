// Long forms of the main promises, not run by default (ctest -L soak): thousands of frames of 512 x 512 from three
// producers at once, undisturbed, and with the writer, a producer and the daemon killed at random moments, again and
// again; and a steady load at four fifths of what the system can do, with rebuffers and restarts all the while.
// PEAKNET_SOAK_ROUNDS sets how many rounds of kills (default 10), PEAKNET_SOAK_SECONDS how long the steady load lasts
// (default 300); the seed of a failing round is printed.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include "tests/integration/system.hpp"

namespace peaknet::test {
namespace {

const System::Options kFull{.model = "builtin:threshold=150", .shape = "[1,512,512]", .slots = 32, .min_num_peak = 10};

std::vector<Child> three_producers(const System& system, const std::string& frames, const std::string& rate) {
  std::vector<Child> feeds;
  for (const char* seed : {"21", "22", "23"}) {
    std::vector<std::string> arguments{"simulate", "--frames", frames, "--hit-fraction", "0.3", "--seed", seed};
    if (!rate.empty()) arguments.insert(arguments.end(), {"--rate", rate});
    feeds.push_back(system.launch("peaknet-feed", arguments));
  }
  return feeds;
}

void expect_every_frame_once(System& system) {
  auto stop = system.ctl({"stop", "--timeout", "120"});
  ASSERT_EQ(stop.wait(), Exit::code(0)) << stop.err() << system.writer().err() << system.daemon().err();
  const auto life = system.stats().at("lifetime");
  EXPECT_EQ(life.at("imbalance"), 0) << life.dump(2);
  EXPECT_EQ(life.at("in_flight"), 0) << life.dump(2);
  EXPECT_EQ(life.at("written").get<int>() + life.at("filtered").get<int>(), life.at("committed").get<int>())
      << life.dump(2);
  const auto in_files = system.frames_in_files();
  EXPECT_EQ(in_files.size(), life.at("written").get<std::size_t>()) << life.dump(2);
  for (const auto& [key, times] : in_files) EXPECT_EQ(times, 1) << "producer " << key.first << " frame " << key.second;
  EXPECT_TRUE(system.unfinished().empty());
}

TEST(Soak, FiveThousandFramesOfThreeProducersAreEachInAFileOrCounted) {
  System system(kFull);
  system.start_daemon();
  system.start_writer();
  for (auto& feed : three_producers(system, "1667", "")) ASSERT_EQ(feed.wait(), Exit::code(0)) << feed.err();
  expect_every_frame_once(system);
  EXPECT_EQ(system.stats().at("lifetime").at("committed"), 5001);
  std::printf("%s\n", system.stats().at("lifetime").dump().c_str());
}

int setting(const char* name, int otherwise) {
  const char* asked = std::getenv(name);
  return asked == nullptr ? otherwise : std::atoi(asked);
}

TEST(Soak, KillsOfEveryProgramLoseAndDoubleNothing) {
  const int rounds = setting("PEAKNET_SOAK_ROUNDS", 10);
  for (int round = 0; round < rounds; ++round) {
    SCOPED_TRACE("seed " + std::to_string(round));
    std::mt19937 random(static_cast<unsigned>(round));
    const auto some_time = [&] { std::this_thread::sleep_for(std::chrono::milliseconds(50 + random() % 1000)); };
    System system(kFull);
    system.start_daemon();
    system.start_writer();
    auto feeds = three_producers(system, "1667", "400");
    some_time();
    system.writer().kill();
    system.start_writer();
    some_time();
    feeds[0].kill();
    some_time();
    system.daemon().kill();
    system.start_daemon();
    some_time();
    system.writer().kill();
    system.start_writer();
    for (std::size_t i = 1; i < feeds.size(); ++i) ASSERT_EQ(feeds[i].wait(), Exit::code(0)) << feeds[i].err();
    expect_every_frame_once(system);
    EXPECT_GE(system.stats().at("lifetime").at("committed").get<int>(), 2 * 1667);
    std::printf("round %d: %s\n", round, system.stats().at("lifetime").dump().c_str());
    if (HasFailure()) return;
  }
}

// What a process holds: memory of its own (shared memory is not counted), threads, descriptors.
struct Holdings {
  long kib = 0, threads = 0, descriptors = 0;
};
Holdings holdings(pid_t pid) {
  Holdings now;
  const auto folder = std::filesystem::path("/proc") / std::to_string(pid);
  std::ifstream status(folder / "status");
  for (std::string word; status >> word;) {
    if (word == "RssAnon:") status >> now.kib;
    if (word == "Threads:") status >> now.threads;
  }
  now.descriptors = std::distance(std::filesystem::directory_iterator(folder / "fd"), {});
  return now;
}

// A program over all its lives: what each held when it had warmed up, and when it ended.
class Watched {
 public:
  explicit Watched(const char* name) : name_(name) {}
  void warmed_up(pid_t pid) { begin_ = holdings(pid); }
  void ends(pid_t pid) {
    const Holdings end = holdings(pid);
    if (begin_.kib == 0) return;  // it was ended before it was warm
    most_grown_ = std::max(most_grown_, end.kib - begin_.kib);
    if (first_.kib == 0) first_ = end;
    last_ = end;
    begin_ = {};
  }
  void expect_flat() const {
    ASSERT_GT(last_.kib, 0) << name_;
    EXPECT_LT(most_grown_, kNoise) << name_;
    EXPECT_LT(last_.kib, first_.kib + kNoise) << name_;
    EXPECT_LE(last_.threads, first_.threads) << name_;
    EXPECT_LE(last_.descriptors, first_.descriptors + 4) << name_;  // files and clients of the moment
    std::printf(
        "soak: %s: %ld KiB, %ld threads, %ld descriptors at the end of the first life; %ld KiB, %ld, %ld of the "
        "last; no life grew by more than %ld KiB\n",
        name_, first_.kib, first_.threads, first_.descriptors, last_.kib, last_.threads, last_.descriptors,
        most_grown_);
  }

 private:
  static constexpr long kNoise = 8 << 10;  // KiB; an hour's leak of 16 bytes a frame would be 150 MiB
  const char* name_;
  Holdings begin_, first_, last_;
  long most_grown_ = 0;
};

double inferred_of(const System& system) { return system.stats().at("lifetime").at("inferred").get<double>(); }

// Frames a second, of three producers that go as fast as the pool takes their frames.
double full_rate(System& system) {
  Child feed = system.launch("peaknet-feed", {"simulate", "--frames", "100000000", "--producers", "3", "--hit-fraction",
                                              "0.03", "--seed", "30"});
  std::this_thread::sleep_for(std::chrono::seconds(3));
  const auto begin = std::chrono::steady_clock::now();
  const double before = inferred_of(system);
  std::this_thread::sleep_for(std::chrono::seconds(10));
  const double frames = inferred_of(system) - before;
  const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin;
  feed.signal(SIGTERM);
  EXPECT_EQ(feed.wait(), Exit::code(0)) << feed.err();
  return frames / passed.count();
}

TEST(Soak, FourFifthsOfTheFullRateWithRebuffersAndRestartsLoseNothingAndMemoryStaysFlat) {
  const std::chrono::seconds length(setting("PEAKNET_SOAK_SECONDS", 300));
  const std::vector<std::string> set{"output.events_per_file=2000", "output.compression=bitshuffle-lz4"};
  System system({.model = "builtin:threshold=150", .shape = "[1,128,128]", .min_num_peak = 10});
  system.start_daemon(set);
  system.start_writer(set);
  const double full = full_rate(system);
  Child feed =
      system.launch("peaknet-feed", {"simulate", "--frames", "1000000000", "--producers", "3", "--hit-fraction", "0.03",
                                     "--seed", "31", "--rate", std::to_string(0.8 * full)});
  Watched daemon("peaknetd"), writer("peaknet-writer"), source("peaknet-feed");
  int rebuffers = 0, pools = 0, restarts = 0;
  const double before = inferred_of(system);
  const auto begin = std::chrono::steady_clock::now();
  const std::chrono::milliseconds part =
      std::chrono::milliseconds(length) / 36;  // six lives of the daemon, six in each
  std::mt19937 random(1);
  for (int step = 1; step <= 36; ++step) {
    for (const auto until = begin + step * part; std::chrono::steady_clock::now() < until;) {
      std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(part / 4, std::chrono::seconds(5)));
      const bool pool = random() % 3 == 0;
      auto done = pool ? system.ctl({"rebuffer", "--slots", std::to_string(16 + random() % 32)})
                       : system.ctl({"rebuffer", "--depth", std::to_string(1 + random() % 6), "--batch",
                                     std::to_string(1 + random() % 4)});
      EXPECT_EQ(done.wait(), Exit::code(0)) << done.err();
      ++(pool ? pools : rebuffers);
    }
    ASSERT_TRUE(feed.running()) << feed.err();
    if (step == 6) source.warmed_up(feed.pid());
    switch (step % 6) {
      case 1:
        daemon.warmed_up(system.daemon().pid());
        break;
      case 3:  // the middle of the daemon's life
        writer.ends(system.writer().pid());
        system.writer().signal(SIGTERM);
        EXPECT_EQ(system.writer().wait(), Exit::code(0)) << system.writer().err();
        system.start_writer(set);
        ++restarts;
        break;
      case 4:
        writer.warmed_up(system.writer().pid());
        break;
      case 0:
        daemon.ends(system.daemon().pid());
        if (step == 36) break;
        system.daemon().signal(SIGTERM);
        EXPECT_EQ(system.daemon().wait(), Exit::code(0)) << system.daemon().err();
        system.start_daemon(set);
        ++restarts;
        break;
      default:
        break;
    }
    if (HasFailure()) return;
  }
  source.ends(feed.pid());
  const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin;
  const double rate = (inferred_of(system) - before) / passed.count();
  feed.signal(SIGTERM);
  ASSERT_EQ(feed.wait(), Exit::code(0)) << feed.err();
  expect_every_frame_once(system);
  auto audit = system.ctl({"audit", system.output().string()});
  EXPECT_EQ(audit.wait(), Exit::code(0)) << audit.out() << audit.err();
  const auto life = system.stats().at("lifetime");
  std::printf(
      "soak: %.0f s at %.0f frames/s, %.0f %% of the %.0f that this machine can do; %d rebuffers, %d other pools, "
      "%d restarts\n",
      passed.count(), rate, 100 * rate / full, full, rebuffers, pools, restarts);
  std::printf("soak: %lld frames committed, %lld in files, %lld filtered, imbalance %lld; audit: exit code %d\n",
              life.at("committed").get<long long>(), life.at("written").get<long long>(),
              life.at("filtered").get<long long>(), life.at("imbalance").get<long long>(), audit.wait().number);
  daemon.expect_flat();
  writer.expect_flat();
  source.expect_flat();
}

}  // namespace
}  // namespace peaknet::test
