// A producer in C++: `producer INSTANCE FRAMES` commits so many frames of a detector that this program plays itself.
// c++ -std=c++20 producer.cpp -lpeaknet_shm; peaknet_shm.hpp is the contract.
#include <peaknet_shm.hpp>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <span>
#include <string>

namespace {

// Spots of 2 x 2 pixels on a dark ground, in any geometry.
class Detector {
 public:
  explicit Detector(std::uint64_t frames) : left_(frames) {}
  bool next() { return left_-- > 0; }
  void read_into(std::span<std::byte> image) const {
    const std::span pixels(reinterpret_cast<std::uint16_t*>(image.data()), image.size() / sizeof(std::uint16_t));
    std::ranges::fill(pixels, std::uint16_t{10});
    for (std::size_t at = 1000; at + 1 < pixels.size(); at += 3000) pixels[at] = pixels[at + 1] = 2000;
  }
  std::uint64_t seconds() const { return 1'700'000'000 + left_; }
  std::uint64_t nanoseconds() const { return 0; }
  double photon_energy() const { return 9500; }

 private:
  std::uint64_t left_;
};

void log(const std::string& text) { std::cerr << text << "\n"; }

void produce(const std::string& instance, Detector detector) {
  peaknet_shm::Producer producer(instance, "my detector");
  while (detector.next()) {
    auto frame = producer.claim(std::chrono::seconds(1));  // a free slot, ours until commit
    if (!frame) continue;                                  // the pool is full: counted as refused
    detector.read_into(frame->image());                    // straight into shared memory
    frame->info().timestamp = detector.seconds() << 32 | detector.nanoseconds();
    frame->info().photon_energy_ev = detector.photon_energy();  // leave it NaN if you do not know it
    frame->commit();
  }
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 3) {
    log("usage: producer INSTANCE FRAMES");
    return 2;
  }
  try {
    produce(arguments[1], Detector(std::strtoull(arguments[2], nullptr, 10)));
  } catch (const std::exception& failure) {
    log(failure.what());
    return 1;
  }
  return 0;
}
