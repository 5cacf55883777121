// A stage for the writer: an instance with a pool, one producer, and a device that puts known masks into the slots.
// What a frame holds follows from its number alone, so a file can be checked against it whoever wrote it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "config/config.hpp"
#include "tests/support/instance.hpp"

namespace peaknet::test {

struct FrameSpec {
  std::uint64_t number = 0;  // the producer's sequence number
  std::uint32_t peaks = 12;
  std::optional<double> photon_energy_ev = 9500.0;
  std::uint64_t timestamp = 0;
  std::optional<std::uint32_t> fiducial = {};
  std::optional<double> encoder_value = {};
  bool model_error = false;
  std::string source_run = {};
  bool skipped = false;  // by a device that sheds load
};

class Stage {
 public:
  explicit Stage(const shm::Geometry& geometry = {16, 2, 48, 64, PixelType::uint16});

  // Settings for a writer of this instance: small files, everything else as it comes.
  config::Config settings(const std::filesystem::path& folder) const;

  // A frame with `peaks` peaks of one or two pixels, through Q1 into Q2. Waits for a free slot up to `at_most`; false
  // if none came.
  bool feed(const FrameSpec& spec, std::chrono::milliseconds at_most = std::chrono::seconds(20));
  // Only into Q1.
  bool commit(const FrameSpec& spec, std::chrono::milliseconds at_most = std::chrono::seconds(20));
  // Everything that is in Q1 through the "device".
  void infer(const std::string& run);
  // What peaknetd does with frames that took three owners down: else they fill the pool.
  void clear_quarantine() { device_->participant().clear_quarantine(); }
  void recover_dead() { device_->participant().recover_dead(); }
  void set_run(const std::string& run) { run_ = run; }
  // New frames have this shape from now on; the old pool stays until its frames are gone. A writer that comes later
  // does not see the old one: peaknetd changes an instance's pool only when it is empty.
  void next_epoch(const shm::Geometry& geometry);

  // Wait until so many writers are attached that have finished their files up to this request; the dead are off the
  // list then, and what they held is with others or counted.
  bool await_writers(std::size_t writers = 1, std::chrono::milliseconds at_most = std::chrono::seconds(30),
                     std::uint64_t closed_up_to = 0);
  // Wait until so many writers are attached, ask all of them to finish their files, as peaknetd does at a stop; true
  // when they have said so.
  bool close_files(std::size_t writers = 1, std::chrono::milliseconds at_most = std::chrono::seconds(30));

  TestInstance& instance() { return instance_; }
  const shm::Geometry& geometry() const { return geometry_; }

 private:
  shm::Geometry geometry_;
  TestInstance instance_;
  std::unique_ptr<shm::Producer> producer_;
  std::unique_ptr<shm::Consumer> device_;
  std::string run_ = "0001";
  std::map<std::uint64_t, FrameSpec> specs_;  // of frames in Q1
};

// The writer's program in a thread of this process.
class WriterThread {
 public:
  explicit WriterThread(const config::Config& settings);
  ~WriterThread() { stop(); }
  void stop();
  // What serve() threw, after stop().
  std::string failure() const { return failure_; }

 private:
  config::Config settings_;
  std::string failure_;
  std::jthread thread_;
};

// The pixels of frame `number`.
std::vector<std::byte> image_of(std::uint64_t number, const shm::Geometry& geometry);

// All finished files of a folder but the masters of runs, sorted by name.
std::vector<std::filesystem::path> finished_files(const std::filesystem::path& folder);

// "" if an audit of the folder proves that every frame has ended, else its problems.
std::string audit_problems(const std::filesystem::path& folder);

// How often each frame is in the finished files, by the identifier "run R producer P frame S". Fails the test (with
// ADD_FAILURE) where image, mask or peaks of an event are not those of its frame.
std::map<std::string, int> events_in(const std::filesystem::path& folder, const shm::Geometry& geometry,
                                     bool with_images = true);

}  // namespace peaknet::test
