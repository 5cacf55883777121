// The CUDA kernels beside the reference: the same bits for random layouts, pixels, calibrations, strides and classes,
// with the values that make kernels differ: NaN, infinities, denormals, ties, what overflows, what cancels.
//
// A seed is a case that can be made again: PEAKNET_TEST_SEED=n makes that one, PEAKNET_TEST_STORIES=m so many from
// there on. A few dozen in the default run, 1000 in the soak form.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <string>

#include "base/pixel_type.hpp"
#include "daemon/kernels/cuda_kernels.hpp"
#include "daemon/kernels/reference_kernels.hpp"
#include "tests/gpusim/gpu_memory.hpp"

namespace peaknet::gpusim {
namespace {

using kernels::Element;
using kernels::FrameLayout;
using kernels::TensorView;

#if defined(PEAKNET_SOAK)
constexpr unsigned kCases = 1000;
#else
constexpr unsigned kCases = 40;
#endif

class Dice {
 public:
  explicit Dice(unsigned seed) : random_(seed) {}
  std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(random_() % n); }
  bool one_in(std::uint32_t n) { return below(n) == 0; }
  std::uint32_t bits() { return static_cast<std::uint32_t>(random_()); }
  float usual() { return std::normal_distribution<float>(100.0F, 30.0F)(random_); }
  float odd() {
    constexpr float kInfinity = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();
    static constexpr std::array kOdd = {0.0F,     -0.0F,   1.0F,    -1.0F,           kInfinity, -kInfinity, kNan,
                                        1e-45F,   -1e-45F, 3.4e38F, 1.17549435e-38F, -3.4e38F,  65504.0F,   65519.9F,
                                        65520.0F, 6e-8F,   2.9e-8F, 1e-4F,           255.5F,    32767.0F};
    if (one_in(4)) return kOdd[below(kOdd.size())];
    return one_in(4) ? std::bit_cast<float>(bits()) : usual();
  }
  // Sums of these depend on their order: whatever is large has its opposite.
  float cancelling() { return (one_in(2) ? 1.0F : -1.0F) * (one_in(3) ? 3e37F : one_in(2) ? 1e20F : usual()); }

 private:
  std::mt19937_64 random_;
};

std::size_t bytes_of(Element element) { return static_cast<std::size_t>(kernels::size_of(element)); }

// With `wild` any bits of a half now and then.
void store(Element element, std::byte* at, float value, Dice& dice, bool wild) {
  if (element == Element::float32) {
    std::memcpy(at, &value, 4);
    return;
  }
  std::uint16_t half = element == Element::bfloat16 ? kernels::to_bfloat16(value) : kernels::to_float16(value);
  if (wild && dice.one_in(9)) half = static_cast<std::uint16_t>(dice.bits());
  std::memcpy(at, &half, 2);
}
float load(Element element, const std::byte* at) {
  if (element == Element::float32) {
    float value = 0;
    std::memcpy(&value, at, 4);
    return value;
  }
  std::uint16_t half = 0;
  std::memcpy(&half, at, 2);
  return element == Element::bfloat16 ? kernels::from_bfloat16(half) : kernels::from_float16(half);
}

// One layout with its events and logits; both forms of the kernels do the same work on it.
class Case {
 public:
  explicit Case(unsigned seed) : dice_(seed) {
    choose_layout();
    choose_pixels();
    choose_calibration();
    choose_logits();
  }
  void compare(kernels::Kernels& cuda) {
    std::vector<std::byte> input = expected_input();
    std::vector<std::uint64_t> masks = expected_masks();
    run_on(cuda);
    const std::size_t step = bytes_of(element_);
    for (std::size_t i = 0; i < input.size(); i += step) {
      const float want = load(element_, &input[i]), got = load(element_, &got_input_[i]);
      const bool same =
          std::equal(&input[i], &input[i] + step, &got_input_[i]) || (kernels::is_nan(want) && kernels::is_nan(got));
      ASSERT_TRUE(same) << "input element " << i / step << ": " << got << " instead of " << want << ", " << text();
    }
    for (std::size_t i = 0; i < masks.size(); ++i) ASSERT_EQ(got_masks_[i], masks[i]) << "word " << i << ", " << text();
    ASSERT_EQ(got_not_finite_, not_finite_) << text();
    ASSERT_EQ(got_odd_, odd_) << text();
  }
  std::string text() const {
    const auto& l = layout_;
    std::string out = std::to_string(events_) + " events of " + std::to_string(l.panels) + "x" +
                      std::to_string(l.height) + "x" + std::to_string(l.width) + " at " + std::to_string(l.top) + "," +
                      std::to_string(l.left) + " of " + std::to_string(l.padded_height) + "x" +
                      std::to_string(l.padded_width) + ", pixel type " + std::to_string(l.pixel_type) +
                      (l.normalise ? ", normalised" : "") + ", input element " +
                      std::to_string(static_cast<int>(element_)) + ", calibration " + std::to_string(calibration_) +
                      ", logits of element " + std::to_string(static_cast<int>(logits_.element)) + " with strides";
    for (const std::int64_t stride : logits_.strides) out += " " + std::to_string(stride);
    return out;
  }

