// SimulatedSource: random frames with Bragg-like peaks whose places are known. For tests, demonstrations and load.
//
// Frame i of seed S is always the same, whoever makes it and in whatever order: every random number comes from (S, i).
// A frame is one of a few precomputed backgrounds (Poisson-like noise about a smooth ring, as of water) with, if it is
// a hit, Gaussian spots, at least 12 pixels apart and 8 from every edge of their panel (as many as find room): 15 to
// 100 anywhere, or those of a crystal. After construction nothing changes: any number of threads may call everything at
// once.
//
// A crystal is lysozyme (79, 79, 38 angstrom) in an orientation of the frame's own, at 9500 eV, seen by a detector
// whose panels lie one above the other about the beam; spots are where a point of the reciprocal lattice touches the
// Ewald sphere, weaker at higher angles, the strongest 100 of them.
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
  bool crystal = false;
  // Side of the panels that are measured, if not the pool's: the rest is padding at the bottom and the right, zeros,
  // and the descriptor says so. 0: the pool's.
  std::uint32_t height = 0, width = 0;
  double dead_fraction = 0.0;    // of the pixels: the same ones in every frame, always zero
  std::uint32_t saturation = 0;  // no pixel has more counts; 0: no limit
};

struct SimulatedSpot {
  std::uint32_t panel = 0;
  float y = 0, x = 0;  // centre; whole numbers are the middles of pixels
  float peak = 0;      // counts at the centre, above the background
};

// What the detector did to a spot: pixels of its 9 x 9 that are dead, and that are at the limit.
struct SpotDamage {
  std::uint32_t dead = 0, saturated = 0;
};

class Random;

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
  SpotDamage damage(std::uint64_t frame, const SimulatedSpot& spot) const;
  // The counts that a spot adds to its frame, all pixels together, dead and saturated ones as if they were not.
  static double total(const SimulatedSpot& spot);

 private:
  shm::Geometry geometry_;
  SimulationOptions options_;
  std::vector<SimulatedSpot> anywhere(Random& random) const;
  std::vector<SimulatedSpot> lattice(Random& random) const;
  bool room_for(const std::vector<SimulatedSpot>& spots, const SimulatedSpot& spot) const;
  std::size_t background_of(std::uint64_t frame) const;
  std::vector<std::vector<std::byte>> backgrounds_;
  std::vector<std::uint32_t> dead_;  // indices of pixels, ascending
};

// The truth of all frames as CSV: frame,panel,y,x,intensity,saturated,dead (pixels), one line a spot. Errors:
// file.cannot-write.
Status write_truth(const SimulatedSource& source, const std::string& path);

}  // namespace peaknet::feed
