// After the first frame the peak finder allocates nothing. This test replaces operator new of its whole program.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <random>

#include "frames.hpp"
#include "peaks/peak_finder.hpp"

namespace {
std::atomic<std::size_t> allocations{0};

void* counted(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
}  // namespace

// Not inlined: gcc would see free() meet a pointer of an operator new that it takes for the usual one.
[[gnu::noinline]] void* operator new(std::size_t size) { return counted(size); }
[[gnu::noinline]] void* operator new[](std::size_t size) { return counted(size); }
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete[](void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }

namespace peaknet::writer {
namespace {

TEST(Allocation, NoneAfterTheFirstFrameWhateverTheMask) {
  std::mt19937 random(4);
  std::vector<test::TestFrame> frames;
  frames.push_back(test::draw(300, 500, [](auto, auto) { return false; }));  // the first frame is the easiest
  for (const unsigned percent : {1U, 5U, 10U, 30U, 50U, 100U}) {
    frames.push_back(test::draw(300, 500, [&](auto, auto) { return random() % 100 < percent; }));
  }
  frames.push_back(test::draw(300, 500, [](auto y, auto x) { return (y + x) % 2 == 0; }));
  frames.push_back(test::draw(300, 500, [](auto y, auto x) { return y % 2 == 0 && x % 2 == 0; }));
  frames.push_back(test::draw(100, 200, [](auto y, auto x) { return y % 5 == 0 && x % 5 == 0; }));
  const std::vector<std::uint16_t> pixels(300 * 500, 5);
  const std::vector<float> floats(300 * 500, 5);

  PeakFinder finder;
  std::vector<Peak> peaks;
  finder.find(frames[0].mask(), {}, peaks);
  const std::size_t before = allocations;
  for (const auto& frame : frames) {
    finder.find(frame.mask(), {}, peaks);
    finder.find(frame.mask(), {pixels.data(), PixelType::uint16}, peaks);
    finder.find(frame.mask(), {floats.data(), PixelType::float32}, peaks);
  }
  EXPECT_EQ(allocations, before);
}

}  // namespace
}  // namespace peaknet::writer
