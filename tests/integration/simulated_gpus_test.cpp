// A whole node on simulated GPUs (tests/gpusim): the programs as they are, on devices that break down, hang and are
// killed with their daemon. Each frame is once in the files, the audit proves it, and the masks are those of the
// processor bit for bit.
#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "shm/consumer.hpp"
#include "tests/integration/system.hpp"
#include "tests/integration/verdict.hpp"
#include "tests/support/instance.hpp"

namespace peaknet::test {
namespace {

constexpr int kExitFindings = 99;  // tests/gpusim/findings.hpp

std::vector<std::string> on_gpusim(const std::vector<std::string>& more = {}) {
  std::vector<std::string> environment = {"LD_PRELOAD=" PEAKNET_GPUSIM, "GPUSIM_KERNELS=" PEAKNET_GPUSIM_KERNELS,
                                          "GPUSIM_DEVICES=2"};
  environment.insert(environment.end(), more.begin(), more.end());
  return environment;
}

// Words that are not full, several panels, and padding on all sides.
System::Options some_system() { return {.model = "builtin:threshold=500", .shape = "[2,70,90]", .slots = 24}; }
const std::vector<std::string> kTwoGpus = {"engine.devices=[cuda:0, cuda:1]", "engine.stuck_seconds=2",
                                           "preprocess.multiple=16", "preprocess.pad=center"};

class SimulatedGpus : public ::testing::Test {
 protected:
  System system{some_system()};

  void feed(unsigned frames) const {
    auto fed = system.feed({"simulate", "--frames", std::to_string(frames), "--hit-fraction", "0.5"});
    EXPECT_EQ(fed.wait(), Exit::code(0)) << fed.err();
  }
  Child begin_feeding(unsigned frames) const {
    return system.launch("peaknet-feed", {"simulate", "--frames", std::to_string(frames), "--hit-fraction", "0.5"});
  }
  std::string state_of_device(std::size_t index) const { return system.stats().at("devices").at(index).at("state"); }
  bool comes_to(std::size_t device, const std::string& state) const {
    return eventually([&] { return state_of_device(device) == state; }, std::chrono::seconds(30));
  }
  std::uint64_t inferred() const { return system.stats().at("lifetime").at("inferred"); }

