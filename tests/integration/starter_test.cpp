// What the one who starts a program may have done: descriptors closed, pipes that end, limits, signals ignored. Nothing
// of it reaches the data, and no program dies of it.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <fstream>

#include "shm/control_segment.hpp"
#include "tests/integration/system.hpp"
#include "tests/support/instance.hpp"

namespace peaknet::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

System::Options hits() { return {.model = "builtin:threshold=150", .shape = "[1,64,64]"}; }

std::vector<std::string> command(const System& system, const std::string& program,
                                 const std::vector<std::string>& arguments) {
  std::vector<std::string> all{bin_dir() + "/" + program};
  all.insert(all.end(), {"--config", system.config()});
  all.insert(all.end(), arguments.begin(), arguments.end());
  return all;
}

// As `shell` starts it; there "$@" is the command.
Child start_by_shell(const std::string& shell, const std::vector<std::string>& command) {
  std::vector<std::string> all{"/bin/sh", "-c", shell, "sh"};
  all.insert(all.end(), command.begin(), command.end());
  return Child::start(all);
}

// The redirections that close the descriptors of `subset`.
std::string closing(unsigned subset) {
  std::string text;
  for (unsigned number = 0; number < 3; ++number) {
    if ((subset & 1U << number) != 0) text += " " + std::to_string(number) + ">&-";
  }
  return text;
}

std::string target_of_descriptor(pid_t process, unsigned number) {
  std::error_code gone;
  return std::filesystem::read_symlink("/proc/" + std::to_string(process) + "/fd/" + std::to_string(number), gone);
}

// Closed ones lead to /dev/null, the others are as they were.
void expect_no_file_of_ours(pid_t process, unsigned subset, const std::string& what) {
  for (unsigned number = 0; number < 3; ++number) {
    if ((subset & 1U << number) != 0) {
      EXPECT_EQ(target_of_descriptor(process, number), "/dev/null") << what << ", descriptor " << number;
    }
  }
}

void expect_a_good_header(const System& system, const std::string& what) {
  const auto control_segment = shm::ControlSegment::open(system.instance(), shm::Access::read_only);
  EXPECT_TRUE(control_segment) << what << ": " << control_segment.error().text();
}

TEST(Starter, whatever_descriptors_were_closed_no_log_line_gets_into_shared_memory_or_a_file) {
  for (unsigned subset = 1; subset < 8; ++subset) {
    const std::string how = closing(subset);
    System system(hits());
    auto daemon = start_by_shell("exec \"$@\"" + how, command(system, "peaknetd", {}));
    ASSERT_EQ(system.ctl({"wait", "--for", "running", "--timeout", "60s"}).wait(), Exit::code(0)) << how;
    auto writer = start_by_shell("exec \"$@\"" + how, command(system, "peaknet-writer", {}));
    ASSERT_TRUE(eventually([&] { return system.stats().at("writers").size() == 1; })) << how;
    auto feed = start_by_shell("exec \"$@\"" + how,
                               command(system, "peaknet-feed", {"simulate", "--frames", "4", "--hit-fraction", "1"}));
    EXPECT_EQ(feed.wait(), Exit::code(0)) << how;
    expect_no_file_of_ours(daemon.pid(), subset, "peaknetd" + how);
    expect_no_file_of_ours(writer.pid(), subset, "peaknet-writer" + how);
    expect_a_good_header(system, how);
    EXPECT_EQ(system.ctl({"stop"}).wait(), Exit::code(0)) << how;
    daemon.signal(SIGTERM);
    writer.signal(SIGTERM);
    EXPECT_EQ(daemon.wait(), Exit::code(0)) << how;
    EXPECT_EQ(writer.wait(), Exit::code(0)) << how;
    EXPECT_EQ(system.frames_in_files().size(), 4U) << how;
  }
}

