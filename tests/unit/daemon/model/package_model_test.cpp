#include "daemon/model/package_model.hpp"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/version.h>

#include <cstdlib>
#include <fstream>
#include <thread>
#include <vector>

#include "config/model_file.hpp"
#include "tests/unit/daemon/model/package_maker.hpp"

namespace peaknet::model {
namespace {

using kernels::contiguous;
using kernels::Element;
using kernels::TensorView;
using test::good_metadata;
using test::write_package;

constexpr int kHeight = 8;
constexpr int kWidth = 16;
constexpr const char* kLibrary = PEAKNET_STAND_IN;

class Package : public testing::Test {
 protected:
  Package() { ::setenv("XDG_CACHE_HOME", folder_.path("cache").c_str(), 1); }

  // For 1, 2 and 4 rows; `change` spoils or changes what each says.
  std::string made(const std::function<void(nlohmann::json&)>& change = {},
                   const std::map<std::string, std::string>& more = {}) {
    std::map<std::string, nlohmann::json> networks;
    for (const int rows : {1, 2, 4}) {
      auto metadata = good_metadata(rows, kHeight, kWidth, TORCH_VERSION);
      if (change) change(metadata);
      networks["rows_" + std::to_string(rows)] = metadata;
    }
    const std::string path = folder_.path("model.pt2");
    write_package(path, kLibrary, networks, more);
    return path;
  }
  static Result<std::unique_ptr<Model>> load(const std::string& path, Element element = Element::float32,
                                             std::uint32_t threads = 1) {
    return load_model({.path = path, .device = "cpu", .element = element, .cpu_threads = threads});
  }
  static Error refusal(const std::string& path, Element element = Element::float32) {
    auto model = load(path, element);
    return model.ok() ? Error{} : model.error();
  }
  static Status run(Model& model, const TensorView& input) {
    return model.run(input, nullptr, [](const TensorView&) {});
  }
  std::size_t cached() const {
    std::size_t count = 0;
    const std::filesystem::path models = folder_.path("cache/peaknetd/models");
    if (!std::filesystem::exists(models)) return 0;
    for (const auto& entry : std::filesystem::directory_iterator(models)) count += entry.is_directory() ? 1 : 0;
    return count;
  }

