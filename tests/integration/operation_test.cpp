// What an operator does beside start and stop, with the real programs.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string_view>
#include <thread>

#include "base/unique_fd.hpp"
#include "tests/integration/system.hpp"

namespace peaknet::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

System::Options hits() { return {.model = "builtin:threshold=150"}; }

// How often the threads of a process have gone to sleep by themselves.
std::uint64_t sleeps_of(pid_t process) {
  std::uint64_t all = 0;
  for (const auto& thread : std::filesystem::directory_iterator("/proc/" + std::to_string(process) + "/task")) {
    std::ifstream status(thread.path() / "status");
    for (std::string line; std::getline(status, line);) {
      constexpr std::string_view kName = "voluntary_ctxt_switches:";
      if (line.starts_with(kName)) all += std::stoull(line.substr(kName.size()));
    }
  }
  return all;
}

// Each of the three loops (supervisor, worker, writer) looks around ten times a second, and nothing else wakes: on a
// loaded machine less often, never more.
TEST(Operation, ASystemThatWaitsForFramesSleeps) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizer has a thread of its own in each program, which wakes";
#endif
  System system(hits());
  system.start_daemon();
  system.start_writer();
  const auto sleeps = [&] { return sleeps_of(system.daemon().pid()) + sleeps_of(system.writer().pid()); };
  const auto begin = std::chrono::steady_clock::now();
  const auto before = sleeps();
  std::this_thread::sleep_for(std::chrono::seconds(3));
  const auto after = sleeps();
  const std::chrono::duration<double> span = std::chrono::steady_clock::now() - begin;
  EXPECT_LE(static_cast<double>(after - before), 40 * span.count());
}

TEST(Operation, AStartWithoutAWriterIsRefusedUnlessItIsMeant) {
  System system(hits());
  system.start_daemon();
  ASSERT_EQ(system.ctl({"stop"}).wait(), Exit::code(0));
  auto refused = system.ctl({"start"});
  EXPECT_EQ(refused.wait(), Exit::code(1));
  EXPECT_THAT(refused.err(), HasSubstr("[start.no-writer]"));
  EXPECT_THAT(refused.err(), HasSubstr("--no-writer"));
  EXPECT_EQ(system.stats().at("state"), "idle");
  EXPECT_EQ(system.ctl({"start", "--no-writer"}).wait(), Exit::code(0));
  ASSERT_EQ(system.ctl({"stop"}).wait(), Exit::code(0));
  system.start_writer();
  EXPECT_EQ(system.ctl({"start"}).wait(), Exit::code(0));
}

TEST(Operation, AStopNowWaitsForNothingAndTheFramesAreThereForTheNextRun) {
  System system(hits());
  system.start_daemon();
  ASSERT_EQ(system.feed({"simulate", "--frames", "10", "--hit-fraction", "1"}).wait(), Exit::code(0));
  auto stop = system.ctl({"stop", "--now"});
  ASSERT_EQ(stop.wait(), Exit::code(0)) << stop.err();
  EXPECT_EQ(system.stats().at("lifetime").at("in_flight"), 10);
  EXPECT_EQ(system.stats().at("state"), "idle");
  system.start_writer();
  ASSERT_EQ(system.ctl({"start"}).wait(), Exit::code(0));
  ASSERT_EQ(system.ctl({"stop"}).wait(), Exit::code(0));
  EXPECT_EQ(system.frames_in_files().size(), 10U);
  EXPECT_EQ(system.stats().at("lifetime").at("imbalance"), 0);
}

TEST(Operation, AStartThatIsSentAgainWithItsKeyBeginsOneRun) {
  System system(hits());
  system.start_daemon();
  system.start_writer();
  ASSERT_EQ(system.ctl({"stop"}).wait(), Exit::code(0));
  const auto first = system.ctl_json({"start", "--key", "k1"});
  EXPECT_EQ(system.ctl_json({"start", "--key", "k1"}).at("run"), first.at("run"));
  EXPECT_EQ(system.ctl({"start"}).wait(), Exit::code(1));  // another request: one run is going on
}

TEST(Operation, AReloadChangesWhatItMayAndNamesTheRest) {
  System system(hits());
  system.start_daemon();
  std::string text;
  {
    std::ifstream in(system.config());
    text.assign(std::istreambuf_iterator<char>(in), {});
  }
  const auto replaced = [&](const std::string& from, const std::string& to) {
    const auto at = text.find(from);
    ASSERT_NE(at, std::string::npos) << text;
    text.replace(at, from.size(), to);
  };
  replaced("depth: 3", "depth: 5");
  replaced("slots: 32", "slots: 64");
  replaced("min_num_peak: 3", "min_num_peak: 4");
  std::ofstream(system.config()) << text;
  const auto reply = system.ctl_json({"reload"});
  ASSERT_EQ(reply.at("changed").size(), 1U) << reply;
  EXPECT_EQ(reply["changed"][0].at("key"), "engine.depth");
  ASSERT_EQ(reply.at("restart").size(), 2U) << reply;
  EXPECT_EQ(reply["restart"][0].at("program"), "peaknetd");
  EXPECT_EQ(reply["restart"][1].at("program"), "peaknet-writer");
  EXPECT_TRUE(eventually([&] { return system.stats().at("devices").at(0).at("depth") == 5; }));
}