// What serves beside daemon and writer until it is told to end.
struct Service {
  std::string program;
  std::vector<std::string> arguments;
};
std::vector<Service> services(const System& system) {
  const std::string folder = system.folder().string();
  return {{"peaknet-live", {"--set", "live.crystfel=tcp://127.0.0.1:*"}},
          {"peaknet-feed", {"listen", "--endpoint", "bind ipc://" + folder + "/feed.sock"}},
          {"peaknetctl", {"page", "--listen", "127.0.0.1:0"}},
          {"peaknetctl", {"exporter", "--listen", "127.0.0.1:0"}},
          {"peaknetctl", {"exporter", "--textfile", folder + "/metrics.prom", "--every", "20ms"}}};
}

// `set`: "SigIgn:" or "SigBlk:".
bool is_in(const std::string& set, pid_t process, int number) {
  std::ifstream status("/proc/" + std::to_string(process) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(set)) return (std::stoull(line.substr(set.size()), nullptr, 16) >> (number - 1) & 1) != 0;
  }
  return false;
}
bool ignores(pid_t process, int number) { return is_in("SigIgn:", process, number); }
// It waits for what ends it: it has begun to serve.
bool serves(pid_t process) { return ignores(process, SIGHUP) && is_in("SigBlk:", process, SIGTERM); }

TEST(Starter, services_go_on_without_their_terminal_and_the_reader_of_their_log) {
  System system(hits());
  system.start_daemon();
  for (const Service& service : services(system)) {
    const std::string what = service.program + " " + service.arguments.front();
    auto child =
        start_by_shell("exec \"$@\" 2>/dev/full >/dev/null", command(system, service.program, service.arguments));
    EXPECT_TRUE(eventually([&] { return serves(child.pid()); }, std::chrono::seconds(20))) << what;
    for (const int number : {SIGHUP, SIGPIPE, SIGXFSZ}) {
      EXPECT_TRUE(ignores(child.pid(), number)) << what << ": " << number;
      child.signal(number);
    }
    EXPECT_TRUE(child.running()) << what;
    child.signal(SIGTERM);
    EXPECT_EQ(child.wait(), Exit::code(0)) << what;
  }
}

TEST(Starter, no_service_has_a_descriptor_of_its_own_where_one_was_closed) {
  System system(hits());
  system.start_daemon();
  for (const Service& service : services(system)) {
    for (unsigned subset = 1; subset < 8; ++subset) {
      const std::string what = service.program + " " + service.arguments.front() + closing(subset);
      auto child = start_by_shell("exec \"$@\"" + closing(subset), command(system, service.program, service.arguments));
      EXPECT_TRUE(eventually([&] { return serves(child.pid()); }, std::chrono::seconds(20))) << what;
      expect_no_file_of_ours(child.pid(), subset, what);
      child.kill();
    }
  }
  expect_a_good_header(system, "after all of them");
}

TEST(Starter, frames_wait_unharmed_for_a_daemon_that_is_started_again_without_stderr) {
  System system(hits());
  auto& first = system.start_daemon();
  ASSERT_EQ(system.feed({"simulate", "--frames", "9", "--hit-fraction", "1"}).wait(), Exit::code(0));
  first.kill();
  auto again = start_by_shell("exec \"$@\" 2>&-", command(system, "peaknetd", {}));
  ASSERT_EQ(system.ctl({"wait", "--for", "running", "--timeout", "60s"}).wait(), Exit::code(0));
  expect_a_good_header(system, "2>&-");
  system.start_writer();
  EXPECT_EQ(system.ctl({"stop"}).wait(), Exit::code(0));
  EXPECT_EQ(system.frames_in_files().size(), 9U);
}

