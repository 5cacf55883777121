#include "tests/support/instance.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <random>

namespace peaknet::test {
namespace {

const std::string kPrefix = "test-";

std::vector<std::string> files_in_shm() {
  std::vector<std::string> files;
  std::error_code gone;  // others remove their files while we list
  for (auto entry = std::filesystem::directory_iterator("/dev/shm", gone);
       !gone && entry != std::filesystem::directory_iterator(); entry.increment(gone)) {
    files.push_back(entry->path().filename().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

// "peaknet.test-<pid>-..." of a process that is gone: its test was killed before it could clean up.
void remove_leftovers_of_dead_tests() {
  const std::string stem = "peaknet." + kPrefix;
  for (const auto& file : files_in_shm()) {
    if (!file.starts_with(stem)) continue;
    const auto pid = static_cast<pid_t>(std::strtol(file.c_str() + stem.size(), nullptr, 10));
    if (pid > 0 && ::kill(pid, 0) != 0 && errno == ESRCH) shm::Segment::unlink("/" + file);
  }
}

}  // namespace

std::string TestInstance::unique_name() {
  static std::atomic<unsigned> count{0};
  static const unsigned salt = std::random_device{}();
  return kPrefix + std::to_string(getpid()) + "-" + std::to_string(salt % 100000) + "-" + std::to_string(count++);
}

TestInstance::TestInstance(const Options& options) : name_(unique_name()), made_by_(getpid()) {
  remove_leftovers_of_dead_tests();
  take_owner();
  if (options.with_pool) next_epoch(options.geometry, options.full, options.columns);
}

TestInstance::~TestInstance() {
  if (getpid() == made_by_) remove_shared_memory(name_);
}

void TestInstance::take_owner() {
  owner_ = must(shm::InstanceOwner::take(name_, {.mode = 0600}));
  control_segment_ = owner_->control_segment();
  layout().daemon.pid.store(static_cast<std::uint32_t>(getpid()));
  layout().daemon.state.store(shm::DaemonState::running);
  if (layout().epoch.load() != 0) pool_ = must(control_segment_->open_pool(shm::Access::read_write));
}

void TestInstance::next_epoch(const shm::Geometry& geometry, shm::FullPolicy full, const shm::ColumnTable& columns) {
  const std::uint64_t epoch = layout().epoch.load() + 1;
  const auto former = std::exchange(
      pool_, must(shm::Pool::create(name_, epoch, geometry, full, control_segment_->uuid(), {.mode = 0600}, columns)));
  layout().epoch.store(epoch);
  if (!former) return;
  former->header().header.state.store(shm::SegmentState::retired);
  former->header().ready_event.notify();
  former->header().done_event.notify();
  former->header().free_event.notify();
}

std::unique_ptr<shm::Producer> TestInstance::producer(std::optional<shm::FullPolicy> full) const {
  return must(shm::Producer::attach(name_, {.label = "test producer", .full = full}));
}

std::unique_ptr<shm::Consumer> TestInstance::consumer(shm::Queue queue) const {
  return must(shm::Consumer::attach(name_, queue, queue == shm::Queue::q1 ? "test device" : "test writer"));
}

std::vector<std::string> shared_memory_of(const std::string& instance) {
  const std::string stem = "peaknet." + instance;
  auto files = files_in_shm();
  std::erase_if(files, [&](const std::string& file) { return file != stem && !file.starts_with(stem + "."); });
  return files;
}

void remove_shared_memory(const std::string& instance) {
  for (const auto& file : shared_memory_of(instance)) shm::Segment::unlink("/" + file);
}

std::string unbalanced(const shm::FrameAccounting& accounting) {
  if (accounting.settled && accounting.imbalance() == 0) return "";
  return std::string(accounting.settled ? "" : "not settled; ") + "committed " +
         std::to_string(accounting.total(shm::Counter::committed)) + ", outcomes " +
         std::to_string(accounting.outcomes()) + ", in flight " + std::to_string(accounting.in_flight()) +
         ", imbalance " + std::to_string(accounting.imbalance());
}

}  // namespace peaknet::test
