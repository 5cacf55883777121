// Seeds: small sound messages of every dialect and packing, for tests that change them at random and for the fuzzers.
// All of them fit one pool.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "shm/geometry.hpp"

namespace peaknet::test {

inline constexpr shm::Geometry kSeedFrames{8, 2, 5, 6, PixelType::float32};

struct Seed {
  std::string dialect;  // as feed::name(Dialect) has it
  std::string name;
  std::vector<std::byte> message;
};

std::vector<Seed> seeds();

}  // namespace peaknet::test
