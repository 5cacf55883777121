#include "daemon/engine/model_verification.hpp"

#include <bit>
#include <cstring>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/pixel_type.hpp"
#include "daemon/engine/findings.hpp"
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

constexpr std::uint64_t kBitsPerDifference = 10'000;  // sums of floats may come out in another order

// Something like noise with something like peaks, another picture for each event.
std::vector<std::byte> made_up_events(const kernels::FrameLayout& layout, std::uint32_t events) {
  const std::size_t size = size_of(static_cast<PixelType>(layout.pixel_type));
  const std::size_t pixels = std::size_t{events} * layout.panels * layout.height * layout.width;
  std::vector<std::byte> bytes(pixels * size);
  std::uint32_t state = 1;
  for (std::size_t i = 0; i < pixels; ++i) {
    state = state * 1'664'525U + 1'013'904'223U;
    const auto counts = static_cast<std::int16_t>((state >> 16) % 50 + ((state >> 8) % 211 == 0 ? 20'000 : 0));
    const auto value = static_cast<float>(counts);
    std::memcpy(&bytes[i * size], size == sizeof value ? static_cast<const void*>(&value) : &counts, size);
  }
  return bytes;
}

// A look at the logits of each panel by itself, so that it can be told how many are concerned.
class PanelCheck {
 public:
  Status reserve(device::Device& device, const kernels::FrameLayout& layout, std::uint32_t panels) {
    one_ = layout;
    one_.panels = 1;
    one_.calibration = {};
    auto mask = device.reserve(one_.mask_words() * sizeof(std::uint64_t));
    if (!mask) return mask.error();
    auto findings = Findings::reserve(device, panels, 1);
    if (!findings) return findings.error();
    mask_ = std::move(*mask);
    findings_ = std::move(*findings);
    return {};
  }
  void begin(device::Device& device, std::uint32_t panels) {
    panels_ = panels;
    findings_.clear(device);
    findings_.begin(device, panels, 1);
  }
  // On the compute stream. Their masks, which nobody asks for, take each other's place.
  void look(kernels::Kernels& kernels, const kernels::TensorView& logits, void* stream) const {
    auto* mask = reinterpret_cast<std::uint64_t*>(mask_->address());
    for (std::uint32_t i = 0; i < panels_; ++i) {
      auto panel = logits;
      panel.shape[0] = 1;
      panel.data = static_cast<std::byte*>(logits.data) +
                   i * logits.strides[0] * static_cast<std::int64_t>(kernels::size_of(logits.element));
      kernels.after(one_, panel, &mask, findings_.not_finite_of_events() + i, 1, stream);
    }
  }
  void download(device::Device& device) { findings_.download(device); }
  // When that is done. `of`: what they are panels of.
  Status verdict(const device::Device& device, const model::ModelInfo& model, const std::string& of) const {
    std::uint32_t found = 0;
    std::uint32_t first = 0;
    for (std::uint32_t i = panels_; i-- > 0;) {
      if (!findings_.not_finite(i)) continue;
      ++found;
      first = i;
    }
    if (found == 0) return {};
    return not_finite(model.path + " gives on " + device.name() + " logits that are NaN or infinite in " +
                          std::to_string(found) + " of " + std::to_string(panels_) + " panels of " + of +
                          ", the first is panel " + std::to_string(first),
                      "it was not used");
  }

 private:
  kernels::FrameLayout one_;
  std::unique_ptr<device::Memory> mask_;
  Findings findings_;
  std::uint32_t panels_ = 0;
};

// What a verification of a replay needs.
struct Replay {
  std::vector<std::byte> pictures;
  std::unique_ptr<device::Memory> raw, masks;
  std::vector<std::uint64_t> bits;  // of a run, then of a replay
  std::vector<const std::byte*> events;
  std::vector<std::uint64_t*> places;
  Status outcome;
};

// What a verification of the stored input needs: one event whose panels are the rows, as float32 pixels that need no
// padding.
struct GoldenVerification {
  explicit GoldenVerification(model::Golden of) : golden(std::move(of)) {
    layout.pixel_type = static_cast<std::uint32_t>(PixelType::float32);
    layout.panels = golden.rows;
    layout.height = layout.padded_height = golden.height;
    layout.width = layout.padded_width = golden.width;
    bits.resize(layout.mask_words());
  }
  Status reserve(device::Device& device) {
    const std::size_t bytes = golden.input.size() * sizeof(float);
    for (auto [memory, size] :
         {std::pair{&raw, bytes}, std::pair{&input, bytes}, std::pair{&mask, bits.size() * sizeof(std::uint64_t)}}) {
      auto reserved = device.reserve(size);
      if (!reserved) return reserved.error();
      *memory = std::move(*reserved);
    }
    return panels.reserve(device, layout, layout.panels);
  }
  model::Golden golden;
  kernels::FrameLayout layout;
  std::unique_ptr<device::Memory> raw, input, mask;
  std::vector<std::uint64_t> bits;
  const std::byte* pixels = nullptr;
  std::uint64_t* place = nullptr;
  PanelCheck panels;
  Status outcome;
};

}  // namespace

Error not_finite(std::string what, std::string untouched) {
  return {"model.not-finite", "the model " + std::move(what), std::move(untouched),
          "look at its weights and at engine.precision: float16 ends at 65504; models/README.md"};
}

// The device may still come to it when nobody waits any more.
struct WarmUp::State {
  State(device::Device& on, const kernels::FrameLayout& of) : device(on), layout(of) {}
  device::Device& device;
  kernels::FrameLayout layout;
  std::vector<std::byte> picture;
  std::unique_ptr<device::Memory> raw;
  const std::byte* event = nullptr;
  std::vector<const std::byte*> events;
  PanelCheck panels;
  Status outcome;
};

Result<WarmUp> WarmUp::prepare(device::Device& device, const kernels::FrameLayout& layout) {
  auto state = std::make_shared<State>(device, layout);
  state->picture = made_up_events(layout, 1);
  auto raw = device.reserve(state->picture.size());
  if (!raw) return raw.error();
  state->raw = std::move(*raw);
  return WarmUp(std::move(state));
}

Status WarmUp::run(const std::shared_ptr<model::RecordedModel>& model, const kernels::TensorView& input,
                   std::uint32_t events, std::shared_ptr<void>& in_use, const DeviceWait& wait) const {
  using device::Stream;
  State& state = *state_;
  auto& device = state.device;
  // Panels of a batch that is padded, or of a pass of several, are not all those of its events.
  const auto rows = static_cast<std::uint32_t>(input.shape[0]);
  const std::uint32_t panels = std::min(rows, events * state.layout.panels);
  if (auto reserved = state.panels.reserve(device, state.layout, panels); !reserved) return reserved;
  state.panels.begin(device, panels);
  const std::size_t bytes = state.picture.size();
  const device::PassingEvent uploaded(device);
  const device::PassingEvent computed(device);
  state.event = device.upload({state.picture.data(), bytes, bytes, 1}, state.raw->address(), bytes).images.first;
  state.events.assign(events, state.event);
  device.record(uploaded, Stream::upload);
  device.wait(Stream::compute, uploaded);
  device.compute([shared = state_, model, input, events](void* stream) {
    auto& kernels = shared->device.kernels();
    kernels.before(shared->layout, shared->events.data(), events, input, stream);
    shared->outcome = model->run(
        input, stream, [&](const kernels::TensorView& logits) { shared->panels.look(kernels, logits, stream); });
  });
  device.record(computed, Stream::compute);
  device.wait(Stream::download, computed);
  state.panels.download(device);
  in_use = state_;
  if (auto reached = wait(); !reached) return reached;
  in_use.reset();
  if (!state.outcome) return state.outcome;
  return state.panels.verdict(device, model->info(), "a picture with noise and peaks");
}

Status try_recorded(device::Device& device, const std::shared_ptr<model::RecordedModel>& model,
                    const kernels::FrameLayout& layout, const kernels::TensorView& input, std::uint32_t events,
                    std::shared_ptr<void>& in_use, const DeviceWait& wait) {
  using device::Stream;
  const auto shared = std::make_shared<Replay>();
  Replay& verification = *shared;
  verification.pictures = made_up_events(layout, events);
  const std::size_t bytes = verification.pictures.size() / events;
  const std::size_t words = layout.mask_words();
  verification.bits.resize(std::size_t{2} * events * words);
  auto raw = device.reserve(verification.pictures.size());
  auto masks = device.reserve(verification.bits.size() * sizeof(std::uint64_t));
  if (!raw || !masks) {
    model->forget(input, "no memory to check it with");
    return {};
  }
  verification.raw = std::move(*raw);
  verification.masks = std::move(*masks);
  const auto there =
      device.upload({verification.pictures.data(), bytes, bytes, events}, verification.raw->address(), bytes);
  for (std::uint32_t i = 0; i < events; ++i) verification.events.push_back(there.images.image(i));
  for (std::uint32_t i = 0; i < 2 * events; ++i) {
    verification.places.push_back(
        device.result_place(std::span(verification.bits).subspan(i * words, words),
                            reinterpret_cast<std::uint64_t*>(verification.masks->address()) + i * words));
  }
  const device::PassingEvent uploaded(device);
  const device::PassingEvent computed(device);
  device.record(uploaded, Stream::upload);
  device.wait(Stream::compute, uploaded);
  device.compute([&device, shared, model, layout, input, events](void* stream) {
    auto& kernels = device.kernels();
    const auto mark = [&](std::uint64_t* const* places) {
      return [&, places](const kernels::TensorView& logits) { kernels.after(layout, logits, places, events, stream); };
    };
    kernels.before(layout, shared->events.data(), events, input, stream);
    shared->outcome = model->run_unrecorded(input, stream, mark(shared->places.data()));
    if (shared->outcome.ok()) shared->outcome = model->run(input, stream, mark(shared->places.data() + events));
  });
  device.record(computed, Stream::compute);
  device.wait(Stream::download, computed);
  for (std::uint32_t i = 0; i < 2 * events; ++i)
    device.download(verification.places[i], std::span(verification.bits).subspan(i * words, words));
  in_use = shared;
  if (auto reached = wait(); !reached) return reached;
  in_use.reset();
  if (!verification.outcome) return verification.outcome;
  std::uint64_t differ = 0;
  for (std::size_t i = 0; i < events * words; ++i)
    differ += static_cast<std::uint64_t>(std::popcount(verification.bits[i] ^ verification.bits[i + events * words]));
  const std::uint64_t pixels = std::uint64_t{events} * layout.panels * layout.height * layout.width;
  if (differ * kBitsPerDifference > pixels) {
    model->forget(input, "its replay marks " + std::to_string(differ) + " pixels otherwise");
    return {};
  }
  device.compute([model](void*) { model->trim(); });
  return wait();
}

Result<std::string> try_golden(device::Device& device, model::Model& model, kernels::Element element,
                               std::shared_ptr<void>& in_use, const DeviceWait& wait) {
  using device::Stream;
  auto read = model::read_golden(model.info().path);
  if (!read) return read.error();
  if (!read->has_value()) return std::string("none");
  const auto shared = std::make_shared<GoldenVerification>(std::move(**read));
  GoldenVerification& verification = *shared;
  const model::Golden& golden = verification.golden;
  if (auto reserved = verification.reserve(device); !reserved) return reserved.error();

  const auto image = std::as_bytes(std::span(golden.input));
  const device::PassingEvent uploaded(device);
  const device::PassingEvent computed(device);
  const auto event =
      device.upload({image.data(), image.size(), image.size(), 1}, verification.raw->address(), image.size());
  verification.pixels = event.images.first;
  verification.panels.begin(device, golden.rows);
  verification.place =
      device.result_place(verification.bits, reinterpret_cast<std::uint64_t*>(verification.mask->address()));
  device.record(uploaded, Stream::upload);
  device.wait(Stream::compute, uploaded);
  device.compute([&device, &model, shared, element](void* stream) {
    const auto view = kernels::contiguous(shared->input->address(), element, shared->golden.rows, 1,
                                          shared->golden.height, shared->golden.width);
    device.kernels().before(shared->layout, &shared->pixels, 1, view, stream);
    shared->outcome = model.run(view, stream, [&](const kernels::TensorView& logits) {
      device.kernels().after(shared->layout, logits, &shared->place, 1, stream);
      shared->panels.look(device.kernels(), logits, stream);
    });
  });
  device.record(computed, Stream::compute);
  device.wait(Stream::download, computed);
  device.download(verification.place, verification.bits);
  verification.panels.download(device);
  in_use = shared;
  if (auto reached = wait(); !reached) return reached.error();
  in_use.reset();
  if (!verification.outcome) return verification.outcome.error();
  if (auto finite = verification.panels.verdict(device, model.info(), "its stored input"); !finite)
    return finite.error();

  const auto verdict = golden.compare(bytes_of(verification.bits, verification.layout));
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
