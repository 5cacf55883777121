// peaknet_test_instance: an instance for tests that are not C++: makes one, prints its name, and plays the daemon and
// the writer for whoever attaches, until its standard input ends.
//
//   peaknet_test_instance SLOTS PANELS HEIGHT WIDTH PIXEL_TYPE [no-device] [no-writer]
//
// The device marks the pixels above 1000; an event id of 666 makes it fail. The writer remembers what it finished. Each
// line of input is a command, answered by one line of JSON:
//   books        counters, free slots, imbalance (null while the counters do not settle)
//   finished     [[producer, producer_seq, event_id, value of every pixel or -1], ...] of the writer
//   next-epoch   a pool of twice the panels takes the place of this one
//   ask-close    asks the writers to finish their files, as peaknetctl stop does
//   close-answered   have all attached writers answered?
#include <algorithm>
#include <exception>
#include <iostream>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/instance.hpp"

namespace peaknet::test {
namespace {

using namespace std::chrono_literals;

template <class Pixel>
void mark(const shm::HeldFrame& frame) {
  const shm::Geometry& g = frame.geometry();
  const auto* pixels = reinterpret_cast<const Pixel*>(frame.image().data());
  for (std::size_t row = 0; row < std::size_t{g.panels} * g.height; ++row) {
    for (std::size_t x = 0; x < g.width; ++x) {
      std::uint64_t& word = frame.mask()[row * g.words_per_row() + x / 64];
      if (x % 64 == 0) word = 0;
      if (pixels[row * g.width + x] > Pixel{1000}) word |= std::uint64_t{1} << x % 64;
    }
  }
}

void play_device(const std::string& instance, std::stop_token stop) {
  auto device = must(shm::Consumer::attach(instance, shm::Queue::q1, "test device"));
  while (!stop.stop_requested()) {
    if (!device->participant().pool_is_live()) must(device->participant().follow_epoch());
    auto taken = device->take(4, shm::kMaxSequence, "run-1");
    if (taken.frames.empty()) device->wait_for_work(10ms);
    for (auto& frame : taken.frames) {
      const bool fails = frame.descriptor().event_id == 666;
      if (!fails && frame.geometry().pixel_type == PixelType::float32) mark<float>(frame);
      if (!fails && frame.geometry().pixel_type == PixelType::int16) mark<std::int16_t>(frame);
      if (!fails && frame.geometry().pixel_type == PixelType::uint16) mark<std::uint16_t>(frame);
      must(frame.publish(fails ? shm::ResultStatus::error : shm::ResultStatus::mask));
    }
  }
}

struct Finished {
  std::uint64_t producer, producer_seq, event_id;
  int value;
};

class Writer {
 public:
  void play(const std::string& instance, std::stop_token stop) {
    auto writer = must(shm::Consumer::attach(instance, shm::Queue::q2, "test writer"));
    while (!stop.stop_requested()) {
      if (!writer->participant().pool_is_live()) must(writer->participant().follow_epoch());
      auto taken = writer->take(4);
      if (taken.frames.empty()) writer->wait_for_work(10ms);
      for (auto& frame : taken.frames) {
        const auto& d = frame.descriptor();
        const Finished entry{d.producer, d.producer_seq, d.event_id, value_of(frame)};
        must(frame.finish(shm::Counter::written));
        const std::lock_guard lock(mutex_);
        finished_.push_back(entry);
      }
    }
  }
  void print(std::ostream& out) {
    const std::lock_guard lock(mutex_);
    out << "[";
    for (std::size_t i = 0; i < finished_.size(); ++i) {
      const Finished& f = finished_[i];
      out << (i == 0 ? "[" : ",[") << f.producer << "," << f.producer_seq << "," << f.event_id << "," << f.value << "]";
    }
    out << "]" << std::endl;
  }

 private:
  static int value_of(const shm::HeldFrame& frame) {
    if (frame.geometry().pixel_type != PixelType::uint16) return -1;
    const auto* pixels = reinterpret_cast<const std::uint16_t*>(frame.image().data());
    const bool same = std::all_of(pixels, pixels + frame.geometry().pixels(), [&](auto p) { return p == pixels[0]; });
    return same ? pixels[0] : -1;
  }
  std::mutex mutex_;
  std::vector<Finished> finished_;
};

void print_accounting(const TestInstance& instance, std::ostream& out) {
  const shm::FrameAccounting accounting = instance.accounting();
  out << "{";
  for (std::size_t i = 0; i < shm::kCounters; ++i)
    out << "\"" << shm::name(static_cast<shm::Counter>(i)) << "\":" << accounting.totals[i] << ",";
  out << "\"free\":" << accounting.slots[static_cast<std::size_t>(shm::SlotState::free)]
      << ",\"imbalance\":" << (accounting.settled ? std::to_string(accounting.imbalance()) : "null") << "}"
      << std::endl;
}

void ask_close(TestInstance& instance) {
  instance.layout().run.close_generation.fetch_add(1, std::memory_order_release);
  instance.pool().header().done_event.notify();
}

bool close_answered(TestInstance& instance) {
  const std::uint64_t asked = instance.layout().run.close_generation.load();
  for (const auto& record : instance.layout().participants) {
    if (record.presence.load() == shm::Presence::attached && record.role.load() == shm::Role::writer &&
        record.closed_generation.load(std::memory_order_acquire) < asked) {
      return false;
    }
  }
  return true;
}

int run(const std::vector<std::string>& arguments) {
  const auto number = [&](std::size_t i) { return static_cast<std::uint32_t>(std::stoul(arguments.at(i))); };
  shm::Geometry geometry{number(0), number(1), number(2), number(3), pixel_type_from(number(4)).value()};
  const auto plays = [&](const std::string& role) {
    return std::find(arguments.begin() + 5, arguments.end(), "no-" + role) == arguments.end();
  };
  TestInstance instance({.geometry = geometry});
  Writer writer;
  std::vector<std::jthread> players;
  if (plays("device")) players.emplace_back([&](std::stop_token stop) { play_device(instance.name(), stop); });
  if (plays("writer")) players.emplace_back([&](std::stop_token stop) { writer.play(instance.name(), stop); });
  std::cout << instance.name() << std::endl;
  for (std::string command; std::getline(std::cin, command);) {
    if (command == "books") {
      print_accounting(instance, std::cout);
    } else if (command == "finished") {
      writer.print(std::cout);
    } else if (command == "next-epoch") {
      geometry.panels *= 2;
      instance.next_epoch(geometry);
      std::cout << "null" << std::endl;
    } else if (command == "ask-close") {
      ask_close(instance);
      std::cout << "null" << std::endl;
    } else if (command == "close-answered") {
      std::cout << (close_answered(instance) ? "true" : "false") << std::endl;
    } else {
      throw std::invalid_argument("no command '" + command + "'");
    }
  }
  return 0;
}

}  // namespace
}  // namespace peaknet::test

int main(int count, char** arguments) {
  try {
    return peaknet::test::run({arguments + 1, arguments + count});
  } catch (const std::exception& failure) {
    std::cerr << "peaknet_test_instance: " << failure.what() << "\n";
    return 1;
  }
}
