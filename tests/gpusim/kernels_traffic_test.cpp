// How much memory the product's kernels touch, beside the least that would do: the table of docs/benchmarks.md, section
// "Simulated devices", and its limits. What is counted: warp_trace.hpp.
#include <gtest/gtest.h>

#include <cstdio>
#include <utility>

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

// Bytes that one event is, in and out: no kernel can do with less.
struct Needs {
  std::uint64_t event, input, logits, mask;
};

// One event through both kernels as the engine runs them: normalised, with counts of what is not finite.
template <class Pixel>
Needs process(const Shape& shape, PixelType type, Element element) {
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
  auto* odd = gpu.room<std::uint64_t>(1);
  cuda->before(layout, &event, 1, view(gpu.room<float>(pixels), 1), &odd, gpu.stream());
  auto* mask = gpu.room<std::uint64_t>(layout.mask_words());
  auto* not_finite = gpu.room<std::uint64_t>(1);
  cuda->after(layout, view(gpu.copy(std::vector<float>(2 * pixels, 1.0F)), 2), &mask, &not_finite, 1, gpu.stream());
  const auto size = static_cast<std::uint64_t>(kernels::size_of(element));
  return {pixels * sizeof(Pixel), pixels * size, 2 * pixels * size, layout.mask_words() * 8};
}

// What each kernel has done since `before`.
std::map<std::string, KernelTotals> since(const std::map<std::string, KernelTotals>& before) {
  std::map<std::string, KernelTotals> all = kernel_totals();
  for (const auto& [name, old] : before) {
    KernelTotals& now = all.at(name);
    now.launches -= old.launches;
    for (auto [sum, part] : {std::pair{&now.loads, &old.loads}, {&now.stores, &old.stores}}) {
      sum->sectors -= part->sectors;
      sum->least -= part->least;
    }
  }
  std::erase_if(all, [](const auto& one) { return one.second.launches == 0; });
  return all;
}

double ratio(std::uint64_t sectors, std::uint64_t least) {
  return static_cast<double>(sectors) / static_cast<double>(least);
}

void print(const Shape& shape, const std::string& name, const KernelTotals& totals) {
  std::printf("| %ux%ux%u | `%s` |", shape.panels, shape.height, shape.width, name.c_str());
  for (const Traffic* traffic : {&totals.loads, &totals.stores})
    std::printf(" %lu | %lu | %.2f |", traffic->sectors, traffic->least, ratio(traffic->sectors, traffic->least));
  std::printf(" %u |\n", totals.wide_division_sites);
}

// By both measures: what its instructions ask for, and what the event is.
void judge(const std::string& name, const KernelTotals& totals, std::uint64_t in, std::uint64_t out) {
  constexpr double kMost = 1.15;
  EXPECT_LE(ratio(totals.loads.sectors, totals.loads.least), kMost) << name;
  EXPECT_LE(ratio(totals.stores.sectors, totals.stores.least), kMost) << name;
  EXPECT_LE(ratio(totals.loads.sectors, in / kSector), kMost) << name;
  EXPECT_LE(ratio(totals.stores.sectors, out / kSector), kMost) << name;
  EXPECT_EQ(totals.wide_division_sites, 0U) << name;
}

TEST(KernelsTraffic, pack_and_fill_touch_hardly_more_sectors_than_they_must_and_divide_nothing_of_64_bits) {
  int judged = 0;
  for (const Shape& shape : {Shape{1, 1920, 1920}, Shape{16, 352, 384}}) {
    for (const bool floating : {false, true}) {
      const auto before = kernel_totals();
      const Needs needs = floating ? process<float>(shape, PixelType::float32, Element::bfloat16)
                                   : process<std::uint16_t>(shape, PixelType::uint16, Element::float32);
      for (const auto& [name, totals] : since(before)) {
        print(shape, name, totals);
        const bool fill = name.starts_with("fill<"), pack = name.starts_with("pack<");
        if (fill) judge(name, totals, needs.event, needs.input);
        if (pack) judge(name, totals, needs.logits, needs.mask);
        judged += fill || pack;
      }
    }
  }
  EXPECT_EQ(judged, 8);
}

}  // namespace
}  // namespace peaknet::gpusim
