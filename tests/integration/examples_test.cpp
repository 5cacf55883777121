// The examples, as a user would run them, against the programs; and the lines of them that docs/producers.md shows.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tests/integration/system.hpp"
#include "tests/support/instance.hpp"

namespace peaknet::test {
namespace {

constexpr const char* kPython = "/usr/bin/python3";
const std::string kSanitizer = PEAKNET_SANITIZER;

Child run_example(const std::string& instance, std::vector<std::string> command, const std::string& count) {
  command.insert(command.end(), {instance, count});
  Child example =
      Child::start(command, {.environment = {"PYTHONPATH=" + source_dir() + "/shm/python", "PYTHONDONTWRITEBYTECODE=1",
                                             "PEAKNET_SHM_LIBRARY=" PEAKNET_SHM_LIBRARY}});
  EXPECT_EQ(example.wait(), Exit::code(0)) << example.err();
  EXPECT_EQ(example.err(), "");
  return example;
}

std::vector<std::string> python(const std::string& script) { return {kPython, source_dir() + "/examples/" + script}; }

// The pool has room for all of them: they wait there, in order, each with the spots of the detector that the examples
// play.
void expect_committed(const std::vector<std::string>& command, std::uint32_t frames) {
  TestInstance instance({.geometry = {frames, 1, 128, 128, PixelType::uint16}});
  run_example(instance.name(), command, std::to_string(frames));
  auto device = instance.consumer(shm::Queue::q1);
  const auto taken = device->take(frames);
  ASSERT_EQ(taken.frames.size(), frames);
  for (std::uint32_t i = 0; i < frames; ++i) {
    EXPECT_EQ(taken.frames[i].descriptor().producer_seq, i);
    const auto* pixels = reinterpret_cast<const std::uint16_t*>(taken.frames[i].image().data());
    EXPECT_EQ(std::count(pixels, pixels + 128 * 128, 2000), 12);
    EXPECT_EQ(std::count(pixels, pixels + 128 * 128, 10), 128 * 128 - 12);
  }
}

TEST(Examples, the_producer_in_cpp_commits_whole_frames) { expect_committed({PEAKNET_EXAMPLE_CPP}, 20); }

TEST(Examples, the_producer_in_c_commits_whole_frames) { expect_committed({PEAKNET_EXAMPLE_C}, 20); }

TEST(Examples, the_producer_in_python_commits_whole_frames) {
  if (!kSanitizer.empty()) GTEST_SKIP() << "Python would need LD_PRELOAD of the sanitizer";
  expect_committed(python("producer.py"), 20);
}

TEST(Examples, the_own_source_on_the_feeds_library_commits_whole_frames) {
  expect_committed({PEAKNET_EXAMPLE_SOURCE}, 20);
}

TEST(Examples, the_psana_loop_leaves_out_events_without_an_image) {
  if (!kSanitizer.empty()) GTEST_SKIP() << "Python would need LD_PRELOAD of the sanitizer";
  TestInstance instance({.geometry = {32, 2, 64, 64, PixelType::float32}});
  const std::string said = run_example(instance.name(), python("psana_like.py"), "30").out();
  EXPECT_EQ(said, "27 committed, 0 refused, 3 without an image\n");
  auto device = instance.consumer(shm::Queue::q1);
  const auto taken = device->take(32);
  ASSERT_EQ(taken.frames.size(), 27U);
  for (const auto& frame : taken.frames) {
    EXPECT_NEAR(frame.descriptor().photon_energy_ev, 9762.5, 0.5);
    EXPECT_EQ(frame.descriptor().timestamp >> 32, 1'700'000'000U);
    EXPECT_EQ(reinterpret_cast<const float*>(frame.image().data())[4001], 2000.0F);
  }
  EXPECT_NE(taken.frames[8].descriptor().timestamp, taken.frames[9].descriptor().timestamp);
}

TEST(Examples, each_of_the_mpi_ranks_is_a_producer_and_every_event_comes_once) {
  if (!kSanitizer.empty()) GTEST_SKIP() << "Python would need LD_PRELOAD of the sanitizer";
  TestInstance instance({.geometry = {64, 1, 64, 64, PixelType::uint16}});
  run_example(instance.name(), python("mpi_ranks.py"), "50");
  auto device = instance.consumer(shm::Queue::q1);
  const auto taken = device->take(64);
  ASSERT_EQ(taken.frames.size(), 50U);
  std::set<std::uint64_t> events, producers;
  for (const auto& frame : taken.frames) {
    events.insert(frame.descriptor().event_id);
    producers.insert(frame.descriptor().producer);
    EXPECT_EQ(frame.descriptor().user[0], frame.descriptor().event_id % 4);
  }
  EXPECT_EQ(events.size(), 50U);
  EXPECT_EQ(*events.rbegin(), 49U);
  EXPECT_EQ(producers.size(), 4U);
}

// All frames of an example are in the finished files, each once, with their peaks.
void expect_in_files(const std::vector<std::string>& command, std::size_t frames) {
  if (kSanitizer == "thread") GTEST_SKIP() << "peaknetd uses libzmq, whose hand-overs ThreadSanitizer does not see";
  System system;
  system.start_daemon();
  system.start_writer();
  run_example(system.instance(), command, std::to_string(frames));
  ASSERT_EQ(system.ctl({"stop"}).wait(), Exit::code(0));
  const auto events = system.events_in_files();
  ASSERT_EQ(events.size(), frames);
  for (std::size_t i = 0; i < frames; ++i) {
    EXPECT_EQ(events[i].key.second, i);
    EXPECT_EQ(events[i].x.size(), 6U) << "spots";
  }
  EXPECT_EQ(system.stats().at("frames").at("imbalance"), 0);
}

TEST(Examples, frames_of_the_producer_in_cpp_are_all_in_files) { expect_in_files({PEAKNET_EXAMPLE_CPP}, 30); }

TEST(Examples, frames_of_the_producer_in_c_are_all_in_files) { expect_in_files({PEAKNET_EXAMPLE_C}, 30); }

TEST(Examples, frames_of_the_producer_in_python_are_all_in_files) {
  if (!kSanitizer.empty()) GTEST_SKIP() << "Python would need LD_PRELOAD of the sanitizer";
  expect_in_files(python("producer.py"), 30);
}

TEST(Examples, of_eight_python_producers_two_are_killed_and_what_they_committed_is_in_files) {
  if (!kSanitizer.empty()) GTEST_SKIP() << "Python would need LD_PRELOAD of the sanitizer";
  System system;
  system.start_daemon();
  system.start_writer();
  std::istringstream noted(
      run_example(system.instance(), {kPython, source_dir() + "/tests/integration/python_crowd.py"}, "40").out());
  ASSERT_EQ(system.ctl({"stop"}).wait(), Exit::code(0));
  const auto files = system.frames_in_files();
  std::set<std::uint64_t> producers;
  std::size_t notes = 0;
  for (FrameKey key; noted >> key.first >> key.second; ++notes) {
    producers.insert(key.first);
    EXPECT_EQ(files.count(key), 1U) << "producer " << key.first << " frame " << key.second;
  }
  EXPECT_EQ(producers.size(), 8U);
  EXPECT_GE(notes, 6 * 40U + 2);
  for (const auto& [key, times] : files) EXPECT_EQ(times, 1) << "producer " << key.first << " frame " << key.second;
  const auto frames = system.stats().at("frames");
  EXPECT_EQ(frames.at("imbalance"), 0);
  EXPECT_EQ(frames.at("written"), files.size());
  EXPECT_EQ(frames.at("committed"), files.size());
  EXPECT_LE(files.size(), notes + 2) << "of the killed, one commit each may have come before its note";
}

TEST(Examples, the_monitor_in_python_shows_the_newest_result) {
  if (!kSanitizer.empty()) GTEST_SKIP() << "Python would need LD_PRELOAD of the sanitizer";
  System system;
  system.start_daemon();
  system.start_writer();
  run_example(system.instance(), {PEAKNET_EXAMPLE_C}, "5");
  ASSERT_EQ(system.ctl({"wait", "--for", "drained"}).wait(), Exit::code(0));
  const std::string line = run_example(system.instance(), python("tap.py"), "1").out();
  EXPECT_NE(line.find("event 1000 of producer"), std::string::npos) << line;  // it counts down
  EXPECT_NE(line.find("brightest pixel 2000, 12 pixels of peaks, free"), std::string::npos) << line;
}

TEST(Examples, an_instance_that_is_not_there_is_named) {
  for (const auto& command : {std::vector<std::string>{PEAKNET_EXAMPLE_CPP}, {PEAKNET_EXAMPLE_C}}) {
    Child example = Child::start({command.front(), "not-there", "1"});
    EXPECT_EQ(example.wait(), Exit::code(1));
    EXPECT_NE(example.err().find("[shm.absent]"), std::string::npos) << example.err();
  }
}

std::string without_spaces(std::string line) {
  std::erase(line, ' ');
  return line;
}

// The lines of the first block of that language in docs/producers.md.
std::vector<std::string> shown_block(const std::string& language) {
  std::ifstream document(source_dir() + "/docs/producers.md");
  std::vector<std::string> lines;
  bool inside = false;
  for (std::string line; std::getline(document, line);) {
    if (inside && line.starts_with("```")) break;
    if (inside && !line.empty()) lines.push_back(without_spaces(line));
    if (line == "```" + language) inside = true;
  }
  return lines;
}

TEST(Examples, hold_the_lines_that_the_documents_show) {
  for (const auto& [language, file] :
       {std::pair<std::string, std::string>{"cpp", "producer.cpp"}, {"c", "producer.c"}, {"python", "producer.py"}}) {
    std::ifstream example(source_dir() + "/examples/" + file);
    const auto shown = shown_block(language);
    ASSERT_GE(shown.size(), 5U) << language;
    auto next = shown.begin();
    for (std::string line; next != shown.end() && std::getline(example, line);) {
      if (without_spaces(line) == *next) ++next;
    }
    EXPECT_EQ(next, shown.end()) << file << " has not, in this order: " << (next == shown.end() ? "" : *next);
  }
}

}  // namespace
}  // namespace peaknet::test
