#include "shm/models.hpp"

#include <gtest/gtest.h>

#include "tests/support/instance.hpp"

namespace peaknet::shm {
namespace {

TEST(Models, OneThatLeavesOutOtherPixelsIsAnotherMaker) {
  const test::TestInstance instance;
  ControlLayout& layout = instance.layout();
  const ModelFacts plain{.path = "/m.pt", .sha256 = "ab", .kind = "torchscript", .golden = "equal", .rows = "any"};
  ModelFacts masked = plain;
  masked.bad_pixels = "0123456789abcdef";
  const std::uint64_t first = enter_model(layout, plain);
  const std::uint64_t second = enter_model(layout, masked);
  EXPECT_NE(first, second);
  EXPECT_EQ(enter_model(layout, plain), first);
  EXPECT_EQ(enter_model(layout, masked), second);
  ASSERT_NE(model_of(layout, second), nullptr);
  EXPECT_EQ(model_of(layout, second)->bad_pixels.load(), "0123456789abcdef");
  EXPECT_EQ(model_of(layout, first)->bad_pixels.load(), "");
}

}  // namespace
}  // namespace peaknet::shm
