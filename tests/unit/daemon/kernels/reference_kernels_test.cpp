#include "daemon/kernels/reference_kernels.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "base/pixel_type.hpp"

namespace peaknet::kernels {
namespace {

template <class Pixel>
constexpr PixelType kTypeOf = PixelType::float32;
template <>
constexpr PixelType kTypeOf<std::uint16_t> = PixelType::uint16;
template <>
constexpr PixelType kTypeOf<std::int16_t> = PixelType::int16;

enum class Pad { bottom_right, center };

template <class Pixel>
FrameLayout layout_of(std::uint32_t panels, std::uint32_t height, std::uint32_t width, std::uint32_t padded_height,
                      std::uint32_t padded_width, Pad pad = Pad::bottom_right) {
  FrameLayout layout;
  layout.pixel_type = static_cast<std::uint32_t>(kTypeOf<Pixel>);
  layout.panels = panels;
  layout.height = height;
  layout.width = width;
  layout.padded_height = padded_height;
  layout.padded_width = padded_width;
  if (pad == Pad::center) {
    layout.top = (padded_height - height) / 2;
    layout.left = (padded_width - width) / 2;
  }
  return layout;
}

template <class Pixel>
const std::byte* bytes(const std::vector<Pixel>& pixels) {
  return reinterpret_cast<const std::byte*>(pixels.data());
}

// Pixels over the whole range of their type.
template <class Pixel>
std::vector<Pixel> some_event(const FrameLayout& layout, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<Pixel> pixels(std::size_t{layout.panels} * layout.height * layout.width);
  for (auto& pixel : pixels) {
    if constexpr (std::is_same_v<Pixel, float>) {
      pixel = std::uniform_real_distribution<float>(-1000.0F, 70000.0F)(random);
    } else {
      pixel = static_cast<Pixel>(std::uniform_int_distribution<int>(std::numeric_limits<Pixel>::min(),
                                                                    std::numeric_limits<Pixel>::max())(random));
    }
  }
  return pixels;
}

// The network's input with a mark in every element, to see what is written and what is left alone.
class Input {
 public:
  static constexpr std::uint8_t kMark = 0xa5;
  Input(const FrameLayout& layout, std::int64_t events, Element element = Element::float32)
      : memory_(static_cast<std::size_t>(events * layout.panels * layout.padded_height * layout.padded_width *
                                         size_of(element)),
                std::byte{kMark}),
        view_(contiguous(memory_.data(), element, events * layout.panels, 1, layout.padded_height,
                         layout.padded_width)) {}

  const TensorView& view() const { return view_; }
  template <class Stored = float>
  Stored at(std::int64_t row, std::int64_t y, std::int64_t x) const {
    Stored value;
    const auto index = static_cast<std::size_t>(row * view_.strides[0] + y * view_.strides[2] + x);
    std::memcpy(&value, memory_.data() + index * sizeof value, sizeof value);
    return value;
  }
  bool untouched(std::int64_t row) const {
    const auto plane = static_cast<std::ptrdiff_t>(view_.strides[0] * size_of(view_.element));
    return std::all_of(memory_.begin() + row * plane, memory_.begin() + (row + 1) * plane,
                       [](std::byte b) { return b == std::byte{kMark}; });
  }