TEST(Operation, ADryRunOfRebufferChangesNothing) {
  System system(hits());
  system.start_daemon();
  const auto plan = system.ctl_json({"rebuffer", "--depth", "6", "--batch", "2", "--dry-run"});
  EXPECT_EQ(plan.at("before"), 3);
  EXPECT_EQ(plan.at("after"), 6);
  EXPECT_EQ(plan.at("batch_after"), 2);
  EXPECT_EQ(system.stats().at("devices").at(0).at("depth"), 3);
}

TEST(Operation, ViewMakesAPictureOfTheLatestHitWithoutDisturbingAnything) {
  System system(hits());
  system.start_daemon();
  system.start_writer();
  auto none = system.ctl({"--timeout", "200ms", "view", "-o", (system.folder() / "none.png").string()});
  EXPECT_EQ(none.wait(), Exit::code(4));
  EXPECT_THAT(none.err(), HasSubstr("[view.no-hit]"));
  ASSERT_EQ(system.feed({"simulate", "--frames", "20", "--hit-fraction", "1"}).wait(), Exit::code(0));
  const auto png = system.folder() / "hit.png";
  auto view = system.ctl({"--json", "view", "-o", png.string()});
  ASSERT_EQ(view.wait(), Exit::code(0)) << view.err();
  const auto said = nlohmann::json::parse(view.out());
  EXPECT_EQ(said.at("schema"), "peaknet.view/1");
  EXPECT_GE(said.at("peaks"), 3);
  std::ifstream file(png, std::ios::binary);
  std::string magic(8, ' ');
  file.read(magic.data(), 8);
  EXPECT_EQ(magic, "\x89PNG\r\n\x1a\n");
  EXPECT_GT(std::filesystem::file_size(png), 1000U);
  ASSERT_EQ(system.ctl({"stop"}).wait(), Exit::code(0));
  EXPECT_EQ(system.frames_in_files().size(), 20U);
}

TEST(Operation, TraceFindsAFrameWhereverItIs) {
  System system(hits());
  system.start_daemon();
  ASSERT_EQ(system.feed({"simulate", "--frames", "3", "--hit-fraction", "1"}).wait(), Exit::code(0));
  ASSERT_TRUE(eventually([&] { return system.stats().at("queues").at("q2") == 3; }));
  auto by_event = system.ctl({"--json", "trace", "0"});
  ASSERT_EQ(by_event.wait(), Exit::code(0)) << by_event.err();
  const auto found = nlohmann::json::parse(by_event.out());
  EXPECT_EQ(found.at("state"), "done");
  const std::string name =
      std::to_string(found.at("producer").get<int>()) + ":" + std::to_string(found.at("number").get<int>());
  EXPECT_EQ(system.ctl_json({"trace", name}).at("slot"), found.at("slot"));
  system.start_writer();
  ASSERT_EQ(system.ctl({"stop"}).wait(), Exit::code(0));
  ASSERT_EQ(system.feed({"simulate", "--frames", "32", "--hit-fraction", "1"}).wait(),
            Exit::code(0));  // every slot is used again
  const auto in_file = system.ctl_json({"trace", name});
  EXPECT_EQ(in_file.at("place"), "file");
  EXPECT_THAT(in_file.at("file").get<std::string>(), HasSubstr(".cxi"));
  auto none = system.ctl({"trace", "999:1"});
  EXPECT_EQ(none.wait(), Exit::code(1));
  EXPECT_THAT(none.err(), HasSubstr("[trace.not-found]"));
}

TEST(Operation, WhoIsAttachedIsListedAndCheckSaysWhetherAllIsWell) {
  System system(hits());
  system.start_daemon();
  auto sick = system.ctl({"status", "--check"});
  EXPECT_EQ(sick.wait(), Exit::code(7));
  EXPECT_THAT(sick.out(), HasSubstr("no writer is attached"));
  EXPECT_THAT(sick.out(), HasSubstr("failing"));
  system.start_writer();
  auto well = system.ctl({"status", "--check"});
  EXPECT_EQ(well.wait(), Exit::code(0)) << well.out();
  EXPECT_EQ(system.ctl_json({"writers"}).at("writers").size(), 1U);
  EXPECT_EQ(system.ctl_json({"producers"}).at("producers").size(), 0U);
  auto plain = system.ctl({"--plain", "status"});
  ASSERT_EQ(plain.wait(), Exit::code(0));
  EXPECT_THAT(plain.out(), HasSubstr("\nstate\trunning\n"));
}

