// peaknetctl against a real control server over a real socket, and against the control segment alone.
#include "ctl/commands.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <mutex>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "control/server.hpp"
#include "control/status_documents.hpp"
#include "ctl/instance_view.hpp"
#include "tests/support/child.hpp"
#include "tests/support/instance.hpp"
#include "tests/unit/control/temp_folder.hpp"

namespace peaknet::ctl {
namespace {

using namespace std::chrono_literals;
using control::Answer;
using control::Request;
using nlohmann::json;
using shm::DaemonState;
using test::must;
using testing::HasSubstr;

struct Shown {
  ExitCode code;
  std::string out, err;
  json document() const { return json::parse(out, nullptr, false); }
};

class CommandsTest : public testing::Test {
 protected:
  CommandsTest() {
    auto& daemon = instance_.layout().daemon;
    daemon.endpoint.store(endpoint());
    daemon.monitor.store("ipc://" + folder_ / "mon");
    daemon.state.store(DaemonState::running);
  }
  std::string endpoint() const { return "ipc://" + folder_ / "ctl"; }
  std::unique_ptr<control::Server> serve(control::Handler handler) const {
    return must(control::Server::listen({endpoint(), "ipc://" + folder_ / "mon", 0660, ""}, std::move(handler)));
  }
  // A daemon that answers as peaknetd does.
  std::unique_ptr<control::Server> serve() {
    return serve([this](const Request& request, Answer answer) {
      {
        const std::lock_guard lock(mutex_);
        asked_ = request.params;
      }
      if (request.method == "stats")
        return answer.send(control::stats_document(instance_.control_segment(), &instance_.pool()));
      if (request.method == "status")
        return answer.send(control::status_document(instance_.control_segment(), &instance_.pool()));
      if (request.method == "start")
        return answer.send(json{{"run", request.params.value("run", "made-up")}, {"state", "running"}});
      if (request.method == "stop") {
        const json stats = control::stats_document(instance_.control_segment(), &instance_.pool());
        return answer.send(json{{"run", "0217"}, {"state", "idle"}, {"took_ms", 1250}, {"frames", stats["frames"]}});
      }
      if (request.method == "rebuffer") {
        return answer.send(
            json{{"before", 3}, {"after", request.params["depth"]}, {"in_flight", 12}, {"lost", 0}, {"took_ms", 4}});
      }
      answer.send(json{{"version", "0.1.0"}, {"commit", "abc"}});
    });
  }
  // What the last request carried.
  json asked() {
    const std::lock_guard lock(mutex_);
    return asked_;
  }
  Shown run(Options options) const {
    if (options.config.empty()) options.instance = instance_.name();
    std::ostringstream out;
    std::ostringstream err;
    const ExitCode code = run_command(options, out, err);
    return {code, out.str(), err.str()};
  }
  static Options command(const std::string& name, bool as_json = false) {
    Options options;
    options.command = name;
    options.json = as_json;
    return options;
  }

