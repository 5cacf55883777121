#include "base/small_floats.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace peaknet {
namespace {

std::optional<bool> of(SmallFloat kind, const std::string& text) {
  const std::string path = testing::TempDir() + "peaknet_cpuinfo";
  std::ofstream(path) << text;
  const auto answer = computes_itself(kind, path);
  std::filesystem::remove(path);
  return answer;
}

TEST(SmallFloats, a_processor_has_the_units_that_its_flags_name) {
  const std::string old = "processor : 0\nflags\t\t: fpu f16c avx512f avx512_vnni\n";
  EXPECT_EQ(of(SmallFloat::bfloat16, old), false);
  EXPECT_EQ(of(SmallFloat::float16, old), false) << "f16c converts and no more";
  const std::string recent = "processor : 0\nflags\t\t: fpu avx512_bf16 amx_bf16 avx512_fp16\n";
  EXPECT_EQ(of(SmallFloat::bfloat16, recent), true);
  EXPECT_EQ(of(SmallFloat::float16, recent), true);
  EXPECT_EQ(of(SmallFloat::bfloat16, "Features\t: fp asimd fphp asimdhp bf16\n"), true);
}

TEST(SmallFloats, what_no_flags_are_told_of_is_not_known) {
  EXPECT_EQ(of(SmallFloat::float16, "processor : 0\n"), std::nullopt);
  EXPECT_EQ(computes_itself(SmallFloat::float16, "/no/such/file"), std::nullopt);
}

}  // namespace
}  // namespace peaknet
