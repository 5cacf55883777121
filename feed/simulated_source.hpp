// SimulatedSource: random frames with Bragg-like peaks whose places are known. For tests, demonstrations and load.
//
// Frame i of seed S is always the same, whoever makes it and in whatever order: every random number comes from (S, i).
// A frame is one of a few precomputed backgrounds (Poisson-like noise about a smooth ring, as of water) with, if it is
// a hit, 15 to 100 Gaussian spots, at least 12 pixels apart and 8 from every edge of their panel (as many as find
// room). After construction nothing changes: any number of threads may call everything at once.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "feed/frame_source.hpp"

namespace peaknet::feed {

struct SimulationOptions {
  std::uint64_t frames = 0;
  std::uint64_t seed = 1;
  double hit_fraction = 0.1;  // 0..1
};

struct SimulatedSpot {
  std::uint32_t panel = 0;
  float y = 0, x = 0;  // centre; whole numbers are the middles of pixels
  float peak = 0;      // counts at the centre, above the background
};

class SimulatedSource : public FrameSource {
 public:
  SimulatedSource(const shm::Geometry& geometry, const SimulationOptions& options);

  const shm::Geometry& geometry() const override { return geometry_; }
  std::uint64_t size() const override { return options_.frames; }
  // event_id is the frame's number, user[0] the number of its spots; energy 9500 eV; time as of a 120 Hz run. Never
  // fails.
  Result<Filled> fill(std::uint64_t index, SlotView slot) override;

  // The truth about a frame: none for a blank one.
  std::vector<SimulatedSpot> spots(std::uint64_t frame) const;
  // The counts that a spot adds to its frame, all pixels together.
  static double total(const SimulatedSpot& spot);

 private:
  shm::Geometry geometry_;
  SimulationOptions options_;
  std::vector<std::vector<std::byte>> backgrounds_;
};

// The truth of all frames as CSV: frame,panel,y,x,intensity, one line a spot. Errors: file.cannot-write.
Status write_truth(const SimulatedSource& source, const std::string& path);

}  // namespace peaknet::feed
