#include "daemon/model/package_facts.hpp"

#include <gtest/gtest.h>

namespace peaknet::model {
namespace {

PackageMetadata for_gpu() {
  return {{"peaknet.format", "1"},           {"peaknet.rows", "4"},      {"peaknet.shape", "4,1,512,512"},
          {"peaknet.dtype", "bfloat16"},     {"peaknet.classes", "2"},   {"peaknet.device", "cuda"},
          {"peaknet.capability", "8.0,9.0"}, {"peaknet.torch", "2.11.0"}};
}

PackageHost gpu(const std::string& capability) {
  return {"cuda:1", capability, "2.11.3+cu130", "x86_64", [](const std::string&) { return false; }};
}

TEST(PackageFacts, a_package_for_this_gpu_is_taken_with_what_it_says) {
  const auto facts = check_package("m.pt2", "rows_4", for_gpu(), gpu("9.0"));
  ASSERT_TRUE(facts.ok()) << facts.error().text();
  EXPECT_EQ(facts->shape, (std::array<std::int64_t, 4>{4, 1, 512, 512}));
  EXPECT_EQ(facts->element, kernels::Element::bfloat16);
  EXPECT_EQ(facts->classes, 2);
}

TEST(PackageFacts, one_for_another_gpu_is_refused_with_both_capabilities) {
  for (const char* here : {"9", "9.00", "12.0", ""}) {
    const auto facts = check_package("m.pt2", "rows_4", for_gpu(), gpu(here));
    ASSERT_FALSE(facts.ok()) << here;
    EXPECT_EQ(facts.error().id, "model.wrong-device");
    EXPECT_NE(facts.error().what.find("8.0,9.0, cuda:1 has " + std::string(here)), std::string::npos)
        << facts.error().text();
  }
}

TEST(PackageFacts, one_of_another_minor_torch_is_refused_and_a_patch_is_not) {
  auto metadata = for_gpu();
  for (const char* good : {"2.11.0", "2.11.9", "2.11.0+cpu", "2.11"}) {
    metadata["peaknet.torch"] = good;
    EXPECT_TRUE(check_package("m.pt2", "rows_4", metadata, gpu("9.0")).ok()) << good;
  }
  for (const char* other : {"2.1.0", "2.110.0", "2.12.0", "3.11.0", ""}) {
    metadata["peaknet.torch"] = other;
    EXPECT_EQ(check_package("m.pt2", "rows_4", metadata, gpu("9.0")).error().id, "model.wrong-device") << other;
  }
}

TEST(PackageFacts, the_name_of_a_network_is_its_rows) {
  EXPECT_EQ(check_package("m.pt2", "rows_8", for_gpu(), gpu("9.0")).error().id, "model.bad-package");
  EXPECT_EQ(check_package("m.pt2", "model", for_gpu(), gpu("9.0")).error().id, "model.bad-package");
}

TEST(PackageFacts, sizes_that_are_no_sizes_are_refused) {
  auto metadata = for_gpu();
  for (const char* shape :
       {"4,1,512", "4,1,512,512,1", "4,1,-1,512", "4,1,0,512", "4,1,512,x", "", "4,1,99999999999,1"}) {
    metadata["peaknet.shape"] = shape;
    EXPECT_EQ(check_package("m.pt2", "rows_4", metadata, gpu("9.0")).error().id, "model.bad-package") << shape;
  }
}

PackageMetadata for_processor(const std::string& isas) {
  auto metadata = for_gpu();
  metadata["peaknet.device"] = "cpu";
  metadata["peaknet.isa"] = isas;
  return metadata;
}

// Processors of three kinds, whichever this one is.
PackageHost processor(bool (*has_isa)(const std::string&)) { return {"cpu", "", "2.11.0", "x86_64", has_isa}; }
bool plain(const std::string& isa) { return isa == "default"; }
bool with_avx2(const std::string& isa) { return plain(isa) || isa == "avx2"; }
bool with_avx512(const std::string& isa) { return with_avx2(isa) || isa == "avx512"; }

TEST(PackageFacts, all_instruction_sets_that_a_processor_lacks_are_named_and_no_others) {
  struct Case {
    bool (*has_isa)(const std::string&);
    const char* wanted;
    const char* named;
  };
  for (const auto& [has_isa, wanted, named] :
       {Case{plain, "avx512 sve256", "with avx512, sve256, which"}, Case{plain, "AVX2", "with avx2, which"},
        Case{with_avx2, "avx512 sve256", "with avx512, sve256, which"},
        Case{with_avx2, "avx2 avx512 amx_tile", "with avx512, amx_tile, which"},
        Case{with_avx512, "avx512 sve256", "with sve256, which"}}) {
    const auto facts = check_package("m.pt2", "rows_4", for_processor(wanted), processor(has_isa));
    ASSERT_FALSE(facts.ok()) << wanted;
    EXPECT_EQ(facts.error().id, "model.wrong-device");
    EXPECT_NE(facts.error().what.find(named), std::string::npos) << facts.error().text();
  }
  EXPECT_TRUE(check_package("m.pt2", "rows_4", for_processor("avx2 avx512"), processor(with_avx512)).ok());
  EXPECT_TRUE(check_package("m.pt2", "rows_4", for_processor("default"), processor(plain)).ok());
}

TEST(PackageFacts, what_torch_says_of_the_processor_counts_too_and_is_named_once) {
  auto metadata = for_processor("avx512");
  metadata["AOTI_CPU_ISA"] = "AVX512 ALTIVEC";
  const auto facts = check_package("m.pt2", "rows_4", metadata, processor(with_avx2));
  ASSERT_FALSE(facts.ok());
  EXPECT_NE(facts.error().what.find("with avx512, altivec, which"), std::string::npos) << facts.error().text();
}

TEST(Processor, has_code_without_vectors_and_nothing_it_was_never_told_of) {
  EXPECT_TRUE(processor_has("default"));
  EXPECT_FALSE(processor_has("avx9000"));
}

}  // namespace
}  // namespace peaknet::model