 private:
  std::vector<std::byte> memory_;
  TensorView view_;
};

// What the padded event is, pixel by pixel, in a type that holds every count exactly.
template <class Pixel>
std::vector<double> padded(const FrameLayout& layout, const std::vector<Pixel>& event) {
  std::vector<double> out(std::size_t{layout.panels} * layout.padded_height * layout.padded_width, 0.0);
  for (std::size_t p = 0; p < layout.panels; ++p) {
    for (std::size_t y = 0; y < layout.height; ++y) {
      for (std::size_t x = 0; x < layout.width; ++x) {
        out[(p * layout.padded_height + y + layout.top) * layout.padded_width + x + layout.left] =
            static_cast<double>(event[(p * layout.height + y) * layout.width + x]);
      }
    }
  }
  return out;
}

// Mean and 1/sqrt(variance + eps) of the padded event, in long double, mean first.
struct Judge {
  long double mean = 0, variance = 0, scale = 0;
  explicit Judge(const std::vector<double>& values) {
    for (const double value : values) mean += static_cast<long double>(value);
    mean /= static_cast<long double>(values.size());
    for (const double value : values) {
      variance += (static_cast<long double>(value) - mean) * (static_cast<long double>(value) - mean);
    }
    variance /= static_cast<long double>(values.size());
    scale = 1.0L / std::sqrt(variance + 1e-5L);
  }
};

// Equal to the rounded value or to one of its neighbours.
testing::AssertionResult next_to(float value, long double expected) {
  const auto rounded = static_cast<float>(expected);
  if (value >= std::nextafter(rounded, -INFINITY) && value <= std::nextafter(rounded, INFINITY)) {
    return testing::AssertionSuccess();
  }
  return testing::AssertionFailure() << value << " is not next to " << rounded;
}

template <class Pixel>
class Before : public testing::Test {};
using PixelTypes = testing::Types<std::uint16_t, std::int16_t, float>;
struct PixelNames {
  template <class Pixel>
  static std::string GetName(int) {
    return std::string(name(kTypeOf<Pixel>));
  }
};
TYPED_TEST_SUITE(Before, PixelTypes, PixelNames);

TYPED_TEST(Before, counts_arrive_exactly_and_all_around_them_is_zero_for_both_paddings_and_several_panels) {
  for (const Pad pad : {Pad::bottom_right, Pad::center}) {
    for (const std::uint32_t panels : {1U, 3U}) {
      const auto layout = layout_of<TypeParam>(panels, 5, 7, 8, 12, pad);
      const std::vector<std::vector<TypeParam>> events = {some_event<TypeParam>(layout, 1),
                                                          some_event<TypeParam>(layout, 2)};
      const std::array<const std::byte*, 2> addresses = {bytes(events[0]), bytes(events[1])};
      const Input input(layout, 2);
      ReferenceKernels().before(layout, addresses.data(), 2, input.view(), nullptr);
      for (std::int64_t row = 0; row < 2 * panels; ++row) {
        const auto expected = padded(layout, events[static_cast<std::size_t>(row / panels)]);
        for (std::int64_t y = 0; y < 8; ++y) {
          for (std::int64_t x = 0; x < 12; ++x) {
            const auto index = static_cast<std::size_t>(((row % panels) * 8 + y) * 12 + x);
            ASSERT_EQ(static_cast<double>(input.at(row, y, x)), expected[index]) << row << " " << y << " " << x;
          }
        }
      }
    }
  }
}

TYPED_TEST(Before, an_image_of_the_networks_size_is_not_padded) {
  const auto layout = layout_of<TypeParam>(1, 6, 9, 6, 9, Pad::center);
  const auto event = some_event<TypeParam>(layout, 3);
  const auto* address = bytes(event);
  const Input input(layout, 1);
  ReferenceKernels().before(layout, &address, 1, input.view(), nullptr);
  for (std::int64_t i = 0; i < 54; ++i) {
    ASSERT_EQ(input.at(0, i / 9, i % 9), static_cast<float>(event[static_cast<std::size_t>(i)])) << i;
  }
}

TYPED_TEST(Before, instance_norm_is_that_of_the_whole_padded_event_as_long_double_computes_it) {
  for (const Pad pad : {Pad::bottom_right, Pad::center}) {
    for (const std::uint32_t panels : {1U, 4U}) {
      auto layout = layout_of<TypeParam>(panels, 33, 61, 64, 64, pad);
      layout.normalise = true;
      const auto event = some_event<TypeParam>(layout, 4 + panels);
      const auto values = padded(layout, event);
      const Judge judge(values);
      const auto normal = normalisation_of(layout, bytes(event));
      EXPECT_TRUE(next_to(normal.mean, judge.mean));
      EXPECT_TRUE(next_to(normal.scale, judge.scale));

      const auto* address = bytes(event);
      const Input input(layout, 1);
      ReferenceKernels().before(layout, &address, 1, input.view(), nullptr);
      for (std::int64_t i = 0; i < static_cast<std::int64_t>(values.size()); ++i) {
        const float expected = (static_cast<float>(values[static_cast<std::size_t>(i)]) - normal.mean) * normal.scale;
        ASSERT_EQ(input.at(i / 4096, i / 64 % 64, i % 64), expected)
            << "padding is normalised like every other zero, " << i;
      }
    }
  }
}

TYPED_TEST(Before, pedestal_gain_and_bad_pixels_come_first_and_the_norm_is_that_of_what_they_leave) {
  auto layout = layout_of<TypeParam>(2, 13, 21, 32, 32, Pad::center);
  const auto event = some_event<TypeParam>(layout, 9);
  std::vector<float> pedestal(event.size());
  std::vector<float> gain(event.size());
  std::vector<std::uint8_t> bad(event.size());
  for (std::size_t i = 0; i < event.size(); ++i) {
    pedestal[i] = 100.3F + static_cast<float>(i % 17) * 0.7F;
    gain[i] = 0.9F + static_cast<float>(i % 5) * 0.05F;
    bad[i] = i % 29 == 3 ? 200 : 0;
  }
  for (const bool norm : {false, true}) {
    for (int which = 1; which < 8; ++which) {
      layout.normalise = norm;
      layout.calibration = {(which & 1) != 0 ? pedestal.data() : nullptr, (which & 2) != 0 ? gain.data() : nullptr,
                            (which & 4) != 0 ? bad.data() : nullptr};
      // As NumPy does it in float32: each step rounded, bad pixels set to zero.
      std::vector<float> counts(event.size());
      for (std::size_t i = 0; i < event.size(); ++i) {
        volatile float value = static_cast<float>(event[i]);
        if ((which & 1) != 0) value = value - pedestal[i];
        if ((which & 2) != 0) value = value * gain[i];
        counts[i] = (which & 4) != 0 && bad[i] != 0 ? 0.0F : value;
      }
      const auto values = padded(layout, counts);
      const Judge judge(values);
      Normalisation normal;
      if (norm) {
        normal = normalisation_of(layout, bytes(event));
        EXPECT_TRUE(next_to(normal.mean, judge.mean));
        EXPECT_TRUE(next_to(normal.scale, judge.scale));
      }
      const auto* address = bytes(event);
      const Input input(layout, 1);
      ReferenceKernels().before(layout, &address, 1, input.view(), nullptr);
      for (std::int64_t i = 0; i < static_cast<std::int64_t>(values.size()); ++i) {
        const float expected = (static_cast<float>(values[static_cast<std::size_t>(i)]) - normal.mean) * normal.scale;
        ASSERT_EQ(input.at(i / 1024, i / 32 % 32, i % 32), expected) << which << " " << i;
      }
    }
  }
}

TYPED_TEST(Before, each_event_of_a_batch_is_normalised_by_itself) {
  auto layout = layout_of<TypeParam>(2, 8, 8, 8, 8);
  layout.normalise = true;
  const auto first = some_event<TypeParam>(layout, 8);
  const std::vector<TypeParam> flat(first.size(), TypeParam{7});
  const std::array<const std::byte*, 3> addresses = {bytes(first), bytes(flat), bytes(first)};
  const Input input(layout, 3);
  ReferenceKernels().before(layout, addresses.data(), 3, input.view(), nullptr);
  for (std::int64_t i = 0; i < 128; ++i) {
    EXPECT_EQ(input.at(i / 64, i / 8 % 8, i % 8), input.at(4 + i / 64, i / 8 % 8, i % 8));
    EXPECT_EQ(input.at(2 + i / 64, i / 8 % 8, i % 8), 0.0F) << "no spread: every pixel is the mean";
  }
}

TYPED_TEST(Before, rows_beyond_the_events_of_a_partial_batch_are_left_as_they_are) {
  const auto layout = layout_of<TypeParam>(2, 5, 7, 8, 8, Pad::center);
  const auto event = some_event<TypeParam>(layout, 9);
  const auto* address = bytes(event);
  const Input input(layout, 4);
  ReferenceKernels().before(layout, &address, 1, input.view(), nullptr);
  EXPECT_FALSE(input.untouched(0));
  EXPECT_FALSE(input.untouched(1));
  for (std::int64_t row = 2; row < 8; ++row) EXPECT_TRUE(input.untouched(row)) << row;
}

TYPED_TEST(Before, the_half_precisions_are_the_float32_input_rounded) {
  auto layout = layout_of<TypeParam>(2, 9, 13, 16, 16, Pad::center);
  for (const bool normalise : {false, true}) {
    layout.normalise = normalise;
    const auto event = some_event<TypeParam>(layout, 10);
    const auto* address = bytes(event);
    const Input exact(layout, 1);
    const Input brain(layout, 1, Element::bfloat16);
    const Input half(layout, 1, Element::float16);
    for (const auto* input : {&exact, &brain, &half})
      ReferenceKernels().before(layout, &address, 1, input->view(), nullptr);
    for (std::int64_t row = 0; row < 2; ++row) {
      for (std::int64_t i = 0; i < 256; ++i) {
        ASSERT_EQ(brain.template at<std::uint16_t>(row, i / 16, i % 16), to_bfloat16(exact.at(row, i / 16, i % 16)));
        ASSERT_EQ(half.template at<std::uint16_t>(row, i / 16, i % 16), input_float16(exact.at(row, i / 16, i % 16)));
      }
    }
  }
}

// 4 million pixels: a float32 sum would be wrong in the first digits, a variance from float64 sums of squares in all of
// them.
template <class Pixel>
void expect_exact(Pixel low, Pixel high, long double mean, long double variance) {
  const auto layout = layout_of<Pixel>(1, 2048, 2048, 2048, 2048);
  std::vector<Pixel> event(std::size_t{2048} * 2048);
  for (std::size_t i = 0; i < event.size(); ++i) event[i] = i % 2 == 0 ? low : high;
  const auto normal = normalisation_of(layout, bytes(event));
  EXPECT_EQ(normal.mean, static_cast<float>(mean));
  EXPECT_EQ(normal.scale, static_cast<float>(1.0L / std::sqrt(variance + 1e-5L)));
}

TEST(Normalisation, four_million_16_bit_pixels_far_from_zero_are_summed_exactly) {
  expect_exact<std::uint16_t>(59999, 60001, 60000.0L, 1.0L);
  expect_exact<std::uint16_t>(65535, 65535, 65535.0L, 0.0L);
  expect_exact<std::uint16_t>(0, 65535, 32767.5L, 32767.5L * 32767.5L);
  expect_exact<std::int16_t>(-32768, -32768, -32768.0L, 0.0L);
  expect_exact<std::int16_t>(-30001, -29999, -30000.0L, 1.0L);
  expect_exact<std::int16_t>(-32768, 32767, -0.5L, 32767.5L * 32767.5L);
}

TEST(Normalisation, one_pixel_apart_in_four_million_is_still_seen) {
  const auto layout = layout_of<std::uint16_t>(1, 2048, 2048, 2048, 2048);
  std::vector<std::uint16_t> event(std::size_t{2048} * 2048, 60000);
  event[1234567] = 60001;
  const long double n = 2048.0L * 2048.0L;
  const long double variance = (n - 1) / n / n;
  EXPECT_EQ(normalisation_of(layout, bytes(event)).scale, static_cast<float>(1.0L / std::sqrt(variance + 1e-5L)));
}

TEST(Normalisation, four_million_float_pixels_far_from_zero_keep_their_variance) {
  expect_exact<float>(59999.0F, 60001.0F, 60000.0L, 1.0L);
  expect_exact<float>(-1.0e6F - 0.25F, -1.0e6F + 0.25F, -1.0e6L, 0.0625L);
}

TEST(Normalisation, the_zeros_of_the_padding_count) {
  const auto layout = layout_of<std::uint16_t>(1, 2, 2, 4, 4);
  const std::vector<std::uint16_t> event(4, 40);  // 4 of 16 pixels: mean 10, variance (4 * 900 + 12 * 100) / 16
  const auto normal = normalisation_of(layout, bytes(event));
  EXPECT_EQ(normal.mean, 10.0F);
  EXPECT_EQ(normal.scale, static_cast<float>(1.0L / std::sqrt(300.0L + 1e-5L)));
}

// Logits anywhere in memory, with any strides, and masks with a mark, so that a word which is not written is seen.
struct After {
  FrameLayout layout;
  std::uint32_t classes;
  std::uint32_t events;
  bool channels_last = false;
  std::int64_t gap = 0;  // elements between rows of the image, as a slice of something wider has