  // After a stop: the frame accounting balances, and the files alone prove where each frame is.
  void expect_each_frame_once(std::uint64_t frames) {
    auto stopped = system.ctl({"stop", "--timeout", "60s"});
    EXPECT_EQ(stopped.wait(), Exit::code(0)) << stopped.err();
    const auto stats = system.stats();
    EXPECT_EQ(stats.at("lifetime").at("committed"), frames);
    EXPECT_EQ(stats.at("lifetime").at("in_flight"), 0);
    EXPECT_EQ(stats.at("lifetime").at("imbalance"), 0);
    for (const auto& [key, times] : system.frames_in_files()) EXPECT_EQ(times, 1) << key.first << ":" << key.second;
    auto audit = system.ctl({"audit", system.output().string()});
    EXPECT_EQ(audit.wait(), Exit::code(0)) << audit.out() << audit.err();
  }
  void end_without_findings(Child& daemon) const {
    daemon.signal(SIGTERM);
    const auto end = daemon.wait();
    EXPECT_NE(end, Exit::code(kExitFindings)) << daemon.err();
    EXPECT_EQ(daemon.err().find("gpusim: FINDING"), std::string::npos) << daemon.err();
  }
  // All results, taken as a writer would: the masks by event.
  std::map<std::uint64_t, std::vector<std::uint64_t>> masks(std::size_t count) const {
    auto writer = must(shm::Consumer::attach(system.instance(), shm::Queue::q2, "test"));
    std::map<std::uint64_t, std::vector<std::uint64_t>> all;
    while (all.size() < count) {
      auto taken = writer->take(count);
      for (auto& frame : taken.frames) {
        all[frame.descriptor().event_id] = {frame.mask().begin(), frame.mask().end()};
        must(frame.finish(shm::Counter::written));
      }
      if (taken.frames.empty()) writer->wait_for_work(shm::kWaitSlice);
    }
    return all;
  }
};

TEST_F(SimulatedGpus, mask_what_the_processor_masks_bit_for_bit) {
  constexpr std::size_t kFrames = 120;
  const auto run = [&](const std::vector<std::string>& set, const std::vector<std::string>& environment) {
    auto& daemon = system.start_daemon(set, environment);
    auto feeding = begin_feeding(kFrames);
    auto found = masks(kFrames);
    EXPECT_EQ(feeding.wait(), Exit::code(0)) << feeding.err();
    end_without_findings(daemon);
    return found;
  };
  auto set = kTwoGpus;
  const auto on_gpus = run(set, on_gpusim());
  set.front() = "engine.devices=cpu";
  const auto on_cpu = run(set, {});
  EXPECT_EQ(on_gpus, on_cpu);
  std::size_t marked = 0;
  for (const auto& [event, mask] : on_cpu) marked += mask != std::vector<std::uint64_t>(mask.size(), 0) ? 1 : 0;
  EXPECT_GT(marked, kFrames / 4) << "masks that are all empty would prove nothing";
}

TEST_F(SimulatedGpus, put_each_frame_into_the_files_once_and_both_work) {
  auto& daemon = system.start_daemon(kTwoGpus, on_gpusim());
  system.start_writer();
  feed(400);
  expect_each_frame_once(400);
  const auto devices = system.stats().at("devices");
  ASSERT_EQ(devices.size(), 2U);
  for (const auto& device : devices) {
    EXPECT_GT(device.at("frames"), 20) << devices.dump(2);
    EXPECT_EQ(device.at("h2d_mode"), "registered");
    EXPECT_NE(device.at("graphs").get<std::string>().find("replayed"), std::string::npos) << devices.dump(2);
  }
  end_without_findings(daemon);
}

TEST_F(SimulatedGpus, lose_nothing_when_the_daemon_is_killed_with_frames_on_them) {
  auto& first = system.start_daemon(kTwoGpus, on_gpusim());
  system.start_writer();
  auto feeding = begin_feeding(600);
  ASSERT_TRUE(eventually([&] { return inferred() >= 150; }, std::chrono::seconds(60)));
  first.kill();
  auto& second = system.start_daemon(kTwoGpus, on_gpusim({"GPUSIM_SEED=2"}));
  ASSERT_EQ(feeding.wait(), Exit::code(0)) << feeding.err();
  expect_each_frame_once(600);
  end_without_findings(second);
}

TEST_F(SimulatedGpus, leave_the_frames_of_one_that_breaks_down_to_the_other) {
  auto& daemon = system.start_daemon(kTwoGpus, on_gpusim({"GPUSIM_STICKY_AT=threshold:60"}));
  system.start_writer();
  feed(400);
  expect_each_frame_once(400);
  const auto devices = system.stats().at("devices");
  const bool first = devices.at(0).at("state") == "lost";
  EXPECT_EQ(devices.at(first ? 1 : 0).at("state"), "ready") << devices.dump(2);
  EXPECT_EQ(devices.at(first ? 0 : 1).at("state"), "lost") << devices.dump(2);
  EXPECT_NE(devices.at(first ? 0 : 1).at("error").get<std::string>().find("device.lost"), std::string::npos);
  end_without_findings(daemon);
}

// What a hung device holds comes back with the end of its process, and not before: it may still write there.
TEST_F(SimulatedGpus, give_back_what_one_holds_that_hangs_in_a_batch_when_the_daemon_ends) {
  auto& first = system.start_daemon(kTwoGpus, on_gpusim({"GPUSIM_HANG_AT=threshold:60", "GPUSIM_EXIT_WAITS=1"}));
  system.start_writer();
  feed(400);
  ASSERT_TRUE(comes_to(0, "lost") || comes_to(1, "lost")) << system.stats().at("devices").dump(2);
  ASSERT_TRUE(eventually([&] { return inferred() >= 380; }, std::chrono::seconds(60)));
  EXPECT_GT(system.stats().at("lifetime").at("in_flight"), 0);
  first.signal(SIGTERM);
  ASSERT_TRUE(first.wait_for(std::chrono::seconds(30)).has_value()) << "a hung device keeps the daemon from ending";
  EXPECT_EQ(first.err().find("gpusim: FINDING"), std::string::npos) << first.err();
  auto& second = system.start_daemon(kTwoGpus, on_gpusim());
  expect_each_frame_once(400);
  end_without_findings(second);
}

TEST_F(SimulatedGpus, go_on_without_one_that_hangs_in_its_warm_up) {
  auto& daemon = system.start_daemon(kTwoGpus, on_gpusim({"GPUSIM_HANG_AT=threshold:1", "GPUSIM_EXIT_WAITS=1"}));
  system.start_writer();
  feed(200);
  expect_each_frame_once(200);
  const auto devices = system.stats().at("devices");
  const std::size_t hung = devices.at(0).at("state") == "lost" ? 0 : 1;
  EXPECT_NE(devices.at(hung).at("error").get<std::string>().find("device.stuck"), std::string::npos) << devices.dump(2);
  daemon.signal(SIGTERM);
  ASSERT_TRUE(daemon.wait_for(std::chrono::seconds(30)).has_value()) << "a hung device keeps the daemon from ending";
  EXPECT_EQ(daemon.err().find("gpusim: FINDING"), std::string::npos) << daemon.err();
}

// A thread that stands in the driver can neither say so nor end, and exit() would wait for it, as for all that hangs.
TEST_F(SimulatedGpus, go_on_without_one_whose_driver_does_not_come_back_from_a_copy) {
  auto set = kTwoGpus;
  set[1] = "engine.stuck_seconds=1";
  auto& first = system.start_daemon(set, on_gpusim({"GPUSIM_BLOCK_AT=device 1: a copy:120", "GPUSIM_EXIT_WAITS=1"}));
  system.start_writer();
  feed(400);
  ASSERT_TRUE(comes_to(1, "lost")) << system.stats().at("devices").dump(2);
  const std::string error = system.stats().at("devices").at(1).at("error");
  EXPECT_NE(error.find("cuda:1: a call of the driver (a"), std::string::npos) << error;
  EXPECT_NE(error.find("load) has not returned for"), std::string::npos) << error;
  EXPECT_NE(error.find("[device.stuck]"), std::string::npos) << error;
  ASSERT_TRUE(eventually([&] { return inferred() >= 380; }, std::chrono::seconds(60)));
  EXPECT_GT(system.stats().at("lifetime").at("in_flight"), 0);
  const Verdict verdict = verdict_of(system);
  print_row("one device lost", verdict);
  EXPECT_EQ(verdict.word, "degraded") << verdict.first;
  EXPECT_EQ(verdict.exit, Exit::code(7));
  EXPECT_TRUE(verdict.has("health.device-lost"));
  EXPECT_NE(verdict.first.find("cuda:1"), std::string::npos) << verdict.first;
  first.signal(SIGTERM);
  const auto end = first.wait_for(std::chrono::seconds(60));
  ASSERT_TRUE(end.has_value()) << "a driver that hangs keeps the daemon from ending";
  EXPECT_EQ(*end, Exit::code(0)) << first.err();
  EXPECT_EQ(first.err().find("gpusim: FINDING"), std::string::npos) << first.err();
  auto& second = system.start_daemon(kTwoGpus, on_gpusim());
  expect_each_frame_once(400);
  end_without_findings(second);
}

TEST_F(SimulatedGpus, go_on_without_one_whose_driver_hangs_while_it_is_opened) {
  auto set = kTwoGpus;
  set[1] = "engine.stuck_seconds=1";
  auto& daemon =
      system.start_daemon(set, on_gpusim({"GPUSIM_BLOCK_AT=device 0: cudaHostAlloc:1", "GPUSIM_EXIT_WAITS=1"}));
  system.start_writer();
  feed(100);
  expect_each_frame_once(100);
  const auto hung = system.stats().at("devices").at(0);
  EXPECT_EQ(hung.at("name"), "cuda:0");
  EXPECT_EQ(hung.at("state"), "lost");
  EXPECT_NE(hung.at("error").get<std::string>().find("(making the device)"), std::string::npos) << hung.dump(2);
  daemon.signal(SIGTERM);
  const auto end = daemon.wait_for(std::chrono::seconds(60));
  ASSERT_TRUE(end.has_value()) << "a driver that hangs keeps the daemon from ending";
  EXPECT_EQ(*end, Exit::code(0)) << daemon.err();
}

TEST_F(SimulatedGpus, that_all_hang_in_their_driver_end_the_daemon_with_the_code_that_restarts_it) {
  auto set = kTwoGpus;
  set[1] = "engine.stuck_seconds=1";
  auto& first = system.start_daemon(
      set, on_gpusim({"GPUSIM_BLOCK_AT=cudaEventQuery:60", "GPUSIM_EXIT_WAITS=1", "GPUSIM_STICKY_AT=threshold:100"}));
  system.start_writer();
  auto feeding = begin_feeding(300);
  const auto end = first.wait_for(std::chrono::seconds(90));
  ASSERT_TRUE(end.has_value()) << "a driver that hangs keeps the daemon from ending";
  EXPECT_EQ(*end, Exit::code(70)) << first.err();
  auto& second = system.start_daemon(kTwoGpus, on_gpusim());
  ASSERT_EQ(feeding.wait(), Exit::code(0)) << feeding.err();
  expect_each_frame_once(300);
  end_without_findings(second);
}

TEST_F(SimulatedGpus, whose_driver_does_not_work_do_not_pass_for_none) {
  for (const char* what : {"--check", "tune", "run"}) {
    std::vector<std::string> arguments;
    if (what != std::string("run")) arguments.emplace_back(what);
    auto daemon = system.launch("peaknetd", arguments, {"engine.devices=auto"}, on_gpusim({"GPUSIM_COUNT_ERROR=802"}));
    EXPECT_EQ(daemon.wait(), Exit::code(78)) << what << ": " << daemon.out() << daemon.err();
    EXPECT_NE(daemon.err().find("(802)"), std::string::npos) << daemon.err();
    EXPECT_NE(daemon.err().find("nvidia-fabricmanager"), std::string::npos) << daemon.err();
    EXPECT_NE(daemon.err().find("[device.driver]"), std::string::npos) << daemon.err();
  }
  auto none = system.launch("peaknetd", {"--check"}, {"engine.devices=auto"}, on_gpusim({"GPUSIM_COUNT_ERROR=100"}));
  EXPECT_EQ(none.wait(), Exit::code(0)) << none.err();
}

TEST_F(SimulatedGpus, are_tuned_each_alone_and_both_at_once_from_registered_shared_memory) {
  auto set = kTwoGpus;
  set.insert(set.end(), {"engine.batch=1", "pool.shape=[1,16,16]"});
  auto tune = system.launch("peaknetd", {"tune", "--json"}, set, on_gpusim({"GPUSIM_DELAY_US=1"}));
  ASSERT_EQ(tune.wait(), Exit::code(0)) << tune.err();
  const auto document = nlohmann::json::parse(tune.out());
  EXPECT_EQ(document.at("memory").at("kind"), "shared");
  ASSERT_EQ(document.at("devices").size(), 2U);
  for (const auto& device : document.at("devices")) {
    EXPECT_EQ(device.at("h2d_mode"), "registered");
    EXPECT_EQ(device.at("detour"), "");
    EXPECT_FALSE(device.at("batches").at(0).contains("detour_ms"));
    EXPECT_EQ(device.at("batches").at(0).at("speed_up").size(), 3U);
  }
  const auto& at_once = document.at("at_once").at("batches").at(0);
  EXPECT_EQ(at_once.at("devices").at(0).at("device"), "cuda:0");
  EXPECT_EQ(at_once.at("devices").at(1).at("device"), "cuda:1");
}

TEST_F(SimulatedGpus, are_told_by_tune_what_a_slower_way_of_their_images_costs) {
  auto tune =
      system.launch("peaknetd", {"tune", "--json"}, {"engine.devices=cuda:0", "engine.batch=1", "pool.shape=[1,16,16]"},
                    on_gpusim({"GPUSIM_NO_REGISTER=1", "GPUSIM_DELAY_US=1"}));
  ASSERT_EQ(tune.wait(), Exit::code(0)) << tune.err();
  const auto document = nlohmann::json::parse(tune.out());
  const auto& device = document.at("devices").at(0);
  EXPECT_EQ(device.at("h2d_mode"), "staged");
  EXPECT_NE(device.at("detour").get<std::string>().find("(801)"), std::string::npos);
  EXPECT_GT(device.at("batches").at(0).at("detour_ms").at("upload"), 0);
  EXPECT_GT(device.at("batches").at(0).at("detour_ms").at("straight_upload"), 0);
}

TEST_F(SimulatedGpus, that_hang_end_a_tune_with_what_was_measured) {
  auto set = kTwoGpus;
  set.insert(set.end(), {"engine.batch=1", "engine.stuck_seconds=1", "pool.shape=[1,16,16]"});
  for (const char* at : {"threshold:1", "threshold:40"}) {
    auto tune = system.launch("peaknetd", {"tune", "--json"}, set, on_gpusim({std::string("GPUSIM_HANG_AT=") + at}));
    const auto end = tune.wait_for(std::chrono::seconds(60));
    ASSERT_TRUE(end.has_value()) << at << ": it waits for ever";
    EXPECT_EQ(*end, Exit::code(70)) << tune.err();
    EXPECT_NE(tune.err().find("[device.stuck]"), std::string::npos) << tune.err();
    EXPECT_NE(tune.err().find("may still touch"), std::string::npos) << tune.err();
    EXPECT_EQ(tune.err().find("gpusim: FINDING"), std::string::npos) << tune.err();
    EXPECT_FALSE(nlohmann::json::parse(tune.out()).at("complete"));
  }
}

// Somewhere in another shape's trial, or in the warm-up of the engine for it: wherever that is, the answer comes and
// the daemon ends when asked.
TEST_F(SimulatedGpus, that_hang_in_a_change_of_the_shape_keep_nobody_waiting) {
  const std::vector<std::string> set = {"engine.devices=cuda:0", "engine.stuck_seconds=1", "engine.batch=1"};
  for (const char* at : {"threshold:6", "threshold:7"}) {
    SCOPED_TRACE(at);
    auto& daemon = system.start_daemon(set, on_gpusim({std::string("GPUSIM_HANG_AT=") + at}));
    auto changed = system.launch("peaknetctl", {"rebuffer", "--shape", "2,32,32"});
    EXPECT_TRUE(changed.wait_for(std::chrono::seconds(60)).has_value()) << "there is no answer";
    EXPECT_NE(changed.out() + changed.err(), "");
    daemon.signal(SIGTERM);
    ASSERT_TRUE(daemon.wait_for(std::chrono::seconds(30)).has_value()) << daemon.err();
    EXPECT_NE(daemon.err().find("device.stuck"), std::string::npos) << daemon.err();
  }
}

TEST_F(SimulatedGpus, say_why_their_images_go_a_slower_way) {
  auto& daemon = system.start_daemon(kTwoGpus, on_gpusim({"GPUSIM_NO_REGISTER=1"}));
  system.start_writer();
  feed(60);
  expect_each_frame_once(60);
  for (const auto& device : system.stats().at("devices")) EXPECT_EQ(device.at("h2d_mode"), "staged");
  auto errors = system.ctl({"errors"});
  EXPECT_EQ(errors.wait(), Exit::code(0)) << errors.err();
  for (const char* part : {"device.not-registered  2 times", "cuda:", "(801)", "LimitMEMLOCK"})
    EXPECT_NE(errors.out().find(part), std::string::npos) << part << " is not in " << errors.out();
  end_without_findings(daemon);
}

TEST_F(SimulatedGpus, are_refused_where_nothing_can_be_pinned_or_they_are_too_old) {
  for (const auto& [fault, id] : {std::pair{"GPUSIM_NO_PINNED=1", "[device.no-pinned-memory]"},
                                  std::pair{"GPUSIM_CAPABILITY=75", "[device.too-old]"}}) {
    auto daemon = system.launch("peaknetd", {}, kTwoGpus, on_gpusim({fault}));
    EXPECT_EQ(daemon.wait(), Exit::code(78)) << daemon.err();
    EXPECT_NE(daemon.err().find(id), std::string::npos) << daemon.err();
  }
}

}  // namespace
}  // namespace peaknet::test
