#include "daemon/engine/trial.hpp"

#include <span>
#include <vector>

#include "base/pixel_type.hpp"
#include "daemon/model/golden.hpp"

namespace peaknet::engine {
namespace {

std::vector<std::uint8_t> bytes_of(const std::vector<std::uint64_t>& bits, const kernels::FrameLayout& layout) {
  std::vector<std::uint8_t> bytes;
  const std::uint64_t words = layout.words_per_row();
  for (std::uint64_t line = 0; line < std::uint64_t{layout.panels} * layout.height; ++line) {
    for (std::uint32_t x = 0; x < layout.width; ++x)
      bytes.push_back(static_cast<std::uint8_t>(bits[line * words + x / 64] >> (x % 64) & 1U));
  }
  return bytes;
}

}  // namespace

Result<std::string> try_golden(device::Device& device, model::Model& model, kernels::Element element) {
  using device::Stream;
  const auto read = model::read_golden(model.info().path);
  if (!read) return read.error();
  if (!read->has_value()) return std::string("none");
  const model::Golden& golden = **read;

  // One event whose panels are the rows, as float32 pixels that need no padding.
  kernels::FrameLayout layout;
  layout.pixel_type = static_cast<std::uint32_t>(PixelType::float32);
  layout.panels = golden.rows;
  layout.height = layout.padded_height = golden.height;
  layout.width = layout.padded_width = golden.width;
  const auto image = std::as_bytes(std::span(golden.input));
  std::vector<std::uint64_t> bits(layout.mask_words());
  auto raw = device.reserve(image.size());
  auto input = device.reserve(image.size());
  auto mask = device.reserve(bits.size() * sizeof(std::uint64_t));
  if (!raw) return raw.error();
  if (!input) return input.error();
  if (!mask) return mask.error();

  const device::Event uploaded = device.make_event();
  const device::Event computed = device.make_event();
  const auto event = device.upload({image.data(), image.size(), image.size(), 1}, (*raw)->address(), image.size());
  const std::byte* pixels = event.images.first;
  std::uint64_t* place = device.result_place(bits, reinterpret_cast<std::uint64_t*>((*mask)->address()));
  device.record(uploaded, Stream::upload);
  device.wait(Stream::compute, uploaded);
  Status outcome;
  device.compute([&](void* stream) {
    const auto view = kernels::contiguous((*input)->address(), element, golden.rows, 1, golden.height, golden.width);
    device.kernels().before(layout, &pixels, 1, view, stream);
    outcome = model.run(view, stream, [&](const kernels::TensorView& logits) {
      device.kernels().after(layout, logits, &place, 1, stream);
    });
  });
  device.record(computed, Stream::compute);
  device.wait(Stream::download, computed);
  device.download(place, bits);
  if (auto reached = device.synchronize(); !reached) return reached.error();
  if (!outcome) return outcome.error();

  const auto verdict = golden.compare(bytes_of(bits, layout));
  const std::string counts = std::to_string(verdict.differ) + " of " + std::to_string(golden.mask.size()) + " pixels";
  if (verdict.good()) {
    if (verdict.differ == 0) return std::string("equal");
    return counts + " differ, " + std::to_string(verdict.allowed) + " may";
  }
  return Error{
      "model.wrong-result",
      "the model " + model.info().path + " marks on " + device.name() +
          " other pixels of its stored input than where it was made: " + counts + " differ, " +
          std::to_string(verdict.allowed) + " may (" + std::to_string(verdict.marked) + " are marked in either)",
      "it was not used",
      "make model and golden files again with models/export.py on this kind of machine; remove both golden files "
      "to use it unchecked"};
}

}  // namespace peaknet::engine
