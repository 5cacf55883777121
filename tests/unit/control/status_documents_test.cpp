#include "control/status_documents.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>

#include "control/protocol.hpp"
#include "shm/clock.hpp"
#include "shm/liveness.hpp"
#include "shm/run_facts.hpp"
#include "tests/support/child.hpp"
#include "tests/support/instance.hpp"

namespace peaknet::control {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using shm::Counter;
using shm::DaemonState;
using shm::Queue;
using test::must;
using test::small_frames;
using test::TestInstance;

json stats(const TestInstance& instance) {
  return stats_document(instance.control_segment(), &instance.pool(), kSourceSegment);
}
json status(const TestInstance& instance) {
  return status_document(instance.control_segment(), &instance.pool(), kSourceSegment);
}

void commit(shm::Producer& producer, int count) {
  for (int i = 0; i < count; ++i) must(must(producer.claim(1s)).commit());
}
void infer(shm::Consumer& devices, std::size_t count) {
  for (auto& frame : devices.take(count).frames) must(frame.publish(shm::ResultStatus::mask));
}
void finish(shm::Consumer& writers, std::size_t count, Counter outcome) {
  for (auto& frame : writers.take(count).frames) must(frame.finish(outcome));
}

TEST(StatsDocument, has_everything_that_operators_and_scripts_count_on) {
  TestInstance instance({.geometry = small_frames(8)});
  const json document = stats(instance);
  EXPECT_EQ(document["schema"], "peaknet.stats/1");
  EXPECT_EQ(document["source"], "segment");
  EXPECT_EQ(document["instance"], instance.name());
  for (const char* key : {"run",           "state",
                          "frames",        "lifetime",
                          "slots",         "queues",
                          "rates",         "latency_us",
                          "devices",       "producers",
                          "writers",       "pool",
                          "late_wakes",    "redelivered",
                          "duplicates",    "peaks",
                          "peaks_cut",     "files",
                          "file_bytes",    "time",
                          "messages_lost", "pixels_not_finite"}) {
    EXPECT_TRUE(document.contains(key)) << key;
  }
  for (const char* key : {"committed", "inferred", "written", "filtered", "dropped", "failed", "refused", "in_flight",
                          "imbalance", "settled"}) {
    EXPECT_TRUE(document["frames"].contains(key)) << key;
    EXPECT_TRUE(document["lifetime"].contains(key)) << key;
  }
  EXPECT_EQ(document["slots"]["free"], 8);
  EXPECT_EQ(document["pool"]["shape"], (json{1, 48, 64}));
  EXPECT_EQ(document["pool"]["dtype"], "uint16");
  EXPECT_EQ(document["pool"]["full"], "block");
  EXPECT_EQ(document["latency_us"]["total"]["count"], 0);
}

TEST(StatsDocument, says_what_is_indexed_of_which_run_and_who_is_at_it) {
  TestInstance instance({.geometry = small_frames(8)});
  EXPECT_TRUE(stats(instance)["indexing"].is_null());
  instance.layout().run.id.store("0218");
  shm::IndexingFigures figures;
  figures.set_run("0217");
  figures.looked_ns = shm::monotonic_ns() - 90'000'000'000;
  figures.frames = 8;
  figures.indexed = figures.crystals = 6;
  figures.cell[0] = {1, 7.9, 0};
  shm::store(instance.layout().indexing, figures);
  json indexing = stats(instance)["indexing"];
  EXPECT_EQ(indexing["run"], "0217");
  EXPECT_GE(indexing["age_s"], 90.0);
  EXPECT_EQ(indexing["followed"], false);
  EXPECT_TRUE(indexing["served"].is_null());
  EXPECT_EQ(indexing["rate"], 0.75);
  EXPECT_EQ(indexing["cell"]["a_nm"], (json{{"mean", 7.9}, {"deviation", nullptr}}));
  EXPECT_TRUE(indexing["cell"]["b_nm"].is_null());
  const auto lock = must(shm::LockFile::open(shm::control_segment_name(instance.name())));
  ASSERT_TRUE(lock.try_lock(shm::kIndexingByte));
  EXPECT_EQ(stats(instance)["indexing"]["followed"], true);
  figures.frames = figures.indexed = figures.crystals = 0;
  figures.cell = {};
  shm::store(instance.layout().indexing, figures);
  EXPECT_TRUE(stats(instance)["indexing"]["rate"].is_null()) << "of nothing there is no rate";
  figures.indexed = 1;
  shm::store(instance.layout().indexing, figures);
  EXPECT_TRUE(stats(instance)["indexing"].is_null()) << "more than all";
}

TEST(StatsDocument, the_books_balance_while_frames_are_everywhere) {
  TestInstance instance({.geometry = small_frames(16)});
  const auto producer = instance.producer();
  const auto devices = instance.consumer(Queue::q1);
  const auto writers = instance.consumer(Queue::q2);
  commit(*producer, 12);
  infer(*devices, 9);
  finish(*writers, 3, Counter::written);
  finish(*writers, 2, Counter::filtered);
  finish(*writers, 1, Counter::failed_model);
  const auto in_device = devices->take(1);
  const auto in_writer = writers->take(2);
  const json document = stats(instance);
  const json& frames = document["frames"];
  EXPECT_EQ(frames["committed"], 12);
  EXPECT_EQ(frames["inferred"], 9);
  EXPECT_EQ(frames["written"], 3);
  EXPECT_EQ(frames["filtered"], 2);
  EXPECT_EQ(frames["failed"]["model"], 1);
  EXPECT_EQ(frames["in_flight"], 6);
  EXPECT_EQ(frames["imbalance"], 0);
  EXPECT_EQ(frames["settled"], true);
  EXPECT_EQ(document["queues"], (json{{"q1", 2}, {"devices", 1}, {"q2", 1}, {"writers", 2}}));
  EXPECT_EQ(document["slots"]["inferring"], 1);
}

TEST(StatsDocument, a_run_has_books_of_its_own_and_they_balance_too) {
  TestInstance instance({.geometry = small_frames(16)});
  const auto producer = instance.producer();
  const auto devices = instance.consumer(Queue::q1);
  const auto writers = instance.consumer(Queue::q2);
  commit(*producer, 5);
  infer(*devices, 5);
  finish(*writers, 3, Counter::written);
  instance.layout().run.id.store("0217");
  shm::begin_run_accounting(instance.control_segment());  // two frames still wait: they are the new run's
  commit(*producer, 4);
  infer(*devices, 4);
  finish(*writers, 5, Counter::written);
  const json document = stats(instance);
  EXPECT_EQ(document["run"], "0217");
  EXPECT_EQ(document["frames"]["committed"], 6);
  EXPECT_EQ(document["frames"]["written"], 5);
  EXPECT_EQ(document["frames"]["in_flight"], 1);
  EXPECT_EQ(document["frames"]["imbalance"], 0);
  EXPECT_EQ(document["lifetime"]["committed"], 9);
  EXPECT_EQ(document["lifetime"]["written"], 8);
  EXPECT_EQ(document["lifetime"]["imbalance"], 0);
}

TEST(StatsDocument, drops_and_refusals_are_told_by_cause) {
  TestInstance instance({.geometry = small_frames(2), .full = shm::FullPolicy::drop_oldest});
  commit(*instance.producer(), 5);
  const auto refusing = instance.producer(shm::FullPolicy::drop_newest);
  EXPECT_FALSE(refusing->claim(0s));
  const json document = stats(instance);
  EXPECT_EQ(document["frames"]["dropped"]["oldest"], 3);
  EXPECT_EQ(document["frames"]["refused"]["pool_full"], 1);
  EXPECT_EQ(document["frames"]["imbalance"], 0);
  EXPECT_EQ(document["pool"]["full"], "drop_oldest");
}

TEST(StatsDocument, participants_are_listed_while_they_are_attached_with_what_they_did_themselves) {
  TestInstance instance;
  commit(*instance.producer(), 2);  // has gone, and leaves its counters to the next with its id
  const auto producer = instance.producer();
  commit(*producer, 1);
  auto writer = must(shm::Participant::attach(instance.name(), shm::Role::writer, "peaknet-writer"));
  writer->record().note.store("run_0001.cxi");
  writer->record().held.store(3);
  writer->count(Counter::files, 2);
  const json document = stats(instance);
  ASSERT_EQ(document["producers"].size(), 1U);
  EXPECT_EQ(document["producers"][0]["committed"], 1);
  EXPECT_EQ(document["producers"][0]["pid"], ::getpid());
  EXPECT_EQ(document["producers"][0]["number"], producer->number());
  EXPECT_TRUE(document["producers"][0]["since"].is_string());
  ASSERT_EQ(document["writers"].size(), 1U);
  EXPECT_EQ(document["writers"][0]["label"], "peaknet-writer");
  EXPECT_EQ(document["writers"][0]["note"], "run_0001.cxi");
  EXPECT_EQ(document["writers"][0]["held"], 3);
  EXPECT_EQ(document["writers"][0]["files"], 2);
  writer.reset();
  EXPECT_TRUE(stats(instance)["writers"].empty());
}

TEST(StatsDocument, devices_are_shown_with_all_they_count) {
  TestInstance instance;
  auto& device = instance.layout().devices[1];
  device.name.store("cuda:0");
  device.state.store("ready");
  device.depth.store(3);
  device.buckets[0].store(1);
  device.buckets[1].store(8);
  device.batch_sizes[1].store(40);
  device.waited_ns[2].store(77);
  device.waited_ns[4].store(78);
  device.shrinks.store(2);
  const json document = stats(instance);
  ASSERT_EQ(document["devices"].size(), 1U);
  const json& shown = document["devices"][0];
  EXPECT_EQ(shown["name"], "cuda:0");
  EXPECT_EQ(shown["depth"], 3);
  EXPECT_EQ(shown["waited_ns"]["forming"], 77);
  EXPECT_EQ(shown["waited_ns"]["writer_behind"], 78);
  EXPECT_EQ(shown["shrinks"], 2);
  EXPECT_EQ(shown["batch_sizes"], (json{{{"bucket", 1}, {"count", 0}}, {{"bucket", 8}, {"count", 40}}}));
  for (const char* key :
       {"state", "h2d_mode", "error", "batch", "in_flight", "frames", "batches", "padded_rows", "model_errors",
        "rebuffers", "busy_ns", "rows_at_once", "split", "retried", "fatal_frames", "skipped", "graphs"}) {
    EXPECT_TRUE(shown.contains(key)) << key;
  }
}

TEST(StatsDocument, what_is_left_out_is_shown_in_stats_and_status) {
  TestInstance instance;
  EXPECT_EQ(stats(instance)["shedding"]["enabled"], false);
  auto& record = instance.layout().shedding;
  record.levels.store(5);
  record.level.store(3);
  record.keep_one_of.store(4);
  record.raises.store(3);
  record.effort.store("one frame of 4 is processed");
  const json shown = stats(instance)["shedding"];
  EXPECT_EQ(shown["enabled"], true);
  EXPECT_EQ(shown["level"], 3);
  EXPECT_EQ(shown["keep_one_of"], 4);
  EXPECT_EQ(shown["raises"], 3);
  EXPECT_EQ(shown["effort"], "one frame of 4 is processed");
  EXPECT_EQ(stats(instance)["frames"]["dropped"]["shed"], 0);
}

TEST(StatsDocument, latencies_are_microseconds_by_stage) {
  TestInstance instance;
  for (int ms = 1; ms <= 100; ++ms)
    instance.layout().stages[static_cast<std::size_t>(shm::Stage::infer)].add(std::chrono::milliseconds(ms));
  const json infer = stats(instance)["latency_us"]["infer"];
  EXPECT_EQ(infer["count"], 100);
  EXPECT_EQ(infer["max"], 100'000);
  EXPECT_NEAR(infer["p50"].get<double>(), 50'000, 4'000);
  EXPECT_NEAR(infer["p95"].get<double>(), 95'000, 6'000);
  EXPECT_NEAR(infer["p99"].get<double>(), 99'000, 6'000);
}

TEST(StatusDocument, tells_what_the_daemon_is_doing) {
  TestInstance instance;
  auto& daemon = instance.layout().daemon;
  daemon.state.store(DaemonState::running);
  daemon.pid.store(123);
  daemon.version.store("0.1.0");
  daemon.started_ns.store(shm::realtime_ns() - 3'600'000'000'000);
  daemon.heartbeat_ns.store(shm::monotonic_ns());
  daemon.model.store("/models/contrast.pt");
  instance.layout().run.id.store("0217");
  instance.layout().run.started_ns.store(1'700'000'000'250'000'000);
  const json document = status(instance);
  EXPECT_EQ(document["schema"], "peaknet.status/1");
  EXPECT_EQ(document["state"], "running");
  EXPECT_EQ(document["daemon"]["alive"], true);
  EXPECT_EQ(document["daemon"]["pid"], 123);
  EXPECT_NEAR(document["daemon"]["uptime_s"].get<double>(), 3600.0, 10.0);
  EXPECT_LT(document["daemon"]["heartbeat_age_s"].get<double>(), 10.0);
  EXPECT_EQ(document["run"]["id"], "0217");
  EXPECT_EQ(document["run"]["started"], "2023-11-14T22:13:20.250Z");
  EXPECT_TRUE(document["run"]["ended"].is_null());
  EXPECT_EQ(document["balance"], "ok");
  EXPECT_EQ(document["model"]["path"], "/models/contrast.pt");
}

TEST(StatusDocument, says_of_the_run_what_was_said_and_no_more) {
  TestInstance instance;
  instance.layout().run.id.store("A7");
  shm::enter_run_facts(instance.layout(), 1, "A7", {.number = 0, .proposal = "mfx", .user = {}});
  const json run = status(instance)["run"];
  EXPECT_EQ(run["number"], 0);
  EXPECT_EQ(run["proposal"], "mfx");
  EXPECT_FALSE(run.contains("user"));
  EXPECT_EQ(stats(instance)["run_number"], 0);
  EXPECT_EQ(stats(instance)["proposal"], "mfx");
  instance.layout().run.id.store("A8");
  EXPECT_FALSE(stats(instance).contains("run_number")) << "not known is absent";
}

TEST(StatusDocument, a_killed_daemon_is_absent_whatever_its_last_word_was) {
  TestInstance instance;
  instance.layout().daemon.state.store(DaemonState::running);
  instance.drop_owner();
  const json document = status(instance);
  EXPECT_EQ(document["state"], "absent");
  EXPECT_EQ(document["last_state"], "running");
  EXPECT_EQ(document["daemon"]["alive"], false);
  EXPECT_EQ(stats(instance)["state"], "absent");
  EXPECT_EQ(state_now(instance.control_segment()), "absent");
}

TEST(StatusDocument, a_page_without_a_pool_is_no_problem) {
  TestInstance instance({.with_pool = false});
  EXPECT_TRUE(status_document(instance.control_segment(), nullptr)["pool"].is_null());
  const json document = stats_document(instance.control_segment(), nullptr);
  EXPECT_TRUE(document["pool"].is_null());
  EXPECT_EQ(document["slots"]["free"], 0);
  EXPECT_EQ(document["source"], "daemon");
}

TEST(StatusDocument, read_only_access_is_enough) {
  TestInstance instance;
  commit(*instance.producer(), 2);
  const auto control_segment = must(shm::ControlSegment::open(instance.name(), shm::Access::read_only));
  const auto pool = must(control_segment->open_pool(shm::Access::read_only));
  EXPECT_EQ(stats_document(*control_segment, pool.get())["frames"]["committed"], 2);
  EXPECT_EQ(status_document(*control_segment, pool.get())["balance"], "ok");
}

TEST(Documents, a_page_full_of_random_bytes_still_gives_documents_that_are_json) {
  TestInstance instance({.geometry = small_frames(4)});
  std::mt19937_64 random(5);
  auto* bytes = reinterpret_cast<unsigned char*>(&instance.layout());
  const json honest_stats = stats(instance);
  const json honest_status = status(instance);
  for (int round = 0; round < 20; ++round) {
    for (std::size_t at = offsetof(shm::ControlLayout, daemon); at + 8 <= sizeof(shm::ControlLayout); at += 8) {
      const std::uint64_t word = round == 0 ? ~std::uint64_t{0} : random();
      std::memcpy(bytes + at, &word, 8);
    }
    for (const json& document : {stats(instance), status(instance)}) {
      const json again = json::parse(to_text(document), nullptr, false);
      ASSERT_FALSE(again.is_discarded());
      const json& honest = document["schema"] == "peaknet.stats/1" ? honest_stats : honest_status;
      for (const auto& [key, value] : honest.items()) EXPECT_TRUE(again.contains(key)) << key;
    }
  }
}

}  // namespace
}  // namespace peaknet::control
