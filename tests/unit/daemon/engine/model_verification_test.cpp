#include "daemon/engine/model_verification.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "daemon/device/host_device.hpp"
#include "daemon/model/builtin_model.hpp"
#include "daemon/model/golden.hpp"
#include "tests/unit/daemon/model/temp_folder.hpp"

namespace peaknet::engine {
namespace {

constexpr std::size_t kRows = 2, kHeight = 3, kWidth = 70;

std::string npy(const std::string& type, const std::string& shape, const std::string& bytes) {
  std::string header = "{'descr': '" + type + "', 'fortran_order': False, 'shape': " + shape + ", }";
  header.resize((header.size() + 11 + 63) / 64 * 64 - 11, ' ');
  header += '\n';
  std::string file = std::string("\x93NUMPY\x01", 7) + '\0';
  file += static_cast<char>(header.size() & 0xffU);
  file += static_cast<char>(header.size() >> 8U);
  return file + header + bytes;
}

constexpr float kBlinding = 12345.0F;  // for such a pixel, and for its negative, the FileModel's logit is no number

// A model from a "file", that marks what is above 100 and rounds as short numbers would where told.
class FileModel final : public model::Model {
 public:
  FileModel(std::string path, kernels::Element element) : info_{std::move(path), "test", "0"}, element_(element) {}
  const model::ModelInfo& info() const override { return info_; }
  Status run(const kernels::TensorView& input, void*,
             const std::function<void(const kernels::TensorView&)>& use) override {
    std::vector<float> logits(static_cast<std::size_t>(2 * input.shape[0] * input.shape[2] * input.shape[3]));
    const auto plane = static_cast<std::size_t>(input.shape[2] * input.shape[3]);
    for (std::size_t i = 0; i < logits.size() / 2; ++i) {
      const float value = element_ == kernels::Element::float32
                              ? static_cast<const float*>(input.data)[i]
                              : kernels::from_bfloat16(static_cast<const std::uint16_t*>(input.data)[i]);
      logits[(2 * (i / plane) + 1) * plane + i % plane] = value == kBlinding    ? std::nanf("")
                                                          : value == -kBlinding ? -HUGE_VALF
                                                                                : value - 100.0F;
    }
    use(kernels::contiguous(logits.data(), kernels::Element::float32, input.shape[0], 2, input.shape[2],
                            input.shape[3]));
    return {};
  }

 private:
  model::ModelInfo info_;
  kernels::Element element_;
};

// A model whose logits for one row are no numbers, in the precision of its input.
class OddRow final : public model::Model {
 public:
  explicit OddRow(std::int64_t row) : row_(row) {}
  const model::ModelInfo& info() const override { return info_; }
  Status run(const kernels::TensorView& input, void*,
             const std::function<void(const kernels::TensorView&)>& use) override {
    logits_.assign(static_cast<std::size_t>(2 * input.shape[0] * input.shape[2] * input.shape[3]), 0.0F);
    const auto view =
        kernels::contiguous(logits_.data(), input.element, input.shape[0], 2, input.shape[2], input.shape[3]);
    if (row_ >= 0) {
      auto* first = static_cast<std::byte*>(view.data) +
                    (row_ * view.strides[0] + 3 * view.strides[2] + 3) * kernels::size_of(view.element);
      const std::uint32_t bits = view.element == kernels::Element::float32    ? 0x7fc00000U
                                 : view.element == kernels::Element::bfloat16 ? 0x7fc0U
                                                                              : 0x7e00U;
      std::memcpy(first, &bits, static_cast<std::size_t>(kernels::size_of(view.element)));
    }
    use(view);
    return {};
  }