  test::TempFolder folder_;
};

TEST_F(Package, each_number_of_rows_it_has_runs_and_gives_the_logits) {
  auto model = load(made());
  ASSERT_TRUE(model.ok()) << model.error().text();
  EXPECT_EQ((*model)->info().kind, "package");
  EXPECT_EQ((*model)->info().sha256, *sha256_of(folder_.path("model.pt2")));
  EXPECT_EQ((*model)->info().rows, (std::vector<std::int64_t>{1, 2, 4}));
  for (const std::int64_t rows : {1, 2, 4}) {
    std::vector<float> pixels(static_cast<std::size_t>(rows * kHeight * kWidth));
    for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<float>(i);
    int calls = 0;
    const auto status = (*model)->run(
        contiguous(pixels.data(), Element::float32, rows, 1, kHeight, kWidth), nullptr, [&](const TensorView& logits) {
          ++calls;
          for (std::int64_t row = 0; row < rows; ++row) {
            const auto* peak = static_cast<const float*>(logits.data) + row * logits.strides[0] + logits.strides[1];
            for (int i = 0; i < kHeight * kWidth; ++i)
              EXPECT_EQ(peak[i], static_cast<float>(row * kHeight * kWidth + i) - 100.0F);
          }
        });
    ASSERT_TRUE(status.ok()) << status.error().text();
    EXPECT_EQ(calls, 1);
  }
}

TEST_F(Package, rows_that_run_at_the_same_time_go_to_networks_for_fewer_and_give_the_same_logits) {
  const std::string path = made();
  for (const std::uint32_t threads : {2U, 3U, 8U}) {
    auto model = load(path, Element::float32, threads);
    ASSERT_TRUE(model.ok()) << model.error().text();
    std::vector<float> pixels(4 * kHeight * kWidth);
    for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<float>(i);
    for (int again = 0; again < 20; ++again) {
      const auto status = (*model)->run(
          contiguous(pixels.data(), Element::float32, 4, 1, kHeight, kWidth), nullptr, [&](const TensorView& logits) {
            EXPECT_EQ(logits.shape[0], 4);
            for (std::int64_t row = 0; row < 4; ++row) {
              const auto* peak = static_cast<const float*>(logits.data) + row * logits.strides[0] + logits.strides[1];
              for (int i = 0; i < kHeight * kWidth; ++i)
                EXPECT_EQ(peak[i], static_cast<float>(row * kHeight * kWidth + i) - 100.0F);
            }
          });
      ASSERT_TRUE(status.ok()) << status.error().text();
    }
  }
}

TEST_F(Package, an_input_that_does_not_fit_is_refused_and_nothing_is_run) {
  auto model = load(made());
  ASSERT_TRUE(model.ok()) << model.error().text();
  std::vector<float> pixels(8 * kHeight * kWidth + 8);
  auto* data = pixels.data();
  while (reinterpret_cast<std::uintptr_t>(data) % 16 != 0) ++data;
  auto columns_first = contiguous(data, Element::float32, 2, 1, kHeight, kWidth);
  columns_first.strides[2] = 1;
  columns_first.strides[3] = kHeight;
  auto channels_last = contiguous(data, Element::float32, 2, 1, kHeight, kWidth);
  channels_last.strides[1] = 1;  // the same bytes, another word for them: compiled code gave wrong numbers for it
  for (const auto& wrong :
       {contiguous(data, Element::float32, 3, 1, kHeight, kWidth),
        contiguous(data, Element::float32, 2, 1, kHeight, kWidth / 2),
        contiguous(data, Element::float32, 2, 1, kHeight / 2, kWidth),
        contiguous(data, Element::float32, 1, 2, kHeight, kWidth),
        contiguous(data, Element::bfloat16, 2, 1, kHeight, kWidth),
        contiguous(data + 1, Element::float32, 2, 1, kHeight, kWidth), columns_first, channels_last}) {
    const auto status =
        (*model)->run(wrong, nullptr, [](const TensorView&) { ADD_FAILURE() << "it ran on what it was not made for"; });
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().id, "model.failed");
    EXPECT_NE(status.error().what.find("takes (rows,1,8,16) of Float, dense, with 1, 2, 4 rows"), std::string::npos)
        << status.error().text();
  }
  EXPECT_TRUE(run(**model, contiguous(data, Element::float32, 2, 1, kHeight, kWidth)).ok());
}

TEST_F(Package, one_made_for_another_machine_is_refused_with_both_and_its_code_is_not_unpacked) {
  struct Case {
    const char* key;
    const char* value;
    const char* id;
    const char* named;
  };
  for (const auto& [key, value, id, named] :
       {Case{"peaknet.device", "cuda", "model.wrong-device", "compiled for cuda, not for the device cpu"},
        Case{"AOTI_DEVICE_KEY", "cuda", "model.bad-package", "says cpu and holds code for cuda"},
        Case{"peaknet.isa", "avx512 sve256", "model.wrong-device", "sve256"},
        Case{"AOTI_CPU_ISA", "ALTIVEC", "model.wrong-device", "altivec"},
        Case{"AOTI_MACHINE", "riscv128", "model.wrong-device", "riscv128"},
        Case{"peaknet.torch", "1.13.1", "model.wrong-device", "1.13.1"},
        Case{"peaknet.format", "2", "model.bad-package", "format 2"},
        Case{"peaknet.dtype", "int8", "model.bad-package", "int8"},
        Case{"peaknet.classes", "1", "model.bad-package", "1 classes"},
        Case{"peaknet.shape", "1,3,8,16", "model.bad-package", "(1,3,8,16)"},
        Case{"peaknet.shape", "many", "model.bad-package", "(many)"},
        Case{"peaknet.rows", "7", "model.bad-package", "rows 7"}}) {
    const Error error = refusal(made([&, key = key, value = value](nlohmann::json& m) { m[key] = value; }));
    EXPECT_EQ(error.id, id) << key << ": " << error.text();
    EXPECT_NE(error.what.find(named), std::string::npos) << key << ": " << error.text();
    EXPECT_NE(error.untouched.find("code was not loaded"), std::string::npos) << error.text();
  }
  EXPECT_EQ(cached(), 0U);
}

TEST_F(Package, a_fact_that_is_missing_is_named) {
  for (const char* key : {"peaknet.format", "peaknet.rows", "peaknet.shape", "peaknet.dtype", "peaknet.classes",
                          "peaknet.device", "peaknet.isa", "peaknet.torch"}) {
    const Error error = refusal(made([&](nlohmann::json& metadata) { metadata.erase(key); }));
    EXPECT_EQ(error.id, "model.bad-package") << key;
    EXPECT_NE(error.what.find(std::string("does not say ") + key), std::string::npos) << error.text();
  }
}

TEST_F(Package, one_that_was_made_for_another_precision_is_refused) {
  EXPECT_EQ(refusal(made(), Element::bfloat16).id, "model.wrong-device");
}

TEST_F(Package, more_classes_than_it_says_are_noticed_at_the_run) {
  const auto path = made([](nlohmann::json& metadata) { metadata["peaknet.classes"] = "3"; });
  auto model = load(path);
  ASSERT_TRUE(model.ok()) << model.error().text();
  alignas(16) std::array<float, kHeight * kWidth> pixels{};
  const auto status = run(**model, contiguous(pixels.data(), Element::float32, 1, 1, kHeight, kWidth));
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().id, "model.bad-output");
  EXPECT_NE(status.error().what.find("2 classes"), std::string::npos) << status.error().text();
}