// The tool's environment is not the daemon's (cron, sudo, another user of the group).
TEST(Operation, AToolWithAnotherRuntimeFolderFindsTheDaemon) {
  System system(hits());
  const std::string text = (std::ostringstream() << std::ifstream(system.config()).rdbuf()).str();
  std::ofstream(system.config()) << text.substr(0, text.find("control:"));
  const std::string runtime = "RUNTIME_DIRECTORY=" + (system.folder() / "run").string();
  auto daemon = system.launch("peaknetd", {}, {}, {runtime});
  ASSERT_TRUE(eventually([&] { return system.ctl({"status"}).wait() == Exit::code(0); }, std::chrono::seconds(60)))
      << system.ctl({"status"}).err() << daemon.err();
  EXPECT_EQ(system.ctl({"stop"}).wait(), Exit::code(0));
  auto doctor = system.ctl({"doctor"});
  doctor.wait();
  EXPECT_THAT(doctor.out(), HasSubstr("peaknetd answers on ipc://" + (system.folder() / "run/ctl").string()));
}

TEST(Operation, ADaemonWhoseSocketWasRemovedIsNotCalledAbsentAndBindsAgain) {
  System system(hits());
  auto& daemon = system.start_daemon();
  daemon.stop();  // so that it does not bind again yet
  std::filesystem::remove(system.folder() / "ctl");
  auto asked = system.ctl({"start"});
  EXPECT_EQ(asked.wait(), Exit::code(4));
  EXPECT_THAT(asked.err(), HasSubstr("[control.unreachable]"));
  EXPECT_THAT(asked.err(), HasSubstr("pid " + std::to_string(daemon.pid())));
  EXPECT_THAT(asked.err(), Not(HasSubstr("no peaknetd is running")));
  daemon.signal(SIGCONT);
  EXPECT_TRUE(eventually([&] { return system.ctl({"stop"}).wait() == Exit::code(0); }, std::chrono::seconds(30)));
  auto errors = system.ctl({"errors"});
  errors.wait();
  EXPECT_THAT(errors.out(), HasSubstr("control.socket-removed"));
}

TEST(Operation, WhoSendsNoRequestsToTheControlSocketIsNamedWhereOperatorsLook) {
  System system(hits());
  system.start_daemon();
  const std::string path = (system.folder() / "ctl").string();
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  const UniqueFd stranger(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::connect(stranger.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  const std::string_view words = "GET / HTTP/1.1\r\n\r\n";
  ASSERT_EQ(::send(stranger.get(), words.data(), words.size(), MSG_NOSIGNAL), static_cast<ssize_t>(words.size()));
  const std::string who = "uid " + std::to_string(::geteuid()) + " pid " + std::to_string(::getpid());
  EXPECT_TRUE(eventually([&] {
    auto errors = system.ctl({"errors"});
    errors.wait();
    return errors.out().find("control.bad-peer") != std::string::npos && errors.out().find(who) != std::string::npos;
  }));
}

// What a terminal shows until `enough` is on it, then q is pressed.
std::string on_a_terminal(const std::vector<std::string>& arguments, const std::string& enough, int& status) {
  winsize size{.ws_row = 30, .ws_col = 100, .ws_xpixel = 0, .ws_ypixel = 0};
  int terminal = -1;
  const pid_t child = ::forkpty(&terminal, nullptr, nullptr, &size);
  if (child == 0) {
    std::vector<char*> words;
    for (const auto& word : arguments) words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    ::execv(words[0], words.data());
    ::_exit(127);
  }
  std::string shown;
  bool pressed = false;
  for (pollfd watched{terminal, POLLIN, 0}; ::poll(&watched, 1, 20'000) > 0;) {
    std::array<char, 4096> bytes{};
    const ssize_t read = ::read(terminal, bytes.data(), bytes.size());
    if (read <= 0) break;
    shown.append(bytes.data(), static_cast<std::size_t>(read));
    if (!pressed && shown.find(enough) != std::string::npos) pressed = ::write(terminal, "q", 1) == 1;
  }
  ::waitpid(child, &status, 0);
  ::close(terminal);
  return shown;
}

TEST(Operation, TopFillsATerminalAndGivesItBack) {
  System system(hits());
  system.start_daemon();
  system.start_writer();
  ASSERT_EQ(system.feed({"simulate", "--frames", "5", "--hit-fraction", "1"}).wait(), Exit::code(0));
  int status = -1;
  const std::string shown =
      on_a_terminal({bin_dir() + "/peaknetctl", "--instance", system.instance(), "top", "--every", "100ms"},
                    "wait for a device", status);
  EXPECT_EQ(status, 0);
  EXPECT_THAT(shown, HasSubstr("\x1b[?1049h"));  // a screen of its own
  EXPECT_THAT(shown, HasSubstr(system.instance()));
  EXPECT_THAT(shown, HasSubstr("\x1b[32mRUNNING"));
  EXPECT_THAT(shown, HasSubstr("q1"));
  EXPECT_THAT(shown, HasSubstr("\x1b[?25h\x1b[?1049l"));  // and the old one back
  auto piped = system.ctl({"top"});
  EXPECT_EQ(piped.wait(), Exit::code(1));
  EXPECT_THAT(piped.err(), HasSubstr("[top.no-terminal]"));
}

}  // namespace
}  // namespace peaknet::test