TEST(Starter, the_end_of_the_logs_reader_is_not_the_end_of_the_daemon_or_the_writer) {
  System system(hits());
  // Its stderr is a pipe that nobody reads any more.
  const std::string dead_pipe = "exec 3>&1; { sleep 0.1; exec \"$@\" 2>&4 1>&3; } 4>&1 | true";
  auto daemon = start_by_shell(dead_pipe, command(system, "peaknetd", {}));
  ASSERT_EQ(system.ctl({"wait", "--for", "running", "--timeout", "60s"}).wait(), Exit::code(0));
  auto writer = start_by_shell(dead_pipe, command(system, "peaknet-writer", {}));
  ASSERT_TRUE(eventually([&] { return system.stats().at("writers").size() == 1; }));
  ASSERT_EQ(system.feed({"simulate", "--frames", "4", "--hit-fraction", "1"}).wait(), Exit::code(0));
  EXPECT_EQ(system.ctl({"stop"}).wait(), Exit::code(0));
  EXPECT_EQ(system.frames_in_files().size(), 4U);
  const auto pid_of = [&](const nlohmann::json& who) { return who.at("pid").get<pid_t>(); };
  const auto stats = system.stats();
  ::kill(pid_of(stats.at("writers").at(0)), SIGTERM);
  ::kill(pid_of(system.ctl_json({"status"}).at("daemon")), SIGTERM);
  EXPECT_EQ(writer.wait(), Exit::code(0));
  EXPECT_EQ(daemon.wait(), Exit::code(0));
  EXPECT_THAT(system.unfinished(), ::testing::IsEmpty());
}

TEST(Starter, a_limit_of_file_size_is_an_error_with_a_name_and_not_a_signal) {
  System system(hits());
  auto daemon = start_by_shell("ulimit -f 64; exec \"$@\"", command(system, "peaknetd", {}));
  EXPECT_EQ(daemon.wait(), Exit::code(73)) << daemon.err();
  EXPECT_THAT(daemon.err(), HasSubstr("ulimit -f"));
  EXPECT_THAT(shared_memory_of(system.instance()), ::testing::IsEmpty());
}

TEST(Starter, whatever_file_meets_the_limit_of_file_size_the_limit_is_named) {
  System system(hits());
  system.start_daemon();
  system.start_writer();
  ASSERT_EQ(system.feed({"simulate", "--frames", "4", "--hit-fraction", "1"}).wait(), Exit::code(0));
  const std::string folder = system.folder().string();
  for (const auto& [program, arguments] : std::vector<std::pair<std::string, std::vector<std::string>>>{
           {"peaknetctl", {"exporter", "--textfile", folder + "/metrics.prom"}},
           {"peaknetctl", {"view", "-o", folder + "/hit.png"}},
           {"peaknet-feed",
            {"simulate", "--frames", "400", "--hit-fraction", "1", "--truth", folder + "/truth.csv"}}}) {
    auto child = start_by_shell("ulimit -f 1; exec \"$@\"", command(system, program, arguments));
    EXPECT_NE(child.wait(), Exit::code(0)) << program << " " << arguments.front();
    EXPECT_THAT(child.err(), HasSubstr("ulimit -f")) << program << " " << arguments.front();
  }
}

TEST(Starter, a_writer_at_its_limit_of_file_size_holds_the_frames) {
  System system(hits());
  system.start_daemon();
  auto writer = start_by_shell("ulimit -f 8; exec \"$@\"", command(system, "peaknet-writer", {}));
  ASSERT_TRUE(eventually([&] { return system.stats().at("writers").size() == 1; }));
  ASSERT_EQ(system.feed({"simulate", "--frames", "6", "--hit-fraction", "1"}).wait(), Exit::code(0));
  EXPECT_TRUE(eventually([&] {
    return system.stats().at("writers").at(0).at("note").get<std::string>().find("ulimit -f") != std::string::npos;
  })) << system.stats().at("writers");
  EXPECT_THAT(system.unfinished(), ::testing::IsEmpty()) << "it looks first, and makes no file at each try";
  writer.signal(SIGTERM);
  EXPECT_EQ(writer.wait(), Exit::code(0)) << writer.err();
  system.start_writer();
  EXPECT_EQ(system.ctl({"stop"}).wait(), Exit::code(0));
  EXPECT_EQ(system.frames_in_files().size(), 6U);
}