 private:
  model::ModelInfo info_{"m.pt", "test", "0"};
  std::int64_t row_;
  std::vector<float> logits_;
};

class Golden : public testing::Test {
 protected:
  Golden() : pixels_(kRows * kHeight * kWidth), mask_(pixels_.size()) {
    for (std::size_t i = 0; i < pixels_.size(); ++i) {
      pixels_[i] = static_cast<float>(i * 37 % 211);
      mask_[i] = pixels_[i] > 100.0F ? 1 : 0;
    }
  }
  void write() {
    folder_.file("m.pt.golden.input.npy",
                 npy("<f4", "(2, 1, 3, 70)", {reinterpret_cast<const char*>(pixels_.data()), 4 * pixels_.size()}));
    folder_.file("m.pt.golden.mask.npy",
                 npy("|u1", "(2, 3, 70)", {reinterpret_cast<const char*>(mask_.data()), mask_.size()}));
  }
  Result<std::string> tried(kernels::Element element = kernels::Element::float32) {
    const auto device = device::make_host_device();
    FileModel model(folder_.path("m.pt"), element);
    std::shared_ptr<void> in_use;
    return try_golden(*device, model, element, in_use, [&] { return device->synchronize(); });
  }
  test::TempFolder folder_;
  std::vector<float> pixels_;
  std::vector<std::uint8_t> mask_;
};

TEST_F(Golden, a_model_that_marks_what_it_marked_where_it_was_made_is_equal) {
  write();
  const auto told = tried();
  ASSERT_TRUE(told.ok()) << told.error().text();
  EXPECT_EQ(*told, "equal");
}

TEST_F(Golden, one_pixel_of_another_class_is_seen_and_told) {
  mask_[kHeight * kWidth + 69] ^= 1;  // the last of a line of the second row, beyond the first word
  write();
  const auto told = tried();
  ASSERT_TRUE(told.ok()) << told.error().text();
  EXPECT_EQ(*told, "1 of 420 pixels differ, 8 may");
}

// Another kind of processor rounds differently: it must not refuse a sound model, in whatever precision.
TEST_F(Golden, a_few_pixels_may_differ_and_no_more) {
  for (std::size_t i = 0; i < 8; ++i) mask_[i] ^= 1;
  write();
  for (const auto element : {kernels::Element::float32, kernels::Element::bfloat16}) {
    const auto told = tried(element);
    ASSERT_TRUE(told.ok()) << told.error().text();
    EXPECT_EQ(*told, "8 of 420 pixels differ, 8 may");
  }
  mask_[8] ^= 1;
  write();
  for (const auto element : {kernels::Element::float32, kernels::Element::bfloat16}) {
    const auto told = tried(element);
    ASSERT_FALSE(told.ok());
    EXPECT_EQ(told.error().id, "model.wrong-result");
    EXPECT_NE(told.error().what.find("9 of 420 pixels differ, 8 may"), std::string::npos) << told.error().text();
  }
}

// NaN is in no class: such a model marked what it should, where that was nothing.
TEST_F(Golden, a_model_that_gives_no_numbers_is_refused_though_its_mask_is_equal) {
  pixels_.assign(pixels_.size(), 1.0F);
  mask_.assign(mask_.size(), 0);
  write();
  EXPECT_EQ(*tried(), "equal");
  for (const float odd : {kBlinding, -kBlinding}) {
    pixels_.back() = odd;
    write();
    const auto told = tried();
    ASSERT_FALSE(told.ok()) << *told;
    EXPECT_EQ(told.error().id, "model.not-finite");
    EXPECT_NE(told.error().what.find("1 of 2 panels of its stored input, the first is panel 1"), std::string::npos)
        << told.error().text();
  }
}

// On a picture of its own, for panels that a batch has and not for those it is padded with.
TEST(WarmUp, refuses_logits_that_are_no_numbers_of_whatever_precision) {
  const auto device = device::make_host_device();
  kernels::FrameLayout layout{1, 2, 8, 70, 10, 72, 1, 1};  // uint16
  const auto warm_up = WarmUp::prepare(*device, layout);
  ASSERT_TRUE(warm_up.ok());
  const auto run = [&](std::int64_t odd_row, kernels::Element element) {
    const auto model = std::make_shared<model::RecordedModel>(std::make_unique<OddRow>(odd_row), nullptr);
    std::vector<float> room(std::size_t{8} * 10 * 72);
    std::shared_ptr<void> in_use;
    return warm_up->run(model, kernels::contiguous(room.data(), element, 8, 1, 10, 72), 3, in_use,
                        [&] { return device->synchronize(); });
  };
  for (const auto element : {kernels::Element::float32, kernels::Element::bfloat16, kernels::Element::float16}) {
    EXPECT_TRUE(run(-1, element).ok());
    const auto found = run(4, element);
    ASSERT_FALSE(found.ok());
    EXPECT_EQ(found.error().id, "model.not-finite");
    EXPECT_NE(found.error().what.find("in 1 of 6 panels"), std::string::npos) << found.error().text();
    EXPECT_NE(found.error().what.find("the first is panel 4"), std::string::npos) << found.error().text();
    EXPECT_TRUE(run(6, element).ok()) << "padding";
  }
}

TEST_F(Golden, without_the_two_files_a_model_is_used_unchecked_and_that_is_told) {
  EXPECT_EQ(*tried(), "none");
  const auto device = device::make_host_device();
  auto builtin = model::make_builtin_model({.path = "builtin:identity", .device = "cpu"});
  std::shared_ptr<void> in_use;
  const auto told =
      try_golden(*device, **builtin, kernels::Element::float32, in_use, [&] { return device->synchronize(); });
  EXPECT_EQ(*told, "none");
}

TEST_F(Golden, one_file_alone_or_of_another_form_refuses_the_model) {
  write();
  std::filesystem::remove(folder_.path("m.pt.golden.mask.npy"));
  EXPECT_EQ(tried().error().id, "model.bad-golden");
  for (const auto& wrong :
       {npy("|u1", "(2, 3, 71)", std::string(426, '\0')), npy("|u1", "(1, 3, 70)", std::string(210, '\0')),
        npy("<f4", "(2, 3, 70)", std::string(1680, '\0')), npy("|u1", "(2, 3, 70)", std::string(419, '\0')),
        npy("|u1", "(2, 0, 70)", ""), npy("|u1", "()", ""), npy("|u1", "(99999999999, 3, 70)", ""), std::string("x"),
        std::string()}) {
    folder_.file("m.pt.golden.mask.npy", wrong);
    const auto told = tried();
    ASSERT_FALSE(told.ok());
    EXPECT_EQ(told.error().id, "model.bad-golden") << told.error().text();
  }
  write();
  const std::string whole = test::read_file(folder_.path("m.pt.golden.input.npy"));
  for (std::size_t bytes = 0; bytes < whole.size(); bytes += 61) {
    folder_.file("m.pt.golden.input.npy", whole.substr(0, bytes));
    EXPECT_EQ(tried().error().id, "model.bad-golden") << bytes;
  }
}

}  // namespace
}  // namespace peaknet::engine
