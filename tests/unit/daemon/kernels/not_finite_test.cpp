// What a network gives that is no number is found while its logits are packed.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "daemon/kernels/reference_kernels.hpp"

namespace peaknet::kernels {
namespace {

struct Packed {
  std::vector<std::uint64_t> masks, not_finite;
};

// Two events of one panel, the image in the middle of its padding.
class NotFinite : public ::testing::Test {
 protected:
  static constexpr std::uint32_t kEvents = 2, kPadding = 2;
  void shape(std::uint32_t width, int classes, Element element, bool channels_last) {
    layout = {1, 1, 3, width, 3 + 2 * kPadding, width + 2 * kPadding, kPadding, kPadding};
    view = contiguous(nullptr, element, kEvents, classes, layout.padded_height, layout.padded_width);
    if (channels_last) {
      view.strides[1] = 1;
      view.strides[3] = classes;
      view.strides[2] = classes * layout.padded_width;
    }
    bytes.assign(static_cast<std::size_t>(kEvents * view.strides[0] * size_of(element)),
                 std::byte{0});  // zeros in each format
    view.data = bytes.data();
  }
  void set(std::int64_t event, std::int64_t k, std::int64_t y, std::int64_t x, float value) {
    const std::int64_t at = event * view.strides[0] + k * view.strides[1] + y * view.strides[2] + x * view.strides[3];
    if (view.element == Element::float32) {
      static_cast<float*>(view.data)[at] = value;
    } else {
      static_cast<std::uint16_t*>(view.data)[at] =
          view.element == Element::bfloat16 ? to_bfloat16(value) : to_float16(value);
    }
  }
  Packed pack() {
    Packed out{std::vector<std::uint64_t>(kEvents * layout.mask_words()), std::vector<std::uint64_t>(kEvents, 77)};
    std::uint64_t* masks[] = {out.masks.data(), out.masks.data() + layout.mask_words()};
    std::uint64_t* flags[] = {out.not_finite.data(), out.not_finite.data() + 1};
    ReferenceKernels().after(layout, view, masks, flags, kEvents, nullptr);
    const auto looked_at = out.masks;
    ReferenceKernels().after(layout, view, masks, kEvents, nullptr);
    EXPECT_EQ(looked_at, out.masks) << "to look at them changes no mask";
    return out;
  }
  FrameLayout layout;
  TensorView view;
  std::vector<std::byte> bytes;
};

using Flags = std::vector<std::uint64_t>;

TEST_F(NotFinite, one_logit_of_any_class_marks_its_event_and_no_other) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const Element element : {Element::float32, Element::bfloat16, Element::float16}) {
    for (const std::uint32_t width : {1U, 64U, 65U, 130U}) {
      for (const bool channels_last : {false, true}) {
        for (const int classes : {2, 3}) {
          shape(width, classes, element, channels_last);
          EXPECT_EQ(pack().not_finite, (Flags{0, 0}));
          for (const std::uint32_t x : {0U, width / 2, width - 1}) {
            for (int k = 0; k < classes; ++k) {
              for (const float odd : {std::nanf(""), kInfinity, -kInfinity}) {
                set(1, k, kPadding + x % 3, kPadding + x, odd);
                EXPECT_EQ(pack().not_finite, (Flags{0, 1}))
                    << width << " wide, x " << x << ", class " << k << ", " << odd;
                set(1, k, kPadding + x % 3, kPadding + x, 0.0F);
              }
            }
          }
        }
      }
    }
  }
}

TEST_F(NotFinite, padding_may_hold_anything_and_the_largest_numbers_are_numbers) {
  shape(70, 2, Element::float32, false);
  for (std::uint32_t y = 0; y < layout.padded_height; ++y) {
    for (std::uint32_t x = 0; x < layout.padded_width; ++x) {
      const bool inside = y >= kPadding && y < kPadding + layout.height && x >= kPadding && x < kPadding + layout.width;
      const float largest = std::numeric_limits<float>::max();
      set(0, 0, y, x, inside ? largest : std::nanf(""));
      set(0, 1, y, x, inside ? -largest : std::nanf(""));
    }
  }
  EXPECT_EQ(pack().not_finite, (Flags{0, 0}));
}

}  // namespace
}  // namespace peaknet::kernels
