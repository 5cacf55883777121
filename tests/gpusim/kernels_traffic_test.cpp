// How much memory the product's kernels touch, beside the least that would do: the table of docs/benchmarks.md, section
// "Simulated devices", and its limits. What is counted: warp_trace.hpp.
#include <gtest/gtest.h>

#include <cstdio>

#include "base/pixel_type.hpp"
#include "daemon/kernels/cuda_kernels.hpp"
#include "tests/gpusim/gpu_memory.hpp"
#include "tests/gpusim/simulator.hpp"

namespace peaknet::gpusim {
namespace {

using kernels::Element;

struct Shape {
  std::uint32_t panels, height, width;
};

// One event through both kernels, normalised.
template <class Pixel>
void process(const Shape& shape, PixelType type, Element element) {
  kernels::FrameLayout layout;
  layout.pixel_type = static_cast<std::uint32_t>(type);
  layout.panels = shape.panels;
  layout.height = layout.padded_height = shape.height;
  layout.width = layout.padded_width = shape.width;
  layout.normalise = true;
  const std::size_t pixels = std::size_t{shape.panels} * shape.height * shape.width;
  GpuMemory gpu;
  const auto cuda = kernels::make_cuda_kernels();
  const auto view = [&](void* data, int channels) {
    return kernels::contiguous(data, element, shape.panels, channels, shape.height, shape.width);
  };
  const auto* event = reinterpret_cast<const std::byte*>(gpu.copy(std::vector<Pixel>(pixels, Pixel{7})));
  cuda->before(layout, &event, 1, view(gpu.room<float>(pixels), 1), gpu.stream());
  auto* mask = gpu.room<std::uint64_t>(layout.mask_words());
  cuda->after(layout, view(gpu.copy(std::vector<float>(2 * pixels, 1.0F)), 2), &mask, 1, gpu.stream());
}

double ratio(const Traffic& traffic) {
  return static_cast<double>(traffic.sectors) / static_cast<double>(traffic.least);
}

// What each kernel did since `before`, as lines of a table.
void print_since(const std::map<std::string, KernelTotals>& before, const Shape& shape) {
  for (const auto& [name, now] : kernel_totals()) {
    const auto found = before.find(name);
    const KernelTotals old = found == before.end() ? KernelTotals{} : found->second;
    if (now.launches == old.launches) continue;
    const std::uint64_t loads = now.loads.sectors - old.loads.sectors, loads_least = now.loads.least - old.loads.least;
    const std::uint64_t stores = now.stores.sectors - old.stores.sectors;
    const std::uint64_t stores_least = now.stores.least - old.stores.least;
    std::printf("| %ux%ux%u | `%s` | %lu | %lu | %.2f | %lu | %lu | %.2f | %u |\n", shape.panels, shape.height,
                shape.width, name.c_str(), loads, loads_least,
                static_cast<double>(loads) / static_cast<double>(loads_least), stores, stores_least,
                static_cast<double>(stores) / static_cast<double>(stores_least), now.wide_division_sites);
  }
}

TEST(KernelsTraffic, pack_and_fill_touch_hardly_more_sectors_than_they_must_and_divide_nothing_of_64_bits) {
  for (const Shape& shape : {Shape{1, 1920, 1920}, Shape{16, 352, 384}}) {
    auto before = kernel_totals();
    process<std::uint16_t>(shape, PixelType::uint16, Element::float32);
    print_since(before, shape);
    before = kernel_totals();
    process<float>(shape, PixelType::float32, Element::bfloat16);
    print_since(before, shape);
  }
  int judged = 0;
  for (const auto& [name, totals] : kernel_totals()) {
    if (!name.starts_with("fill<") && !name.starts_with("pack<")) continue;
    ++judged;
    EXPECT_LE(ratio(totals.loads), 1.15) << name;
    EXPECT_LE(ratio(totals.stores), 1.15) << name;
    EXPECT_EQ(totals.wide_division_sites, 0U) << name;
  }
  EXPECT_EQ(judged, 4);
}

}  // namespace
}  // namespace peaknet::gpusim
