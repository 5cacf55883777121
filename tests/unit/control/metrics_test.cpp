#include "control/metrics.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <map>
#include <sstream>

#include "shm/clock.hpp"
#include "tests/support/child.hpp"
#include "tests/support/instance.hpp"

namespace peaknet::control {
namespace {

using namespace std::chrono_literals;
using shm::Counter;
using shm::Queue;
using test::must;
using test::small_frames;
using test::TestInstance;
using testing::HasSubstr;
using testing::Not;

std::string metrics(const TestInstance& instance) { return metrics_text(instance.control_segment(), &instance.pool()); }

// Name -> type of all families, as "# TYPE" says.
std::map<std::string, std::string> families(const std::string& text) {
  std::map<std::string, std::string> found;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string hash, type, name, kind;
    if (words >> hash >> type >> name >> kind && hash == "#" && type == "TYPE") found[name] = kind;
  }
  return found;
}

void make_a_device(const TestInstance& instance) {
  auto& device = instance.layout().devices[0];
  device.name.store("cuda:0");
  device.state.store("ready");
  device.frames.store(12);
  instance.layout().daemon.heartbeat_ns.store(1);
}

void record_indexing(const TestInstance& instance, const std::string& run) {
  instance.layout().run.id.store(run);
  shm::IndexingFigures figures;
  figures.set_run(run);
  figures.looked_ns = shm::monotonic_ns();
  figures.served = 10;
  figures.frames = 8;
  figures.indexed = figures.crystals = 6;
  figures.cell[0] = {6, 7.9, 0.1};
  figures.cell[3] = {1, 90.0, 0};
  shm::store(instance.layout().indexing, figures);
}

TEST(Metrics, are_exactly_those_of_the_document_with_their_types) {
  TestInstance instance({.geometry = small_frames(8)});
  make_a_device(instance);
  const auto producer = instance.producer();
  const auto devices = instance.consumer(Queue::q1);
  const auto writers = instance.consumer(Queue::q2);
  writers->participant().record().output_free_bytes.store(1);
  instance.layout().run.started_ns.store(1);
  record_indexing(instance, "0217");
  must(must(producer->claim(1s)).commit());
  must(devices->take(1).frames.at(0).publish(shm::ResultStatus::mask));
  must(writers->take(1).frames.at(0).finish(Counter::written));
  std::map<std::string, std::string> documented;
  std::ifstream document(test::source_dir() + "/docs/metrics.md");
  for (std::string line; std::getline(document, line);) {
    if (!line.starts_with("| `peaknet_")) continue;
    const auto end = line.find('`', 3);
    const auto type = line.find("| ", end) + 2;
    documented[line.substr(3, end - 3)] = line.substr(type, line.find(' ', type) - type);
  }
  EXPECT_EQ(families(metrics(instance)), documented);
}

TEST(Metrics, follow_the_frames) {
  TestInstance instance({.geometry = small_frames(8)});
  make_a_device(instance);
  const auto producer = instance.producer();
  const auto devices = instance.consumer(Queue::q1);
  const auto writers = instance.consumer(Queue::q2);
  for (int i = 0; i < 5; ++i) must(must(producer->claim(1s)).commit());
  for (auto& frame : devices->take(4).frames) must(frame.publish(shm::ResultStatus::mask));
  for (auto& frame : writers->take(2).frames) must(frame.finish(Counter::written));
  must(writers->take(1).frames.at(0).finish(Counter::failed_mask));
  const std::string text = metrics(instance);
  const std::string mine = "instance_name=\"" + instance.name() + "\"";
  for (const char* sample :
       {"frames_total{INSTANCE,stage=\"committed\"} 5", "frames_total{INSTANCE,stage=\"inferred\"} 4",
        "frames_total{INSTANCE,stage=\"written\"} 2", "frames_failed_total{INSTANCE,cause=\"mask\"} 1",
        "slots{INSTANCE,state=\"ready\"} 1", "slots{INSTANCE,state=\"done\"} 1", "slots{INSTANCE,state=\"free\"} 6",
        "imbalance{INSTANCE} 0", "participants{INSTANCE,role=\"producer\"} 1",
        "participants{INSTANCE,role=\"writer\"} 1", "device_frames_total{INSTANCE,device=\"cuda:0\"} 12",
        "device_ready{INSTANCE,device=\"cuda:0\"} 1", "latency_seconds_count{INSTANCE,stage=\"infer\"} 4",
        "latency_seconds_bucket{INSTANCE,stage=\"infer\",le=\"+Inf\"} 4",
        "latency_seconds_bucket{INSTANCE,stage=\"infer\",le=\"1000\"} 4"}) {
    std::string expected = std::string("\npeaknet_") + sample + "\n";
    expected.replace(expected.find("INSTANCE"), 8, mine);
    EXPECT_THAT(text, HasSubstr(expected));
  }
}

TEST(Metrics, have_the_indexing_of_the_run_and_of_no_other) {
  TestInstance instance({.geometry = small_frames(8)});
  EXPECT_THAT(metrics(instance), Not(HasSubstr("peaknet_run_indexed")));
  record_indexing(instance, "0217");
  const std::string text = metrics(instance), mine = "{instance_name=\"" + instance.name() + "\"";
  EXPECT_THAT(text, HasSubstr("\npeaknet_run_indexed_ratio" + mine + "} 0.75\n"));
  EXPECT_THAT(text, HasSubstr("\npeaknet_run_cell_mean" + mine + ",parameter=\"a_nm\"} 7.9\n"));
  EXPECT_THAT(text, Not(HasSubstr("parameter=\"b_nm\""))) << "unknown is not zero";
  EXPECT_THAT(text, Not(HasSubstr("peaknet_run_cell_deviation" + mine + ",parameter=\"alpha_deg\"")))
      << "of one crystal";
  instance.layout().run.id.store("0218");
  EXPECT_THAT(metrics(instance), Not(HasSubstr("peaknet_run_indexed")));
}

TEST(Metrics, say_when_the_run_began_to_the_second_and_nothing_before_the_first) {
  TestInstance instance({.geometry = small_frames(8)});
  instance.layout().run.started_ns.store(0);
  EXPECT_THAT(metrics(instance), Not(HasSubstr("peaknet_run_start_timestamp_seconds{")));
  instance.layout().run.id.store("12b");
  instance.layout().run.started_ns.store(1'796'000'123'500'000'000);
  const std::string sample =
      "\npeaknet_run_start_timestamp_seconds{instance_name=\"" + instance.name() + "\",run=\"12b\"} ";
  const std::string text = metrics(instance);
  ASSERT_THAT(text, HasSubstr(sample));
  EXPECT_NEAR(std::stod(text.substr(text.find(sample) + sample.size())), 1'796'000'123.5, 0.01);
}

TEST(Metrics, texts_of_others_cannot_break_a_line) {
  TestInstance instance({.geometry = small_frames(8)});
  instance.layout().devices[0].name.store("a\"b\\c\nd");
  const std::string text = metrics(instance);
  EXPECT_THAT(text, HasSubstr(R"(device="a\"b\\c?d"})"));
}

TEST(Metrics, without_a_pool_there_are_no_slots_and_the_rest_is_there) {
  TestInstance instance({.with_pool = false});
  const std::string text = metrics_text(instance.control_segment(), nullptr);
  EXPECT_THAT(text, Not(HasSubstr("peaknet_slots")));
  EXPECT_THAT(text, HasSubstr("peaknet_frames_total"));
}

TEST(Metrics, satisfy_promtool) {
  if (std::system("command -v promtool >/dev/null 2>&1") != 0) GTEST_SKIP() << "promtool is not installed";
  TestInstance instance({.geometry = small_frames(8)});
  make_a_device(instance);
  FILE* tool = popen("promtool check metrics 2>&1", "w");
  ASSERT_NE(tool, nullptr);
  std::fputs(metrics(instance).c_str(), tool);
  EXPECT_EQ(pclose(tool), 0);
}

}  // namespace
}  // namespace peaknet::control