 private:
  void choose_layout() {
    FrameLayout& l = layout_;
    l.pixel_type = 1 + dice_.below(3);
    l.panels = 1 + dice_.below(3);
    l.height = 1 + dice_.below(dice_.one_in(4) ? 150 : 20);
    l.width = 1 + dice_.below(dice_.one_in(3) ? 500 : 80);
    l.padded_height = l.height + dice_.below(8);
    l.padded_width = l.width + dice_.below(40);
    l.top = dice_.below(l.padded_height - l.height + 1);
    l.left = dice_.below(l.padded_width - l.width + 1);
    l.normalise = dice_.one_in(2);
    element_ = static_cast<Element>(dice_.below(3));
    events_ = dice_.one_in(8) ? 60 + dice_.below(80) : 1 + dice_.below(4);
    pixels_ = std::size_t{l.panels} * l.height * l.width;
    rows_ = std::int64_t{events_} * l.panels;
  }
  void choose_pixels() {
    const bool floating = static_cast<PixelType>(layout_.pixel_type) == PixelType::float32;
    images_.resize(events_ * pixels_ * (floating ? 4 : 2));
    const std::uint32_t kind = dice_.below(4);
    looks_ = !dice_.one_in(4);
    for (std::size_t i = 0; i < events_ * pixels_; ++i) {
      if (floating) {
        const bool rare = kind == 2 && dice_.one_in(200);
        const float value = kind == 0 || rare ? dice_.odd() : kind == 1 ? dice_.cancelling() : dice_.usual();
        std::memcpy(&images_[4 * i], &value, 4);
      } else {
        const auto value = static_cast<std::uint16_t>(kind == 0   ? 32767 + 32768 * dice_.below(2) + dice_.below(2)
                                                      : kind == 1 ? dice_.bits()
                                                                  : 50 + dice_.below(100));
        std::memcpy(&images_[2 * i], &value, 2);
      }
    }
  }
  void choose_calibration() {
    pedestal_.resize(pixels_);
    gain_.resize(pixels_);
    bad_.resize(pixels_);
    for (std::size_t i = 0; i < pixels_; ++i) {
      pedestal_[i] = static_cast<float>(dice_.below(100)) / 7;
      gain_[i] = dice_.one_in(100) ? dice_.odd() : 0.5F + static_cast<float>(dice_.below(100)) / 77;
      bad_[i] = dice_.one_in(50) ? static_cast<std::uint8_t>(1 + dice_.below(255)) : std::uint8_t{0};
    }
    calibration_ = dice_.one_in(2) ? 0 : dice_.below(8);  // without one, counts of 16 bits have kernels of their own
  }
  void choose_logits() {
    logits_.element = static_cast<Element>(dice_.below(3));
    const std::array<std::int64_t, 4> shape = {rows_, 2 + dice_.below(3), layout_.padded_height, layout_.padded_width};
    std::array<std::size_t, 4> order = {0, 1, 2, 3};  // from the outermost
    if (dice_.one_in(2)) {
      for (std::size_t i = 3; i > 0; --i) std::swap(order[i], order[dice_.below(static_cast<std::uint32_t>(i) + 1)]);
    }
    std::int64_t step = 1 + (dice_.one_in(4) ? 1 : 0);
    for (std::size_t i = 4; i-- > 0;) {
      logits_.shape[order[i]] = shape[order[i]];
      logits_.strides[order[i]] = step;
      step *= shape[order[i]] + dice_.below(2);
    }
    const bool ties = dice_.one_in(2);  // and then all are finite, but for about one of an event
    const auto of_event = static_cast<std::uint32_t>(step / events_ + 1);
    const std::uint32_t rare = dice_.one_in(4) ? ~0U : of_event;
    logit_values_.resize(static_cast<std::size_t>(step) * bytes_of(logits_.element));
    for (std::size_t i = 0; i < logit_values_.size(); i += bytes_of(logits_.element))
      store(logits_.element, &logit_values_[i], ties ? tie(rare) : dice_.odd(), dice_, !ties);
  }

  float tie(std::uint32_t rare) {
    if (dice_.one_in(rare)) return dice_.one_in(2) ? NAN : dice_.one_in(2) ? INFINITY : -INFINITY;
    return static_cast<float>(dice_.below(3));
  }

