// What an operator does beside start and stop, with the real programs.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <sstream>
#include <string_view>
#include <thread>
#include <utility>

#include "base/accounts.hpp"
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

TEST(Operation, ARunHasTheNumberProposalAndTextThatItsStartWasGiven) {
  System system(hits());
  system.start_daemon();
  system.start_writer();
  ASSERT_EQ(system.ctl({"stop"}).wait(), Exit::code(0));
  const std::vector<std::string> start = {"start",       "--run-number", "217",  "--proposal",
                                          "mfxl1038923", "--user",       "jet 2"};
  ASSERT_EQ(system.ctl(start).wait(), Exit::code(0));
  const auto said = [&](const nlohmann::json& run) {
    return run.value("run_number", -1) == 217 && run.value("proposal", "") == "mfxl1038923" &&
           run.value("user", "") == "jet 2";
  };
  const auto stats = system.stats();
  EXPECT_TRUE(said(stats)) << stats.dump();
  auto shown = system.ctl({"status"});
  ASSERT_EQ(shown.wait(), Exit::code(0));
  EXPECT_THAT(shown.out(), HasSubstr("number 217"));
  EXPECT_THAT(shown.out(), HasSubstr("proposal mfxl1038923"));
  auto again = start;
  again.insert(again.end(), {"--run", stats.at("run")});
  EXPECT_EQ(system.ctl(again).wait(), Exit::code(0)) << "the same request once more";
  again[2] = "218";
  EXPECT_EQ(system.ctl(again).wait(), Exit::code(1)) << "another run than the one that is active";
  system.daemon().kill();
  system.start_daemon();
  EXPECT_TRUE(said(system.stats())) << "the run goes on with what was said of it";
  ASSERT_EQ(system.ctl({"stop"}).wait(), Exit::code(0));
  ASSERT_EQ(system.ctl({"start"}).wait(), Exit::code(0));
  EXPECT_FALSE(system.stats().contains("run_number")) << "the next run is another";
  auto refused = system.ctl({"start", "--proposal", "../x"});
  EXPECT_EQ(refused.wait(), Exit::code(1));
  EXPECT_THAT(refused.err(), HasSubstr("[start.bad-proposal]"));
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

// Two panels that stand upright in the grid lie in one flat row on the detector. The instance is named alone: its
// daemon says what it works with.
TEST(Operation, ViewShowsPanelsWhereTheGeometryHasThem) {
  const auto height_of_picture = [](const std::string& output) {
    auto options = hits();
    options.shape = "[2,128,64]";
    System system(options);
    std::ofstream(system.folder() / "two.geom")
        << "data = /entry_1/data_1/data\ndim0 = %\ndim1 = ss\ndim2 = fs\nfs = +y\nss = -x\n"
           "a/min_fs = 0\na/max_fs = 63\na/min_ss = 0\na/max_ss = 127\na/corner_x = -4\na/corner_y = -32\n"
           "b/min_fs = 0\nb/max_fs = 63\nb/min_ss = 128\nb/max_ss = 255\nb/corner_x = 132\nb/corner_y = -32\n";
    std::ostringstream config;
    config << std::ifstream(system.config()).rdbuf();
    std::string text = config.str();
    text.replace(text.find("dir: out"), 8, output);
    std::ofstream(system.config()) << text;
    system.start_daemon();
    EXPECT_EQ(system.feed({"simulate", "--frames", "9", "--hit-fraction", "1"}).wait(), Exit::code(0));
    const auto png = system.folder() / "hit.png";
    auto view = Child::start({bin_dir() + "/peaknetctl", "--instance", system.instance(), "view", "-o", png.string()});
    EXPECT_EQ(view.wait(), Exit::code(0)) << view.err();
    std::ifstream file(png, std::ios::binary);
    std::array<unsigned char, 24> head{};
    file.read(reinterpret_cast<char*>(head.data()), head.size());
    return head[20] << 24 | head[21] << 16 | head[22] << 8 | head[23];
  };
  EXPECT_GT(height_of_picture("dir: out"), height_of_picture("dir: out, geometry: two.geom"));
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

TEST(Operation, AConfigurationThatWasSpoiltMeanwhileTakesNobodyTheControl) {
  System system(hits());
  auto& daemon = system.start_daemon();
  std::ofstream(system.config(), std::ios::app) << "odd: 3\n";
  auto by_file = system.ctl({"stop"});
  EXPECT_EQ(by_file.wait(), Exit::code(2));
  EXPECT_THAT(by_file.err(), HasSubstr("--instance NAME"));
  EXPECT_EQ(system.ctl({"reload"}).wait(), Exit::code(2));
  EXPECT_TRUE(daemon.running());
  auto by_name = Child::start({bin_dir() + "/peaknetctl", "--instance", system.instance(), "stop"});
  EXPECT_EQ(by_name.wait(), Exit::code(0)) << by_name.err();
}

TEST(Operation, DoctorJudgesWhatTheDaemonWorksWithAndNeverTheDefaults) {
  System system(hits());
  auto& daemon = system.start_daemon();
  const std::vector<std::string> by_name = {bin_dir() + "/peaknetctl", "--instance", system.instance(), "doctor"};
  auto doctor = Child::start(by_name);
  doctor.wait();
  EXPECT_THAT(doctor.out(), HasSubstr("builtin:threshold=150")) << doctor.err();
  EXPECT_THAT(doctor.out(), Not(HasSubstr("model.path is not set")));
  daemon.kill();
  auto nobody = Child::start(by_name);
  EXPECT_EQ(nobody.wait(), Exit::code(3)) << nobody.out();
  EXPECT_THAT(nobody.err(), HasSubstr("peaknetctl --config FILE doctor"));
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
  const std::string who = with_user_names("uid " + std::to_string(::geteuid())) + " pid " + std::to_string(::getpid());
  EXPECT_TRUE(eventually([&] {
    auto errors = system.ctl({"errors"});
    errors.wait();
    const std::string text = std::regex_replace(errors.out(), std::regex("\\s+"), " ");
    return text.find("control.bad-peer") != std::string::npos && text.find(who) != std::string::npos;
  })) << who;
}

// A program on a terminal of its own.
class OnATerminal {
 public:
  explicit OnATerminal(const std::vector<std::string>& arguments, const char* kind = "xterm") {
    winsize size{.ws_row = 30, .ws_col = 100, .ws_xpixel = 0, .ws_ypixel = 0};
    child_ = ::forkpty(&terminal_, nullptr, nullptr, &size);
    if (child_ != 0) return;
    ::setenv("TERM", kind, 1);
    ::unsetenv("NO_COLOR");
    std::vector<char*> words;
    for (const auto& word : arguments) words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    ::execv(words[0], words.data());
    ::_exit(127);
  }
  ~OnATerminal() {
    if (child_ > 0) ::kill(child_, SIGKILL);
    if (child_ > 0) ::waitpid(child_, nullptr, 0);
    ::close(terminal_);
  }
  OnATerminal(const OnATerminal&) = delete;
  OnATerminal& operator=(const OnATerminal&) = delete;

  // Does this come? Looks on from where the last call found something.
  bool shows(const std::string& text) {
    for (pollfd watched{terminal_, POLLIN, 0};;) {
      if (const auto at = shown_.find(text, seen_); at != std::string::npos) {
        seen_ = at + text.size();
        return true;
      }
      std::array<char, 4096> bytes{};
      if (::poll(&watched, 1, 20'000) <= 0) {
        silent_ = true;
        return false;
      }
      const ssize_t size = ::read(terminal_, bytes.data(), bytes.size());
      if (size <= 0) return false;
      shown_.append(bytes.data(), static_cast<std::size_t>(size));
    }
  }
  void press(const std::string& key) { EXPECT_EQ(::write(terminal_, key.data(), key.size()), std::ssize(key)); }
  void resize(unsigned short columns, unsigned short rows) {
    const winsize size{.ws_row = rows, .ws_col = columns, .ws_xpixel = 0, .ws_ypixel = 0};
    ::ioctl(terminal_, TIOCSWINSZ, &size);
  }
  // To the end of its output.
  int wait() {
    while (shows(std::string(1, '\0'))) {
    }
    if (silent_) {
      ADD_FAILURE() << "it neither ends nor shows more: " << shown_;
      ::kill(child_, SIGKILL);
    }
    int status = -1;
    ::waitpid(std::exchange(child_, 0), &status, 0);
    return status;
  }
  const std::string& shown() const { return shown_; }

 private:
  int terminal_ = -1;
  pid_t child_ = 0;
  std::string shown_;
  std::size_t seen_ = 0;
  bool silent_ = false;  // for 20 s, while something was wanted
};

TEST(Operation, TopFillsATerminalAndGivesItBack) {
  System system(hits());
  system.start_daemon();
  system.start_writer();
  ASSERT_EQ(system.feed({"simulate", "--frames", "5", "--hit-fraction", "1"}).wait(), Exit::code(0));
  OnATerminal top({bin_dir() + "/peaknetctl", "--instance", system.instance(), "top", "--every", "100ms"});
  EXPECT_TRUE(top.shows("waiting for a device"));
  top.press("q");
  EXPECT_EQ(top.wait(), 0);
  EXPECT_THAT(top.shown(), HasSubstr("\x1b[?1049h"));  // a screen of its own
  EXPECT_THAT(top.shown(), HasSubstr(system.instance()));
  EXPECT_THAT(top.shown(), HasSubstr("\x1b[32mRUNNING"));
  EXPECT_THAT(top.shown(), HasSubstr("q1"));
  EXPECT_THAT(top.shown(), HasSubstr("\x1b[?25h\x1b[?1049l"));  // and the old one back
  auto piped = system.ctl({"top"});
  EXPECT_EQ(piped.wait(), Exit::code(1));
  EXPECT_THAT(piped.err(), HasSubstr("[top.no-terminal]"));
  OnATerminal dumb({bin_dir() + "/peaknetctl", "--instance", system.instance(), "top"}, "dumb");
  EXPECT_TRUE(dumb.shows("[top.no-terminal]"));
}

// Keys and windows are answered at once, not at the next look.
TEST(Operation, TopHasPagesForKeysAndFollowsTheWindow) {
  System system(hits());
  system.start_daemon();
  system.start_writer();
  OnATerminal top({bin_dir() + "/peaknetctl", "--instance", system.instance(), "top", "--every", "1h"});
  EXPECT_TRUE(top.shows("waiting for a device"));
  EXPECT_TRUE(top.shows("q quit"));
  top.press("w");
  EXPECT_TRUE(top.shows("FILTERED"));
  top.press("e");
  EXPECT_TRUE(top.shows("nothing went wrong"));
  top.press("h");
  EXPECT_TRUE(top.shows("Keys"));
  top.press("o");
  EXPECT_TRUE(top.shows("being written to disk")) << "the overview's alone; the help speaks of devices too";
  top.resize(30, 10);
  EXPECT_TRUE(top.shows("q h o d p w e(0)")) << "the foot of a narrow window";
  top.press("d\x1b[Beq");  // typed faster than drawn: none is lost
  EXPECT_EQ(top.wait(), 0);
}

TEST(Operation, AStopThatDrainsSaysSoOnATerminalAndNowhereElse) {
  System system(hits());
  system.start_daemon();
  system.start_writer().stop();
  ASSERT_EQ(system.feed({"simulate", "--frames", "20", "--hit-fraction", "1"}).wait(), Exit::code(0));
  OnATerminal stop({bin_dir() + "/peaknetctl", "--instance", system.instance(), "stop", "--timeout", "60s"});
  EXPECT_TRUE(stop.shows("draining: 20 of 20 frames left"));  // the writer stands still
  system.writer().go_on();
  EXPECT_EQ(stop.wait(), 0);
  EXPECT_THAT(stop.shown(), HasSubstr(" ended (took "));
  ASSERT_EQ(system.ctl({"start"}).wait(), Exit::code(0));
  auto piped = system.ctl({"stop"});
  EXPECT_EQ(piped.wait(), Exit::code(0));
  EXPECT_EQ(piped.err(), "");
}

TEST(Operation, AFeedThatWaitsSaysWhyAndRefusesNothing) {
  System system(hits());
  system.start_daemon();
  system.start_writer();
  ASSERT_EQ(system.ctl({"stop"}).wait(), Exit::code(0));
  auto feed = system.launch("peaknet-feed", {"simulate", "--frames", "100", "--hit-fraction", "1"});
  ASSERT_TRUE(eventually([&] { return feed.err().find("waiting for a free slot") != std::string::npos; },
                         std::chrono::seconds(60)))
      << feed.err();
  EXPECT_THAT(feed.err(), HasSubstr("no run is active"));
  EXPECT_THAT(feed.err(), HasSubstr("peaknetctl start"));
  const auto stats = system.stats();
  EXPECT_EQ(stats.at("lifetime").at("refused").at("pool_full"), 0);
  EXPECT_EQ(stats.at("producers").at(0).at("refused"), 0);
  EXPECT_GT(stats.at("producers").at(0).at("blocked_ns"), 1'000'000'000) << "counted while it waits";
  ASSERT_EQ(system.ctl({"start"}).wait(), Exit::code(0));
  EXPECT_EQ(feed.wait(), Exit::code(0)) << feed.err();
  EXPECT_THAT(feed.err(), HasSubstr("there is a free slot again"));
  EXPECT_THAT(feed.err(), HasSubstr("100 frames committed, 0 refused"));
}

TEST(Operation, AnAuditProvesTheRunThatEndedWhileTheDetectorGoesOn) {
  System system(hits());
  system.start_daemon();
  system.start_writer();
  auto feed =
      system.launch("peaknet-feed", {"simulate", "--frames", "100000", "--rate", "200", "--hit-fraction", "0.5"});
  ASSERT_TRUE(eventually([&] { return system.stats().at("frames").at("written") > 20; }, std::chrono::seconds(60)));
  ASSERT_EQ(system.ctl({"stop"}).wait(), Exit::code(0));
  ASSERT_TRUE(eventually([&] { return system.stats().at("queues").at("q1") > 0; }, std::chrono::seconds(60)));
  auto audit = system.ctl({"audit", system.output().string()});
  EXPECT_EQ(audit.wait(), Exit::code(0)) << audit.out() << audit.err();
  EXPECT_THAT(audit.out(), HasSubstr("proved"));
  // The writer's last word comes from an instance in which frames wait.
  system.writer().signal(SIGTERM);
  EXPECT_EQ(system.writer().wait(), Exit::code(0)) << system.writer().err();
  auto later = system.ctl({"audit", system.output().string()});
  EXPECT_EQ(later.wait(), Exit::code(0)) << later.out() << later.err();
  EXPECT_THAT(later.out(), HasSubstr("proved: every frame of the ended runs"));
  feed.kill();
}

}  // namespace
}  // namespace peaknet::test
