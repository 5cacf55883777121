// System: the real programs of one instance, as an operator would run them, in a folder of their own.
//
//   System system({.model = "builtin:threshold=500", .shape = "[1,64,64]"});
//   system.start_daemon();
//   system.start_writer();
//   system.feed({"simulate", "--frames", "100"});
//   system.ctl({"stop"});
//   EXPECT_EQ(system.frames_in_files().size(), ...);
//
// Everything it started is ended, and all shared memory removed, when it goes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/child.hpp"

namespace peaknet::test {

// (producer, its sequence): the name of a frame for ever.
using FrameKey = std::pair<std::uint64_t, std::uint64_t>;

class System {
 public:
  struct Options {
    std::string model = "builtin:threshold=500";
    std::string shape = "[1,128,128]";
    std::string dtype = "uint16";
    unsigned slots = 32;
    unsigned batch = 4;
    unsigned depth = 3;
    unsigned min_num_peak = 3;
    std::vector<std::string> more = {};  // further lines of the configuration, "section.key: value" as --set takes them
  };
  explicit System(const Options& options);
  System() : System(Options{}) {}
  System(const System&) = delete;
  System& operator=(const System&) = delete;
  ~System();

  const std::string& instance() const { return instance_; }
  std::filesystem::path folder() const { return folder_; }
  std::filesystem::path output() const { return folder_ / "out"; }
  std::string config() const { return (folder_ / "peaknet.yaml").string(); }

  // Start and wait until it is ready for frames (daemon: running; writer: attached).
  Child& start_daemon(const std::vector<std::string>& set = {}, const std::vector<std::string>& environment = {});
  Child& start_writer(const std::vector<std::string>& set = {}, const std::vector<std::string>& environment = {});
  // Start without waiting. `environment`: "NAME=value", beside what the test has.
  Child launch(const std::string& program, std::vector<std::string> arguments, const std::vector<std::string>& set = {},
               const std::vector<std::string>& environment = {}) const;
  Child& daemon() { return daemon_; }
  Child& writer() { return writer_; }

  // Run to the end. What a program printed is in the Child.
  Child run(const std::string& program, const std::vector<std::string>& arguments,
            const std::vector<std::string>& set = {}) const;
  Child feed(const std::vector<std::string>& arguments) const { return run("peaknet-feed", arguments); }
  Child ctl(const std::vector<std::string>& arguments) const { return run("peaknetctl", arguments); }
  nlohmann::json ctl_json(const std::vector<std::string>& arguments) const;
  nlohmann::json stats() const { return ctl_json({"stats"}); }

  // Finished CXI files (not the masters of runs), sorted by name; and what is left of unfinished ones.
  std::vector<std::filesystem::path> files() const;
  std::vector<std::filesystem::path> unfinished() const;

  // How often each frame stands in the finished files, and the files' rows beside it.
  std::map<FrameKey, int> frames_in_files() const;

  // One row of a file, as the tests compare them.
  struct Event {
    std::string run;
    FrameKey key;
    std::uint64_t event_id = 0;
    std::vector<float> x, y;
    std::string model;  // of the file
  };
  std::vector<Event> events_in_files() const;

 private:
  std::string instance_;
  std::filesystem::path folder_;
  Child daemon_, writer_;
};

}  // namespace peaknet::test
