// Scene: an instance in which one or two participants are stopped, killed or overtaken, and the survivors who go on,
// take everything to its end and judge: no committed frame lost, doubled or torn, no slot lost, the counters balanced.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "shm/layout.hpp"
#include "tests/support/instance.hpp"

namespace peaknet::test {

using FrameId = std::pair<std::uint64_t, std::uint64_t>;

// The pixels and the description say whose frame it is, so that a torn or mixed-up one is seen.
void fill(shm::Frame& frame, std::uint64_t producer, std::uint64_t seq);
bool whole(const shm::HeldFrame& frame);
// Claim, fill, commit; waits as long as it takes.
void produce(shm::Producer& producer);

// What those who may be killed know about their own frames: `sure` after commit() said so, `maybe` before. Kept where
// their death does not reach it. Absent where nobody kept it.
struct Ledger {
  std::set<FrameId> sure, maybe;
};

// Which states the slots are in, as a set of bits.
unsigned states_of(const shm::Pool& pool);

class Scene {
 public:
  Scene(shm::FullPolicy full, std::uint32_t slots);

  TestInstance& instance() { return instance_; }
  const std::string& name() const { return instance_.name(); }
  std::uint32_t slots() const { return instance_.pool().geometry().slots; }
  shm::Participant& survivor() { return device_->participant(); }

  // What waits when the others begin.
  void ready(int count);
  void done(int count);
  void quarantined();  // as after three deaths

  void begin();
  // Take and finish whatever waits; every frame must be whole and new.
  void drain();
  // After the slots of the dead were given back: nothing is held, and the counters and the frames agree to the last
  // one.
  void judge(const std::optional<Ledger>& ledger = std::nullopt);

  std::uint64_t since_begin(shm::Counter counter) const { return instance_.total(counter) - before_.total(counter); }
  unsigned states_now() const { return states_of(instance_.pool()); }

 private:
  void see(const shm::FrameDescriptor& descriptor);
  TestInstance instance_;
  std::unique_ptr<shm::Producer> producer_;
  std::unique_ptr<shm::Consumer> device_, writer_;
  std::set<FrameId> made_;  // by us, in this round
  std::set<FrameId> seen_;  // by the writer or in quarantine, in this round
  shm::FrameAccounting before_;
};

}  // namespace peaknet::test