  std::vector<std::vector<std::uint64_t>> run(const std::vector<float>& values,
                                              Element element = Element::float32) const {
    const std::int64_t height = layout.padded_height;
    const std::int64_t width = layout.padded_width + gap;
    const auto rows = static_cast<std::int64_t>(events * layout.panels);
    TensorView view = contiguous(nullptr, element, rows, classes, height, layout.padded_width);
    const auto k = static_cast<std::int64_t>(classes);
    if (channels_last) {
      const std::int64_t strides[4] = {height * width * k, 1, width * k, k};
      std::copy_n(strides, 4, view.strides);
    } else {
      const std::int64_t strides[4] = {height * width * k, height * width, width, 1};
      std::copy_n(strides, 4, view.strides);
    }
    const auto elements = static_cast<std::size_t>(rows * view.strides[0]);
    std::vector<float> wide(elements, 1e30F);  // what lies between must not matter
    std::vector<std::uint16_t> narrow(elements);
    for (std::int64_t i = 0; i < static_cast<std::int64_t>(values.size()); ++i) {
      const std::int64_t x = i % layout.padded_width;
      const std::int64_t y = i / layout.padded_width % height;
      const std::int64_t c = i / layout.padded_width / height % k;
      const std::int64_t row = i / layout.padded_width / height / k;
      const auto at = static_cast<std::size_t>(row * view.strides[0] + c * view.strides[1] + y * view.strides[2] +
                                               x * view.strides[3]);
      wide[at] = values[static_cast<std::size_t>(i)];
      narrow[at] = element == Element::bfloat16 ? to_bfloat16(wide[at]) : to_float16(wide[at]);
    }
    view.data = element == Element::float32 ? static_cast<void*>(wide.data()) : narrow.data();
    std::vector<std::vector<std::uint64_t>> masks(events,
                                                  std::vector<std::uint64_t>(layout.mask_words(), 0xa5a5a5a5a5a5a5a5U));
    std::vector<std::uint64_t*> places;
    for (auto& mask : masks) places.push_back(mask.data());
    ReferenceKernels().after(layout, view, places.data(), events, nullptr);
    return masks;
  }