TEST(Starter, a_writer_whose_files_may_not_grow_makes_more_of_them) {
  System system(hits());
  system.start_daemon();
  auto writer = start_by_shell("ulimit -f 3072; exec \"$@\"",  // 1.5 MiB: more than a file begins with
                               command(system, "peaknet-writer", {"--set", "output.events_per_file=1000"}));
  ASSERT_TRUE(eventually([&] { return system.stats().at("writers").size() == 1; }));
  ASSERT_EQ(system.feed({"simulate", "--frames", "500", "--hit-fraction", "1"}).wait(), Exit::code(0));
  auto stop = system.ctl({"stop"});
  EXPECT_EQ(stop.wait(), Exit::code(0)) << stop.err();
  EXPECT_EQ(system.frames_in_files().size(), 500U);
  EXPECT_GT(system.stats().at("files"), 1);
  EXPECT_THAT(system.unfinished(), ::testing::IsEmpty());
  writer.signal(SIGTERM);
  EXPECT_EQ(writer.wait(), Exit::code(0));
  EXPECT_THAT(writer.err(), Not(HasSubstr("given up"))) << "no file was begun that could not be finished";
}

// Started with room for no second thread, it says which limit that is and ends as what may pass: neither killed by a
// library that gives up, nor with a code that keeps systemd from another try.
TEST(Starter, a_program_that_gets_no_thread_names_the_limit) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer's runtime must be loaded before what this test preloads";
#endif
  System system(hits());
  const std::string poor =
      "exec prlimit --nproc=4321 env LD_PRELOAD=" + bin_dir() + "/../lib/libpeaknet_test_no_threads.so \"$@\"";
  const auto refused = [&](const std::string& program, const std::vector<std::string>& arguments, int code) {
    auto child = start_by_shell(poor, command(system, program, arguments));
    EXPECT_EQ(child.wait(), Exit::code(code)) << program << ": " << child.err();
    EXPECT_THAT(child.err(), HasSubstr("RLIMIT_NPROC: this user may have 4321")) << program;
    EXPECT_THAT(child.err(), HasSubstr("[process.no-threads]")) << program;
  };
  refused("peaknetd", {}, 71);
  EXPECT_THAT(shared_memory_of(system.instance()), ::testing::IsEmpty());
  system.start_daemon();
  refused("peaknetctl", {"stop"}, 1);
  refused("peaknet-writer", {}, 71);
  refused("peaknet-feed", {"simulate", "--frames", "4"}, 71);
  refused("peaknet-feed", {"listen", "--endpoint", "bind tcp://127.0.0.1:*"}, 71);
}

TEST(Starter, a_service_that_gets_no_descriptor_names_the_limit) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer's runtime opens files of its own";
#endif
  System system(hits());
  system.start_daemon();
  for (const Service& service : services(system)) {
    if (service.arguments.back() == "20ms") continue;  // it opens nothing that stays, and tries again
    auto child = start_by_shell("ulimit -n 6; exec \"$@\"", command(system, service.program, service.arguments));
    EXPECT_NE(child.wait(), Exit::code(0)) << service.program;
    EXPECT_THAT(child.err(), HasSubstr("may have 6")) << service.program;
    EXPECT_THAT(child.err(), HasSubstr("ulimit -n")) << service.program;
  }
}

// A control group with a limit of memory, of either version; none where this user may not make one.
class MemoryGroup {
 public:
  explicit MemoryGroup(const std::string& limit) {
    for (const auto& [root, file] :
         {std::pair{"/sys/fs/cgroup/memory", "memory.limit_in_bytes"}, {"/sys/fs/cgroup", "memory.max"}}) {
      const auto folder = std::filesystem::path(root) / ("peaknet_test_" + std::to_string(::getpid()));
      std::error_code error;
      if (!std::filesystem::exists(std::filesystem::path(root) / "cgroup.procs", error)) continue;
      if (!std::filesystem::create_directory(folder, error)) continue;
      folder_ = folder;
      if (std::ofstream(folder / file) << limit << std::flush) return;
      std::filesystem::remove(folder, error);  // this hierarchy has no limit of memory
      folder_.clear();
    }
  }
  MemoryGroup(const MemoryGroup&) = delete;
  MemoryGroup& operator=(const MemoryGroup&) = delete;
  ~MemoryGroup() {
    std::error_code error;
    if (!folder_.empty()) std::filesystem::remove(folder_, error);
  }
  bool there() const { return !folder_.empty(); }
  // Of a shell: what it starts from here on is in the group.
  std::string enter() const {
    return "echo $$ > " + (folder_ / "cgroup.procs").string() + "; COLUMNS=1000 exec \"$@\"";
  }

