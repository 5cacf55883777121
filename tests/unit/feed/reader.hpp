// What arrives in the pool, as a device would see it. Takes frames out of Q1 and lets them go, so that a pool of few
// slots does for many frames.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <vector>

#include "feed/frame_source.hpp"
#include "shm/consumer.hpp"
#include "tests/support/instance.hpp"

namespace peaknet::test {

struct Arrived {
  shm::FrameDescriptor info;
  std::vector<std::byte> image;

  template <class Pixel>
  std::vector<Pixel> pixels() const {
    std::vector<Pixel> values(image.size() / sizeof(Pixel));
    std::memcpy(values.data(), image.data(), image.size());
    return values;
  }
};

class Reader {
 public:
  explicit Reader(const TestInstance& instance);
  // Everything that waits in Q1 now, in order.
  std::vector<Arrived> take();

 private:
  std::unique_ptr<shm::Consumer> q1_, q2_;
};

// One frame of a source, without a pool. Throws its error.
Arrived fill(feed::FrameSource& source, std::uint64_t index);
// The error of a frame that must not be had.
Error fill_error(feed::FrameSource& source, std::uint64_t index);

// A file's name in a folder of this test alone, which is removed at the end of the process.
std::string temporary_file(const std::string& name);

}  // namespace peaknet::test