  TensorView input_at(void* data) const {
    return kernels::contiguous(data, element_, rows_, 1, layout_.padded_height, layout_.padded_width);
  }
  std::size_t input_bytes() const {
    return static_cast<std::size_t>(rows_) * layout_.padded_height * layout_.padded_width * bytes_of(element_);
  }
  FrameLayout with_calibration(const float* pedestal, const float* gain, const std::uint8_t* bad) const {
    FrameLayout layout = layout_;
    if ((calibration_ & 1U) != 0) layout.calibration.pedestal = pedestal;
    if ((calibration_ & 2U) != 0) layout.calibration.gain = gain;
    if ((calibration_ & 4U) != 0) layout.calibration.bad = bad;
    return layout;
  }
  std::vector<const std::byte*> events_at(const std::byte* images) const {
    std::vector<const std::byte*> all;
    for (std::uint32_t i = 0; i < events_; ++i) all.push_back(images + i * (images_.size() / events_));
    return all;
  }
  // The same number of words of each event.
  std::vector<std::uint64_t*> places(std::uint64_t* words, std::size_t of_event) const {
    std::vector<std::uint64_t*> all;
    for (std::uint32_t i = 0; i < events_; ++i) all.push_back(words + i * of_event);
    return all;
  }
  void pack_with(kernels::Kernels& form, std::uint64_t* masks, std::uint64_t* not_finite, void* stream) const {
    const auto at = places(masks, layout_.mask_words());
    form.after(layout_, logits_, at.data(), looks_ ? places(not_finite, 1).data() : nullptr, events_, stream);
  }

  void fill_with(kernels::Kernels& form, const FrameLayout& layout, const std::byte* images, void* input,
                 std::uint64_t* odd, void* stream) const {
    form.before(layout, events_at(images).data(), events_, input_at(input), looks_ ? places(odd, 1).data() : nullptr,
                stream);
  }

  std::vector<std::byte> expected_input() {
    std::vector<std::byte> input(input_bytes());
    odd_.assign(events_, 0);
    kernels::ReferenceKernels reference;
    fill_with(reference, with_calibration(pedestal_.data(), gain_.data(), bad_.data()), images_.data(), input.data(),
              odd_.data(), nullptr);
    return input;
  }
  std::vector<std::uint64_t> expected_masks() {
    std::vector<std::uint64_t> masks(events_ * layout_.mask_words());
    logits_.data = logit_values_.data();
    not_finite_.assign(events_, 0);
    kernels::ReferenceKernels reference;
    pack_with(reference, masks.data(), not_finite_.data(), nullptr);
    return masks;
  }
  void run_on(kernels::Kernels& cuda) {
    GpuMemory gpu;
    const FrameLayout layout = with_calibration(gpu.copy(pedestal_), gpu.copy(gain_), gpu.copy(bad_));
    auto* input = gpu.room<std::byte>(input_bytes());
    auto* odd = gpu.room<std::uint64_t>(events_);
    fill_with(cuda, layout, gpu.copy(images_), input, odd, gpu.stream());
    logits_.data = gpu.copy(logit_values_);
    auto* masks = gpu.room<std::uint64_t>(events_ * layout_.mask_words());
    auto* flags = gpu.room<std::uint64_t>(events_);
    pack_with(cuda, masks, flags, gpu.stream());
    got_input_ = gpu.values(input, input_bytes());
    got_masks_ = gpu.values(masks, events_ * layout_.mask_words());
    got_odd_ = looks_ ? gpu.values(odd, events_) : odd_;
    got_not_finite_ = looks_ ? gpu.values(flags, events_) : not_finite_;
  }

  Dice dice_;
  FrameLayout layout_{};
  Element element_{};  // of the input
  std::uint32_t events_ = 0;
  std::size_t pixels_ = 0;  // of an event
  std::int64_t rows_ = 0;
  std::vector<std::byte> images_;
  std::vector<float> pedestal_, gain_;
  std::vector<std::uint8_t> bad_;
  std::uint32_t calibration_ = 0;  // bits: pedestal, gain, bad pixels
  TensorView logits_{};
  std::vector<std::byte> logit_values_;
  bool looks_ = false;  // for pixels and logits that are not finite
  std::vector<std::uint64_t> not_finite_, got_not_finite_, odd_, got_odd_;
  std::vector<std::byte> got_input_;
  std::vector<std::uint64_t> got_masks_;
};

TEST(KernelsFuzz, input_and_masks_are_those_of_the_reference_bit_for_bit) {
  const char* chosen = std::getenv("PEAKNET_TEST_SEED");
  const char* wanted = std::getenv("PEAKNET_TEST_STORIES");
  const unsigned first = chosen != nullptr ? static_cast<unsigned>(std::strtoul(chosen, nullptr, 10)) : 1;
  const unsigned all = chosen != nullptr ? 1 : kCases;
  const unsigned count = wanted != nullptr ? static_cast<unsigned>(std::strtoul(wanted, nullptr, 10)) : all;
  const auto cuda = kernels::make_cuda_kernels();
  for (unsigned seed = first; seed < first + count; ++seed) {
    Case one(seed);
    one.compare(*cuda);
    ASSERT_FALSE(HasFailure()) << "PEAKNET_TEST_SEED=" << seed << " makes this case again";
  }
}

}  // namespace
}  // namespace peaknet::gpusim