 private:
  std::filesystem::path folder_;
};

TEST(Starter, a_pool_beyond_the_memory_of_the_control_group_is_refused_and_not_killed) {
  const MemoryGroup group("200M");
  if (!group.there()) GTEST_SKIP() << "no control group can be made here";
  System::Options options = hits();
  options.shape = "[1,1920,1920]";  // 64 slots of it are 480 MiB
  options.slots = 64;
  System system(options);
  auto daemon = start_by_shell(group.enter(), command(system, "peaknetd", {}));
  EXPECT_EQ(daemon.wait(), Exit::code(78)) << daemon.err();
  EXPECT_THAT(daemon.err(), HasSubstr("[pool.over-limit]"));
  EXPECT_THAT(daemon.err(), HasSubstr("allows 200.00 MiB"));
  EXPECT_THAT(shared_memory_of(system.instance()), ::testing::IsEmpty());
  auto doctor = start_by_shell(group.enter(), command(system, "peaknetctl", {"doctor"}));
  doctor.wait();
  EXPECT_THAT(doctor.out(), HasSubstr("allows 200.00 MiB"));
}

TEST(Starter, what_will_be_reserved_is_logged_before) {
  System system(hits());
  auto& daemon = system.start_daemon();
  const std::string log = daemon.err();
  EXPECT_LT(log.find("reserving "), log.find("the pool of epoch")) << log;
}

TEST(Starter, nohup_and_a_scripts_ampersand_are_respected) {
  System system(hits());
  auto daemon = start_by_shell("trap '' HUP INT; exec \"$@\"", command(system, "peaknetd", {}));
  ASSERT_EQ(system.ctl({"wait", "--for", "running", "--timeout", "60s"}).wait(), Exit::code(0));
  daemon.signal(SIGHUP);
  daemon.signal(SIGINT);
  ASSERT_EQ(system.ctl({"stop"}).wait(), Exit::code(0));  // it has looked at its signals meanwhile
  EXPECT_TRUE(daemon.running());
  EXPECT_THAT(daemon.err(), Not(HasSubstr("signal")));
  daemon.signal(SIGTERM);
  EXPECT_EQ(daemon.wait(), Exit::code(0));
}

TEST(Starter, SIGHUP_reads_the_configuration_again_and_ends_nobody) {
  System system(hits());
  auto& daemon = system.start_daemon();
  auto& writer = system.start_writer();
  std::ofstream(system.config(), std::ios::app) << "log: {level: debug}\n";
  daemon.signal(SIGHUP);
  writer.signal(SIGHUP);
  EXPECT_TRUE(eventually([&] { return daemon.err().find("reload: log.level") != std::string::npos; })) << daemon.err();
  EXPECT_TRUE(eventually([&] { return writer.err().find("it continues") != std::string::npos; })) << writer.err();
  EXPECT_TRUE(daemon.running());
  EXPECT_TRUE(writer.running());
}

