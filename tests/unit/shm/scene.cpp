#include "tests/unit/shm/scene.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>

namespace peaknet::test {

using namespace std::chrono_literals;
using shm::Counter;
using shm::FrameAccounting;
using shm::FrameDescriptor;
using shm::ResultStatus;
using shm::SlotState;
using shm::StateWord;

void fill(shm::Frame& frame, std::uint64_t producer, std::uint64_t seq) {
  frame.info().event_id = producer << 32 | seq;
  const auto pixels = frame.pixels<std::uint16_t>();
  pixels[0] = pixels[pixels.size() / 2] = pixels[pixels.size() - 1] = static_cast<std::uint16_t>(producer * 257 + seq);
}

bool whole(const shm::HeldFrame& frame) {
  const FrameDescriptor& d = frame.descriptor();
  const auto* pixels = reinterpret_cast<const std::uint16_t*>(frame.image().data());
  const std::size_t n = frame.geometry().pixels();
  const auto value = static_cast<std::uint16_t>(d.producer * 257 + d.producer_seq);
  return d.event_id == (d.producer << 32 | d.producer_seq) && pixels[0] == value && pixels[n / 2] == value &&
         pixels[n - 1] == value;
}

void produce(shm::Producer& producer) {
  shm::Frame frame = must(producer.claim(1h));
  fill(frame, producer.number(), producer.committed());
  must(frame.commit());
}

unsigned states_of(const shm::Pool& pool) {
  unsigned states = 0;
  for (std::uint32_t slot = 0; slot < pool.geometry().slots; ++slot)
    states |= 1U << static_cast<unsigned>(StateWord::unpack(pool.word(slot).load()).state);
  return states;
}

Scene::Scene(shm::FullPolicy full, std::uint32_t slots) : instance_({.geometry = small_frames(slots), .full = full}) {
  producer_ = instance_.producer();
  device_ = instance_.consumer(shm::Queue::q1);
  writer_ = instance_.consumer(shm::Queue::q2);
}

void Scene::ready(int count) {
  for (int i = 0; i < count; ++i) {
    made_.insert({producer_->number(), producer_->committed()});
    produce(*producer_);
  }
}

void Scene::done(int count) {
  ready(count);
  for (auto& frame : device_->take(static_cast<std::size_t>(count)).frames) must(frame.publish(ResultStatus::mask));
}

void Scene::quarantined() {
  done(1);
  for (std::uint32_t slot = 0; slot < slots(); ++slot) {
    auto word = StateWord::unpack(instance_.pool().word(slot).load());
    if (word.state != SlotState::done) continue;
    word.state = SlotState::quarantined;
    word.attempts = shm::kMaxAttempts;
    instance_.pool().word(slot).store(word.pack());
  }
}

void Scene::begin() {
  made_.clear();
  seen_.clear();
  before_ = instance_.accounting();
}

void Scene::drain() {
  for (auto& frame : device_->take(slots()).frames) must(frame.publish(ResultStatus::mask));
  auto taken = writer_->take(slots());
  EXPECT_TRUE(taken.refused.empty());
  for (auto& frame : taken.frames) {
    EXPECT_TRUE(whole(frame)) << "torn: " << frame.descriptor().frame_name();
    EXPECT_EQ(frame.descriptor().result_status, static_cast<std::uint32_t>(ResultStatus::mask))
        << "published without its result: " << frame.descriptor().frame_name();
    see(frame.descriptor());
    must(frame.finish(Counter::written));
  }
}

void Scene::judge(const std::optional<Ledger>& ledger) {
  for (std::uint32_t slot = 0; slot < slots(); ++slot) {
    const auto word = StateWord::unpack(instance_.pool().word(slot).load());
    EXPECT_FALSE(word.held()) << "slot " << slot << " is " << shm::name(word.state) << " for ever";
  }
  EXPECT_BALANCED(instance_);
  drain();
  for (const auto& descriptor : survivor().clear_quarantine()) see(descriptor);
  EXPECT_EQ(instance_.slots_in(SlotState::free), slots()) << "slots lost";
  const FrameAccounting after = instance_.accounting();
  EXPECT_EQ(unbalanced(after), "");
  const std::uint64_t committed = after.total(Counter::committed) - before_.total(Counter::committed);
  const std::uint64_t vanished = after.outcomes() - before_.outcomes() - seen_.size();  // ended by others, and counted

  const auto missing = [](const std::set<FrameId>& from, const std::set<FrameId>& in) {
    return static_cast<std::uint64_t>(
        std::count_if(from.begin(), from.end(), [&](const FrameId& id) { return !in.contains(id); }));
  };
  if (!ledger) {  // one other participant alone, of whose frames we know what we saw
    std::set<FrameId> theirs = seen_;
    std::erase_if(theirs, [&](const FrameId& id) { return id.first == producer_->number(); });
    EXPECT_EQ(missing(seen_, made_), theirs.size()) << "a frame that was never made";
    EXPECT_EQ(committed, made_.size() + theirs.size())
        << "committed frames that nobody saw, or seen ones never committed";
    EXPECT_EQ(vanished, missing(made_, seen_)) << "frames disappeared uncounted";
    return;
  }
  std::set<FrameId> known = made_;
  known.insert(ledger->sure.begin(), ledger->sure.end());
  std::set<FrameId> possible = known;
  possible.insert(ledger->maybe.begin(), ledger->maybe.end());
  const std::uint64_t unsure = possible.size() - known.size();
  EXPECT_EQ(missing(seen_, possible), 0U) << "a frame that was never made";
  EXPECT_GE(committed, known.size()) << "a committed frame is not in the books";
  EXPECT_LE(committed, known.size() + unsure) << "a frame was counted twice";
  EXPECT_GE(vanished, missing(known, seen_)) << "frames disappeared uncounted";
  EXPECT_LE(vanished, missing(possible, seen_)) << "a frame was ended twice";
}

void Scene::see(const FrameDescriptor& descriptor) {
  EXPECT_TRUE(seen_.insert({descriptor.producer, descriptor.producer_seq}).second)
      << "twice: " << descriptor.frame_name();
}

}  // namespace peaknet::test