TEST_F(Package, weights_beside_the_code_and_names_that_leave_the_folder_are_refused) {
  EXPECT_EQ(refusal(made({}, {{"data/constants/model/weight_0", "x"}})).id, "model.bad-package");
  const Error outside = refusal(made({}, {{"data/aotinductor/rows_1/../../../../outside.bin", "x"}}));
  EXPECT_EQ(outside.id, "model.bad-package") << outside.text();
  EXPECT_FALSE(std::filesystem::exists(folder_.path("outside.bin")));
}

TEST_F(Package, one_that_is_cut_or_no_package_at_all_is_unreadable) {
  const std::string whole = test::read_file(made());
  EXPECT_EQ(refusal(folder_.file("cut.pt2", "")).id, "model.not-a-model");
  for (std::size_t i = 1; i < 20; ++i) {
    const Error error = refusal(folder_.file("cut.pt2", whole.substr(0, whole.size() * i / 20)));
    EXPECT_EQ(error.id, "model.unreadable") << i << ": " << error.text();
    EXPECT_EQ(error.text().find('\n'), std::string::npos) << error.text();
  }
  const std::string empty = folder_.path("empty.pt2");
  write_package(empty, kLibrary, {}, {{"data/readme", "nothing"}});
  EXPECT_EQ(refusal(empty).id, "model.not-a-model");
}

TEST_F(Package, a_byte_that_changed_on_the_disk_is_noticed_before_the_code_is_run) {
  std::string bytes = test::read_file(made());
  bytes[bytes.size() / 3] = static_cast<char>(bytes[bytes.size() / 3] ^ 1);  // inside one of the libraries
  const Error error = refusal(folder_.file("damaged.pt2", bytes));
  EXPECT_EQ(error.id, "model.unreadable") << error.text();
  EXPECT_EQ(cached(), 0U) << "no half of it stays";
}

TEST_F(Package, it_is_unpacked_once_and_unpacked_again_if_a_file_of_it_is_damaged) {
  const std::string path = made();
  ASSERT_TRUE(load(path).ok());
  ASSERT_EQ(cached(), 1U);
  const std::filesystem::path unpacked = folder_.path("cache/peaknetd/models/" + *sha256_of(path));
  const auto code = unpacked / "rows_2" / "code.wrapper.so";
  const auto written = std::filesystem::last_write_time(code);
  ASSERT_TRUE(load(path).ok());
  EXPECT_EQ(std::filesystem::last_write_time(code), written);
  std::filesystem::remove(code);
  ASSERT_TRUE(load(path).ok());
  EXPECT_EQ(test::read_file(code), test::read_file(kLibrary));
  EXPECT_EQ(cached(), 1U);
  EXPECT_EQ(std::filesystem::status(unpacked.parent_path()).permissions(), std::filesystem::perms{0700});
}

TEST_F(Package, a_cache_that_others_may_write_is_not_used) {
  const std::filesystem::path cache = folder_.path("cache/peaknetd/models");
  std::filesystem::create_directories(cache);
  std::filesystem::permissions(cache, std::filesystem::perms{0777});
  const Error error = refusal(made());
  EXPECT_EQ(error.id, "model.cache") << error.text();
  EXPECT_NE(error.what.find("others may write it"), std::string::npos) << error.text();
}

std::size_t mappings() {
  std::ifstream maps("/proc/self/maps");
  std::size_t count = 0;
  for (std::string line; std::getline(maps, line);) count += line.find("code.wrapper.so") != std::string::npos ? 1 : 0;
  return count;
}

TEST_F(Package, loading_it_again_and_again_does_not_grow_the_process) {
  const std::string path = made();
  alignas(16) std::array<float, kHeight * kWidth> pixels{};
  std::size_t after_first = 0;
  for (int i = 0; i < 20; ++i) {
    auto model = load(path);
    ASSERT_TRUE(model.ok()) << model.error().text();
    ASSERT_TRUE(run(**model, contiguous(pixels.data(), Element::float32, 1, 1, kHeight, kWidth)).ok());
    if (i == 0) after_first = mappings();
  }
  EXPECT_LE(mappings(), after_first);
}

TEST_F(Package, two_threads_that_load_the_same_package_at_once_both_get_it) {
  const std::string path = made();
  std::array<bool, 2> good{};
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < 2; ++i) threads.emplace_back([&, i] { good[i] = load(path).ok(); });
  }
  EXPECT_TRUE(good[0] && good[1]);
  EXPECT_EQ(cached(), 1U);
}

}  // namespace
}  // namespace peaknet::model