  test::TestInstance instance_;
  test::TempFolder folder_;
  std::mutex mutex_;  // the server answers in a thread of its own
  json asked_;
};

TEST_F(CommandsTest, stats_and_status_come_from_the_daemon) {
  const auto server = serve();
  for (const std::string name : {"stats", "status"}) {
    const Shown shown = run(command(name, true));
    EXPECT_EQ(shown.code, ExitCode::ok);
    EXPECT_EQ(shown.document()["schema"], "peaknet." + name + "/1");
    EXPECT_EQ(shown.document()["source"], "daemon");
    EXPECT_EQ(shown.err, "");
    const Shown human = run(command(name));
    EXPECT_EQ(human.code, ExitCode::ok);
    EXPECT_THAT(human.out, HasSubstr("balance OK"));
  }
}

TEST_F(CommandsTest, start_stop_and_rebuffer_say_what_changed) {
  const auto server = serve();
  Options start = command("start");
  EXPECT_EQ(run(start).out, "run made-up has begun. State: running\n");
  EXPECT_EQ(asked(), json::object());  // the server keeps the key to itself
  start.run = "0217";
  EXPECT_EQ(run(start).out, "run 0217 has begun. State: running\n");
  EXPECT_EQ(asked()["run"], "0217");

  const Shown stop = run(command("stop"));
  EXPECT_EQ(stop.code, ExitCode::ok);
  EXPECT_THAT(stop.out, HasSubstr("run 0217 ended (took 1.2 s). State: idle\nframes   committed 0"));
  EXPECT_EQ(asked()["timeout_s"], 120.0);

  Options rebuffer = command("rebuffer");
  rebuffer.depth = 5;
  EXPECT_EQ(run(rebuffer).out, "depth 3 -> 5 in 4.0 ms, 12 frames in flight, 0 lost\n");
  rebuffer.json = true;
  const json receipt = run(rebuffer).document();
  EXPECT_EQ(receipt["schema"], "peaknet.rebuffer/1");
  EXPECT_EQ(receipt["after"], 5);
}

TEST_F(CommandsTest, a_refusal_is_one_paragraph_with_its_id_and_exit_1) {
  const auto server = serve([](const Request&, Answer answer) {
    answer.send(Error{"start.running", "run 0217 is active", "it continues", "peaknetctl stop first"});
  });
  const Shown shown = run(command("start"));
  EXPECT_EQ(shown.code, ExitCode::failed);
  EXPECT_EQ(shown.out, "");
  EXPECT_EQ(shown.err, "error: run 0217 is active\n  it continues\n  try: peaknetctl stop first   [start.running]\n");
  const Shown as_json = run(command("start", true));
  EXPECT_EQ(as_json.document()["schema"], "peaknet.error/1");
  EXPECT_EQ(as_json.document()["error"]["id"], "start.running");
  EXPECT_EQ(as_json.err, shown.err);
}

TEST_F(CommandsTest, when_the_daemon_hangs_the_page_is_shown_with_a_warning_and_exit_4) {
  std::vector<Answer> kept;
  const auto server = serve([&](const Request&, Answer answer) { kept.push_back(std::move(answer)); });
  for (const std::string name : {"stats", "status"}) {
    Options options = command(name, true);
    options.timeout = 100ms;
    const Shown shown = run(options);
    EXPECT_EQ(shown.code, ExitCode::unknown);
    EXPECT_EQ(shown.document()["source"], "segment");
    EXPECT_EQ(shown.document()["schema"], "peaknet." + name + "/1");
    EXPECT_THAT(shown.err,
                HasSubstr("warning: no answer from " + endpoint() + " in 0.1 s; showing the control segment"));
  }
  Options start = command("start");
  start.timeout = 100ms;
  EXPECT_EQ(run(start).code, ExitCode::unknown);
}

TEST_F(CommandsTest, when_the_daemon_is_gone_the_page_is_shown_with_a_warning_and_exit_3) {
  instance_.drop_owner();
  const Shown shown = run(command("status", true));
  EXPECT_EQ(shown.code, ExitCode::not_running);
  EXPECT_EQ(shown.document()["state"], "absent");
  EXPECT_THAT(shown.err, HasSubstr("no peaknetd is running"));
  EXPECT_EQ(run(command("start")).code, ExitCode::not_running);
}

TEST_F(CommandsTest, an_instance_that_is_not_there_is_exit_3) {
  Options options = command("stats", true);
  options.instance = "no_such_instance";
  std::ostringstream out;
  std::ostringstream err;
  EXPECT_EQ(run_command(options, out, err), ExitCode::not_running);
  EXPECT_EQ(json::parse(out.str())["error"]["id"], "control.not-running");
  options.instance = "../etc";
  EXPECT_EQ(run_command(options, out, err), ExitCode::usage);
}

TEST_F(CommandsTest, the_configuration_file_names_the_socket) {
  const auto server = serve();
  const std::string file = folder_ / "mfx.yaml";
  std::ofstream(file) << "instance: " << instance_.name() << "\ncontrol: {endpoint: \"" << endpoint() << "\"}\n";
  Options options = command("status", true);
  options.config = file;
  EXPECT_EQ(run(options).code, ExitCode::ok);
  std::ofstream(file) << "instance: x\nslots: 3\n";
  const Shown wrong = run(options);
  EXPECT_EQ(wrong.code, ExitCode::usage);
  EXPECT_THAT(wrong.err, HasSubstr("(did you mean 'pool.slots'?)"));
}

TEST_F(CommandsTest, who_may_not_control_may_still_look) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become somebody else";
  ::chmod(folder_.path().c_str(), 0755);
  ::chmod(("/dev/shm" + shm::control_segment_name(instance_.name())).c_str(), 0644);
  ::chmod(("/dev/shm" + shm::pool_name(instance_.name(), 1)).c_str(), 0644);
  const auto as_nobody = [&](const Options& options) {
    return test::Child::run([this, options] {
      ::raise(SIGSTOP);
      if (::setgid(65534) != 0 || ::setuid(65534) != 0) return 100;
      return static_cast<int>(run(options).code);
    });
  };
  auto stopping = as_nobody(command("stop"));
  auto looking = as_nobody(command("status"));
  ASSERT_TRUE(stopping.wait_stopped() && looking.wait_stopped());
  const auto server = serve();
  ::chmod((folder_ / "mon").c_str(), 0666);
  stopping.go_on();
  looking.go_on();
  EXPECT_EQ(stopping.wait(), test::Exit::code(static_cast<int>(ExitCode::denied)));
  EXPECT_EQ(looking.wait(), test::Exit::code(0));
}

TEST_F(CommandsTest, wait_for_running_ends_when_the_daemon_runs) {
  instance_.layout().daemon.state.store(DaemonState::starting);
  std::jthread daemon([&] {
    std::this_thread::sleep_for(100ms);
    instance_.layout().daemon.state.store(DaemonState::running);
  });
  Options wait = command("wait", true);
  wait.wait_for = "running";
  const Shown shown = run(wait);
  EXPECT_EQ(shown.code, ExitCode::ok) << shown.err;
  EXPECT_EQ(shown.document()["schema"], "peaknet.wait/1");
  EXPECT_EQ(shown.document()["state"], "running");
}

TEST_F(CommandsTest, wait_for_drained_ends_when_no_frame_is_on_its_way) {
  const auto producer = instance_.producer();
  const auto devices = instance_.consumer(shm::Queue::q1);
  const auto writers = instance_.consumer(shm::Queue::q2);
  Options wait = command("wait");
  wait.wait_for = "drained";
  EXPECT_EQ(run(wait).code, ExitCode::ok);  // nothing came yet
  must(must(producer->claim(1s)).commit());
  wait.wait_timeout = 50ms;
  const auto expect_waiting = [&](const char* where) {
    const Shown shown = run(wait);
    EXPECT_EQ(shown.code, ExitCode::unknown) << where;
    EXPECT_THAT(shown.err, HasSubstr("with 1 frames on their way")) << where;
  };
  expect_waiting("Q1");
  {
    auto taken = devices->take(1);
    expect_waiting("a device");
    must(taken.frames.front().publish(shm::ResultStatus::mask));
  }
  expect_waiting("Q2");
  auto taken = writers->take(1);
  expect_waiting("a writer");
  wait.wait_timeout = 10s;
  std::jthread writer([&] {
    std::this_thread::sleep_for(50ms);
    must(taken.frames.front().finish(shm::Counter::written));
  });
  EXPECT_EQ(run(wait).code, ExitCode::ok);
}

TEST_F(CommandsTest, wait_needs_no_daemon_but_a_dead_one_does_not_run) {
  instance_.drop_owner();
  Options wait = command("wait");
  wait.wait_for = "drained";
  EXPECT_EQ(run(wait).code, ExitCode::ok);
  wait.wait_for = "running";  // as the page still says
  wait.wait_timeout = 50ms;
  const Shown shown = run(wait);
  EXPECT_EQ(shown.code, ExitCode::unknown);
  EXPECT_THAT(shown.err, HasSubstr("it is absent"));
  EXPECT_THAT(shown.err, HasSubstr("[wait.timeout]"));
}

TEST_F(CommandsTest, wait_does_not_wait_for_a_daemon_that_has_failed) {
  instance_.layout().daemon.state.store(DaemonState::failed);
  instance_.layout().daemon.failure.store("every device is lost");
  Options wait = command("wait");
  wait.wait_for = "running";
  const Shown shown = run(wait);
  EXPECT_EQ(shown.code, ExitCode::failed);
  EXPECT_THAT(shown.err, HasSubstr("every device is lost"));
}

TEST_F(CommandsTest, errors_tells_what_went_wrong_also_when_nobody_is_there_any_more) {
  EXPECT_THAT(run(command("errors")).out, HasSubstr("nothing went wrong"));
  instance_.consumer(shm::Queue::q2)
      ->participant()
      .record_error({"output.disk-full", "only 3 B are free", "", "free space"});
  instance_.drop_owner();
  const auto shown = run(command("errors"));
  EXPECT_EQ(shown.code, ExitCode::ok) << shown.err;
  EXPECT_THAT(shown.out, HasSubstr("output.disk-full  1 time since"));
  EXPECT_THAT(shown.out, HasSubstr("only 3 B are free. Try: free space"));
  EXPECT_EQ(run(command("errors", true)).document()["errors"][0]["count"], 1);
}

TEST_F(CommandsTest, instances_lists_what_is_on_this_machine_and_removes_what_nobody_uses) {
  const auto listed = run(command("instances", true)).document()["instances"];
  const auto mine =
      std::find_if(listed.begin(), listed.end(), [&](const json& i) { return i["name"] == instance_.name(); });
  ASSERT_NE(mine, listed.end());
  EXPECT_EQ((*mine)["daemon"], true);
  EXPECT_THAT(run(command("instances")).out, HasSubstr(instance_.name()));

  auto removal = command("instances");
  removal.remove = instance_.name();
  const auto refused = run(removal);
  EXPECT_EQ(refused.code, ExitCode::failed);
  EXPECT_THAT(refused.err, HasSubstr("instance.taken"));
  instance_.drop_owner();
  const auto removed = run(removal);
  EXPECT_EQ(removed.code, ExitCode::ok) << removed.err;
  EXPECT_TRUE(test::shared_memory_of(instance_.name()).empty());
}

TEST_F(CommandsTest, errors_are_readable_while_the_pool_is_damaged) {
  instance_.consumer(shm::Queue::q2)
      ->participant()
      .record_error({"output.disk-full", "only 3 B are free", "", "free space"});
  ASSERT_EQ(::truncate(("/dev/shm" + shm::pool_name(instance_.name(), 1)).c_str(), 4096), 0);
  const auto shown = run(command("errors"));
  EXPECT_EQ(shown.code, ExitCode::ok) << shown.err;
  EXPECT_THAT(shown.out, HasSubstr("output.disk-full"));
  Options wait = command("wait");  // peaknetd replaces the pool
  wait.wait_for = "drained";
  wait.wait_timeout = 50ms;
  EXPECT_THAT(run(wait).err, HasSubstr("[wait.timeout]"));
}

TEST_F(CommandsTest, the_latest_errors_alone_are_shown_where_that_is_asked_for) {
  const auto consumer = instance_.consumer(shm::Queue::q2);
  for (const char* id : {"a.first", "b.second", "c.third"}) consumer->participant().record_error({id, "x", "", ""});
  Options errors = command("errors", true);
  errors.count = 2;
  EXPECT_EQ(run(errors).document()["errors"].size(), 2U);
}

// What a command line that names no instance means is a matter of the environment and of this machine.
TEST_F(CommandsTest, without_a_name_the_environment_says_which_instance_is_meant) {
  const auto with = [&](const char* name) {
    return test::Child::run([&] {
             ::setenv("PEAKNET_INSTANCE", name, 1);
             Options options = command("model", true);
             options.model_action = "show";
             std::ostringstream out, err;
             return static_cast<int>(run_command(options, out, err));
           })
        .wait();
  };
  EXPECT_EQ(with(instance_.name().c_str()), test::Exit::code(0));
  EXPECT_EQ(with("no_such_instance"), test::Exit::code(static_cast<int>(ExitCode::not_running)));
  EXPECT_EQ(with("../etc"), test::Exit::code(static_cast<int>(ExitCode::usage)));
}

TEST_F(CommandsTest, of_several_instances_one_has_to_be_named) {
  ::unsetenv("PEAKNET_INSTANCE");
  const test::TestInstance other;
  const Shown shown = [&] {
    std::ostringstream out, err;
    const ExitCode code = run_command(command("errors"), out, err);
    return Shown{code, out.str(), err.str()};
  }();
  EXPECT_EQ(shown.code, ExitCode::usage);
  EXPECT_THAT(shown.err, HasSubstr("[instance.several]"));
  EXPECT_THAT(shown.err, HasSubstr(instance_.name()));
  EXPECT_THAT(shown.err, HasSubstr(other.name()));
}

TEST_F(CommandsTest, version_works_with_and_without_a_daemon) {
  EXPECT_EQ(run(command("version")).code, ExitCode::ok);
  EXPECT_EQ(run(command("version", true)).document()["daemon_error"], "control.unreachable")
      << "the instance has an owner, but no socket";
  const auto server = serve();
  EXPECT_THAT(run(command("version")).out, HasSubstr("peaknetd   0.1.0 (abc)"));
  EXPECT_EQ(run(command("version", true)).document()["daemon"]["version"], "0.1.0");
}

TEST(ExitCodes, follow_the_error) {
  EXPECT_EQ(exit_code("control.daemon-gone"), ExitCode::unknown);
  EXPECT_EQ(exit_code("shm.denied"), ExitCode::denied);
  EXPECT_EQ(exit_code("directory.other-version"), ExitCode::version);
  EXPECT_EQ(exit_code("pool.other-version"), ExitCode::version);
  EXPECT_EQ(exit_code("config.unknown-key"), ExitCode::usage);
  EXPECT_EQ(exit_code("stop.timeout"), ExitCode::failed);
  EXPECT_EQ(exit_code("an.id-of-another-version"), ExitCode::failed);
}

TEST(InstanceView, names_the_instance_that_was_meant) {
  const test::TestInstance instance;
  const auto page = InstanceView::open_control_segment(instance.name() + "x");
  ASSERT_FALSE(page);
  EXPECT_EQ(page.error().id, "shm.absent");
  EXPECT_THAT(page.error().what, HasSubstr("did you mean 'test-"));
}

}  // namespace
}  // namespace peaknet::ctl
