// A source of your own for libpeaknet_feed: `own_source INSTANCE FRAMES` plays so many frames of a detector of its own.
//
// A FrameSource is a numbered row of frames, each of which can be written into a claimed slot. The library does the
// rest: `play` claims, paces, commits, treats a full pool as its policy says, and counts.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stop_token>
#include <vector>

#include "feed/deliver.hpp"
#include "feed/frame_source.hpp"
#include "feed/play.hpp"

namespace {

namespace feed = peaknet::feed;
namespace shm = peaknet::shm;
using peaknet::Error;
using peaknet::PixelType;
using peaknet::Result;

// Spots of 1 x 2 pixels on a dark ground.
class OwnSource : public feed::FrameSource {
 public:
  OwnSource(const shm::Geometry& geometry, std::uint64_t frames) : geometry_(geometry), frames_(frames) {}
  const shm::Geometry& geometry() const override { return geometry_; }
  std::uint64_t size() const override { return frames_; }
  Result<feed::Filled> fill(std::uint64_t index, feed::SlotView slot) override {
    if (geometry_.pixel_type != PixelType::uint16) {
      return Error{"own.type", "this source makes uint16 images alone", "the frame was not used",
                   "set pool.dtype: uint16"};
    }
    auto* pixels = reinterpret_cast<std::uint16_t*>(slot.image.data());
    for (std::size_t i = 0; i < geometry_.pixels(); ++i) pixels[i] = i >= 1000 && (i - 1000) % 3000 < 2 ? 2000 : 10;
    slot.info.event_id = index;
    slot.info.photon_energy_ev = 9500.0;
    return feed::Filled{};
  }

 private:
  shm::Geometry geometry_;
  std::uint64_t frames_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: own_source INSTANCE FRAMES\n");
    return 2;
  }
  std::vector<std::unique_ptr<shm::Producer>> producers;
  auto producer = feed::attach_producer(argv[1], "my source", std::chrono::seconds(0), {});
  if (!producer) {
    std::fprintf(stderr, "%s\n", producer.error().text().c_str());
    return 1;
  }
  producers.push_back(std::move(*producer));
  OwnSource source(producers.front()->geometry(), std::strtoull(argv[2], nullptr, 10));
  feed::FeedCounters tally;
  const auto failure = feed::play(source, producers, feed::Speed{}, tally, std::stop_token{});
  if (failure) {
    std::fprintf(stderr, "%s\n", failure->error.text().c_str());
    return 1;
  }
  const feed::Counts counts = tally.counts();
  std::printf("%llu committed, %llu refused\n", static_cast<unsigned long long>(counts.committed),
              static_cast<unsigned long long>(counts.refused));
  return 0;
}
