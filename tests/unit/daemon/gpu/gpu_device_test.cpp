// The CUDA device and kernels against the host's: the same bits, whatever the pixels, the layout and the precision.
// Skipped where there is no GPU.
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <vector>

#include "base/pixel_type.hpp"
#include "daemon/device/cuda_device.hpp"
#include "daemon/device/cuda_driver.hpp"
#include "daemon/device/host_device.hpp"
#include "daemon/kernels/reference_kernels.hpp"

namespace peaknet::device {
namespace {

constexpr std::uint32_t kEvents = 3;

std::unique_ptr<Device> first_gpu() {
  const auto names = cuda_device_names().value();
  if (names.empty()) return nullptr;
  auto device = make_cuda_device(names.front());
  if (!device) ADD_FAILURE() << device.error().text();
  return device ? std::move(*device) : nullptr;
}

// Slots as a pool has them: an image, and behind it its mask, at equal distances.
struct Slots {
  kernels::FrameLayout layout;
  std::size_t image_bytes, slot_bytes;
  std::vector<std::uint64_t> memory;
  Slots(const kernels::FrameLayout& of, unsigned seed)
      : layout(of),
        image_bytes(std::size_t{of.panels} * of.height * of.width * size_of(static_cast<PixelType>(of.pixel_type))),
        slot_bytes((image_bytes + 4095) / 4096 * 4096 + (of.mask_words() * 8 + 4095) / 4096 * 4096),
        memory(kEvents * slot_bytes / 8) {
    std::mt19937 random(seed);
    for (std::uint32_t i = 0; i < kEvents; ++i) {
      for (std::size_t k = 0; k * size_of(static_cast<PixelType>(of.pixel_type)) < image_bytes; ++k) {
        if (static_cast<PixelType>(of.pixel_type) == PixelType::float32) {
          const float value = std::normal_distribution<float>(100.0F, 30.0F)(random);
          std::memcpy(image(i) + 4 * k, &value, 4);
        } else {
          const auto value = static_cast<std::uint16_t>(random() % 30000);
          std::memcpy(image(i) + 2 * k, &value, 2);
        }
      }
    }
  }
  std::byte* image(std::uint32_t i) { return reinterpret_cast<std::byte*>(memory.data()) + i * slot_bytes; }
  std::span<std::uint64_t> mask(std::uint32_t i) {
    return {memory.data() + (i * slot_bytes + (image_bytes + 4095) / 4096 * 4096) / 8, layout.mask_words()};
  }
};

// Upload, preprocessing, the network's input taken for logits of two classes, masks, download. Below the image is a
// line of padding, the other class of its last line: behind the input is memory that nobody has written.
std::vector<std::uint64_t> masks_of(Device& device, Slots& slots, const kernels::Element element) {
  const auto& layout = slots.layout;
  EXPECT_LT(layout.top + layout.height, layout.padded_height);
  const std::uint32_t rows = kEvents * layout.panels;
  const std::size_t plane = std::size_t{layout.padded_height} * layout.padded_width;
  EXPECT_TRUE(device.adopt_payload(std::as_writable_bytes(std::span(slots.memory)), slots.slot_bytes).ok());
  auto images = device.reserve(kEvents * slots.image_bytes).value();
  auto logits = device.reserve(2 * rows * plane * 4).value();
  auto masks = device.reserve(kEvents * layout.mask_words() * 8).value();
  const auto uploaded = device.upload({slots.image(0), slots.image_bytes, slots.slot_bytes, kEvents}, images->address(),
                                      slots.image_bytes);
  std::vector<const std::byte*> events;
  std::vector<std::uint64_t*> places;
  for (std::uint32_t i = 0; i < kEvents; ++i) {
    events.push_back(uploaded.images.image(i));
    places.push_back(device.result_place(slots.mask(i),
                                         reinterpret_cast<std::uint64_t*>(masks->address()) + i * layout.mask_words()));
  }
  const Event ready = device.make_event();
  const Event computed = device.make_event();
  device.record(ready, Stream::upload);
  device.wait(Stream::compute, ready);
  device.compute([&](void* stream) {
    // Both planes of a row are its input; shifted by one pixel they differ.
    auto view = kernels::contiguous(logits->address(), element, rows, 1, layout.padded_height, layout.padded_width);
    device.kernels().before(layout, events.data(), kEvents, view, stream);
    view.shape[1] = 2;
    view.strides[1] = layout.padded_width;  // the line below is the other class
    device.kernels().after(layout, view, places.data(), kEvents, stream);
  });
  device.record(computed, Stream::compute);
  device.wait(Stream::download, computed);
  for (std::uint32_t i = 0; i < kEvents; ++i) device.download(places[i], slots.mask(i));
  const auto reached = device.synchronize();
  EXPECT_TRUE(reached.ok()) << reached.error().text();
  std::vector<std::uint64_t> all;
  for (std::uint32_t i = 0; i < kEvents; ++i) all.insert(all.end(), slots.mask(i).begin(), slots.mask(i).end());
  return all;
}

TEST(Gpu, masks_are_those_of_the_host_bit_for_bit) {
  if (cuda_device_names().value().empty()) GTEST_SKIP() << "there is no GPU";
  unsigned seed = 1;
  for (const auto pixel : {PixelType::uint16, PixelType::int16, PixelType::float32}) {
    for (const auto element : {kernels::Element::float32, kernels::Element::bfloat16, kernels::Element::float16}) {
      for (const bool normalise : {false, true}) {
        for (const std::uint32_t panels : {1U, 4U}) {
          kernels::FrameLayout layout;
          layout.pixel_type = static_cast<std::uint32_t>(pixel);
          layout.panels = panels;
          layout.height = 185;
          layout.width = 388;
          layout.padded_height = 192;
          layout.padded_width = 416;
          layout.top = 3;
          layout.left = 14;
          layout.normalise = normalise;
          Slots slots(layout, ++seed);
          const auto gpu = first_gpu();
          ASSERT_NE(gpu, nullptr);
          const auto found = masks_of(*gpu, slots, element);
          Slots again(layout, seed);
          const auto host = make_host_device();
          EXPECT_EQ(found, masks_of(*host, again, element)) << name(pixel) << ", panels " << panels;
        }
      }
    }
  }
}

TEST(Gpu, neighbouring_slots_come_in_one_transfer_from_registered_memory) {
  const auto gpu = first_gpu();
  if (gpu == nullptr) GTEST_SKIP() << "there is no GPU";
  std::vector<std::byte> payload(std::size_t{64} << 20U);
  EXPECT_TRUE(gpu->adopt_payload(payload, std::size_t{4} << 20U).ok());
  EXPECT_EQ(gpu->h2d_mode(), "registered");
  auto lane = gpu->reserve(std::size_t{16} << 20U).value();
  const auto uploaded = gpu->upload({payload.data(), 1 << 20, 4 << 20, 16}, lane->address(), 1 << 20);
  EXPECT_EQ(uploaded.transfers, 1U);
  EXPECT_TRUE(gpu->synchronize().ok());
}

TEST(Gpu, slots_that_cannot_be_registered_go_through_pinned_pieces_and_come_back_the_same) {
  kernels::FrameLayout layout;
  layout.pixel_type = static_cast<std::uint32_t>(PixelType::uint16);
  layout.panels = 2;
  layout.height = 1600;  // larger than a piece
  layout.padded_height = 1601;
  layout.width = layout.padded_width = 1408;
  Slots slots(layout, 5);
  const auto holder = first_gpu();
  if (holder == nullptr) GTEST_SKIP() << "there is no GPU";
  ASSERT_TRUE(holder->adopt_payload(std::as_writable_bytes(std::span(slots.memory)), slots.slot_bytes).ok());
  const auto gpu = first_gpu();
  const auto found = masks_of(*gpu, slots, kernels::Element::float32);  // registered already: refused
  EXPECT_EQ(gpu->h2d_mode(), "staged");
  Slots again(layout, 5);
  EXPECT_EQ(found, masks_of(*make_host_device(), again, kernels::Element::float32));
}

TEST(Gpu, what_was_recorded_is_done_by_a_replay_and_not_before) {
  const auto gpu = first_gpu();
  if (gpu == nullptr) GTEST_SKIP() << "there is no GPU";
  kernels::FrameLayout layout;
  layout.pixel_type = static_cast<std::uint32_t>(PixelType::uint16);
  layout.panels = 1;
  layout.height = layout.padded_height = 64;
  layout.width = layout.padded_width = 64;
  std::vector<std::uint64_t> mask(layout.mask_words(), 1);
  std::vector<float> logits(2 * 64 * 64, 0.0F);
  std::fill(logits.begin() + 64 * 64, logits.end(), 1.0F);  // class 1 everywhere
  auto there = gpu->reserve(logits.size() * sizeof(float)).value();
  auto place = gpu->reserve(mask.size() * 8).value();
  const auto bytes = std::as_bytes(std::span(logits));
  gpu->upload({bytes.data(), bytes.size(), bytes.size(), 1}, there->address(), bytes.size());
  ASSERT_TRUE(gpu->synchronize().ok());
  auto* bits = reinterpret_cast<std::uint64_t*>(place->address());
  std::unique_ptr<Graph> graph;
  gpu->compute([&](void* stream) {
    ASSERT_TRUE(gpu->graphs()->begin(stream).ok());
    gpu->kernels().after(layout, kernels::contiguous(there->address(), kernels::Element::float32, 1, 2, 64, 64), &bits,
                         1, stream);
    auto recorded = gpu->graphs()->end(stream);
    ASSERT_TRUE(recorded.ok()) << recorded.error().text();
    graph = std::move(*recorded);
  });
  ASSERT_NE(graph, nullptr);
  gpu->compute([&](void* stream) { EXPECT_TRUE(graph->replay(stream).ok()); });
  ASSERT_TRUE(gpu->synchronize().ok());
  gpu->download(bits, mask);
  ASSERT_TRUE(gpu->synchronize().ok());
  EXPECT_EQ(mask, std::vector<std::uint64_t>(64, ~std::uint64_t{0}));
}

}  // namespace
}  // namespace peaknet::device