TEST(Starter, output_that_cannot_be_written_is_an_error) {
  System system(hits());
  system.start_daemon();
  for (const std::string how : {">/dev/full", ">&-"}) {
    for (const std::vector<std::string>& words : {std::vector<std::string>{"status"},
                                                  {"stats", "--prom"},
                                                  {"--json", "stats"},
                                                  {"config", "show"},
                                                  {"version"}}) {
      auto tool = start_by_shell("exec \"$@\" " + how, command(system, "peaknetctl", words));
      EXPECT_EQ(tool.wait(), Exit::code(1)) << words.front() << how;
      EXPECT_THAT(tool.err(), HasSubstr("[cli.output]")) << words.front() << how;
    }
    for (const auto& [program, words] : std::vector<std::pair<std::string, std::vector<std::string>>>{
             {"peaknetd", {"--check"}},
             {"peaknetd", {"--help"}},
             {"peaknet-writer", {"--manual"}},
             {"peaknet-live", {"--version"}},
             {"peaknet-feed", {"simulate", "--help"}},
             {"peaknet-feed", {"simulate", "--frames", "1", "--json"}}}) {
      auto other = start_by_shell("exec \"$@\" " + how, command(system, program, words));
      EXPECT_EQ(other.wait(), Exit::code(73)) << program << " " << words.front() << how;
      EXPECT_THAT(other.err(), HasSubstr("[cli.output]")) << program << " " << words.front() << how;
    }
  }
}

TEST(Starter, a_tool_ends_quietly_with_the_pipe_that_it_writes_to) {
  System system(hits());
  system.start_daemon();
  auto tool = start_by_shell("\"$@\" watch --every 10ms | head -n 1", command(system, "peaknetctl", {}));
  EXPECT_EQ(tool.wait(), Exit::code(0));
  EXPECT_EQ(tool.err(), "");
}

// A reboot, `systemctl stop` of everything, Ctrl-C on a process group, `scancel`.
TEST(Starter, programs_that_are_told_to_end_in_one_moment_leave_no_committed_frame_behind) {
  auto options = hits();
  options.slots = 64;
  System system(options);
  auto& daemon = system.start_daemon();
  auto& writer = system.start_writer();
  daemon.stop();  // it takes nothing, so that all frames are still in Q1
  ASSERT_EQ(system.feed({"simulate", "--frames", "60", "--hit-fraction", "1"}).wait(), Exit::code(0));
  writer.signal(SIGTERM);
  daemon.signal(SIGTERM);
  daemon.signal(SIGCONT);
  EXPECT_EQ(daemon.wait(), Exit::code(0)) << daemon.err();
  EXPECT_EQ(writer.wait(), Exit::code(0)) << writer.err();
  EXPECT_EQ(system.frames_in_files().size(), 60U) << writer.err();
  EXPECT_THAT(writer.err(), HasSubstr("they are written first"));
}

TEST(Starter, a_writer_that_ends_alone_leaves_to_the_next_what_comes_later) {
  System system(hits());
  system.start_daemon();
  auto& writer = system.start_writer();
  auto feed = system.launch("peaknet-feed", {"simulate", "--frames", "400", "--hit-fraction", "1", "--rate", "100"});
  ASSERT_TRUE(eventually([&] { return system.stats().at("lifetime").at("written") > 0; }));
  writer.signal(SIGTERM);
  EXPECT_EQ(writer.wait(), Exit::code(0)) << writer.err();
  EXPECT_TRUE(feed.running()) << "it waited for frames that were committed after it was told to end";
  system.start_writer();
  EXPECT_EQ(feed.wait(), Exit::code(0));
  EXPECT_EQ(system.ctl({"stop"}).wait(), Exit::code(0));
  EXPECT_EQ(system.frames_in_files().size(), 400U);
}

TEST(Starter, a_second_signal_ends_a_writer_at_once) {
  System system(hits());
  auto& daemon = system.start_daemon();
  auto& writer = system.start_writer();
  daemon.stop();
  ASSERT_EQ(system.feed({"simulate", "--frames", "5", "--hit-fraction", "1"}).wait(), Exit::code(0));
  writer.signal(SIGTERM);
  ASSERT_TRUE(eventually([&] { return writer.err().find("second signal") != std::string::npos; })) << writer.err();
  writer.signal(SIGINT);  // the same signal at once would be an echo of the first
  EXPECT_EQ(writer.wait(), Exit::code(128 + SIGINT));
  daemon.signal(SIGCONT);
  system.start_writer();
  EXPECT_EQ(system.ctl({"stop"}).wait(), Exit::code(0));
  EXPECT_EQ(system.frames_in_files().size(), 5U);
}

}  // namespace
}  // namespace peaknet::test