  std::size_t value_count() const {
    return std::size_t{events} * layout.panels * classes * layout.padded_height * layout.padded_width;
  }
  // torch.argmax(dim=1) == 1 at a pixel of the image, written down plainly.
  bool peak(const std::vector<float>& values, std::uint32_t row, std::uint32_t y, std::uint32_t x) const {
    std::uint32_t best = 0;
    const auto at = [&](std::uint32_t k) {
      const std::size_t line = (std::size_t{row} * classes + k) * layout.padded_height + y + layout.top;
      return values[line * layout.padded_width + x + layout.left];
    };
    for (std::uint32_t k = 1; k < classes; ++k) {
      if (!std::isnan(at(best)) && (std::isnan(at(k)) || at(k) > at(best))) best = k;
    }
    return best == 1;
  }
  std::vector<std::vector<std::uint64_t>> expected(const std::vector<float>& values) const {
    std::vector<std::vector<std::uint64_t>> masks(events, std::vector<std::uint64_t>(layout.mask_words(), 0));
    for (std::uint32_t row = 0; row < events * layout.panels; ++row) {
      for (std::uint32_t y = 0; y < layout.height; ++y) {
        for (std::uint32_t x = 0; x < layout.width; ++x) {
          const auto word = (std::size_t{row % layout.panels} * layout.height + y) * layout.words_per_row() + x / 64;
          if (peak(values, row, y, x)) masks[row / layout.panels][word] |= std::uint64_t{1} << (x % 64);
        }
      }
    }
    return masks;
  }
};

// Few different values, so that ties are common, with the special ones among them. All are exact in the half
// precisions.
std::vector<float> some_logits(std::size_t count, unsigned seed) {
  const std::array<float, 8> choice = {-1.0F, 0.0F, -0.0F, 0.5F, 1.0F, INFINITY, -INFINITY, NAN};
  std::mt19937 random(seed);
  std::vector<float> values(count);
  for (auto& value : values) value = choice[random() % choice.size()];
  return values;
}

TEST(After, a_mask_is_the_argmax_of_torch_for_two_to_five_classes_both_paddings_and_awkward_widths) {
  unsigned seed = 0;
  for (const std::uint32_t width : {1U, 63U, 64U, 65U, 127U, 128U, 130U}) {
    for (const Pad pad : {Pad::bottom_right, Pad::center}) {
      for (std::uint32_t classes = 2; classes <= 5; ++classes) {
        const After after{layout_of<std::uint16_t>(2, 3, width, 8, (width + 31) / 32 * 32, pad), classes, 2};
        const auto values = some_logits(after.value_count(), ++seed);
        ASSERT_EQ(after.run(values), after.expected(values)) << width << " wide, " << classes << " classes";
      }
    }
  }
}

TEST(After, bits_beyond_the_width_are_zero_also_where_every_pixel_is_a_peak) {
  for (const std::uint32_t width : {1U, 63U, 64U, 65U, 127U}) {
    const After after{layout_of<std::uint16_t>(1, 4, width, 8, 160, Pad::center), 2, 1};
    std::vector<float> values(after.value_count(), 0.0F);
    std::fill(values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end(), 1.0F);
    const auto mask = after.run(values).front();
    ASSERT_EQ(mask.size(), 4 * ((width + 63) / 64));
    for (std::size_t i = 0; i < mask.size(); ++i) {
      const std::size_t word = i % after.layout.words_per_row();
      const std::size_t bits = std::min<std::size_t>(64, width - 64 * word);
      EXPECT_EQ(mask[i], bits == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << bits) - 1)
          << width << " wide, word " << i;
    }
  }
}

TEST(After, where_all_classes_are_equal_nothing_is_a_peak) {
  for (const std::uint32_t classes : {2U, 5U}) {
    const After after{layout_of<std::uint16_t>(1, 8, 65, 8, 96), classes, 1};
    const auto mask = after.run(std::vector<float>(after.value_count(), 0.25F)).front();
    EXPECT_EQ(mask, std::vector<std::uint64_t>(mask.size(), 0));
  }
}

TEST(After, logits_may_lie_in_memory_as_channels_last_or_as_a_slice_of_something_wider) {
  for (const bool channels_last : {false, true}) {
    for (const std::int64_t gap : {std::int64_t{0}, std::int64_t{3}}) {
      const After after{layout_of<std::uint16_t>(2, 9, 65, 16, 96, Pad::center), 3, 2, channels_last, gap};
      const auto values = some_logits(after.value_count(), 77);
      EXPECT_EQ(after.run(values), after.expected(values)) << channels_last << " " << gap;
    }
  }
}

TEST(After, logits_of_the_half_precisions_give_the_same_mask) {
  const After after{layout_of<std::uint16_t>(1, 31, 127, 32, 128), 4, 3};
  const auto values = some_logits(after.value_count(), 78);
  EXPECT_EQ(after.run(values, Element::bfloat16), after.expected(values));
  EXPECT_EQ(after.run(values, Element::float16), after.expected(values));
}

TEST(After, only_the_events_of_a_partial_batch_get_a_mask) {
  After after{layout_of<std::uint16_t>(2, 8, 70, 8, 96), 2, 4};
  const auto values = some_logits(after.value_count(), 79);
  const auto expected = after.expected(values);
  std::vector<float> copy = values;
  const TensorView view = contiguous(copy.data(), Element::float32, 8, 2, 8, 96);
  std::vector<std::uint64_t> mask(after.layout.mask_words());
  auto* place = mask.data();
  ReferenceKernels().after(after.layout, view, &place, 1, nullptr);
  EXPECT_EQ(mask, expected[0]);
}

}  // namespace
}  // namespace peaknet::kernels
