#include <gmock/gmock.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <random>
#include <vector>

#include "base/pixel_type.hpp"
#include "config/model_archive.hpp"
#include "config/model_file.hpp"
#include "config/model_form.hpp"
#include "config/model_path.hpp"
#include "daemon/kernels/reference_kernels.hpp"
#include "daemon/model/model.hpp"
#include "tests/support/zip_of.hpp"
#include "tests/unit/daemon/model/temp_folder.hpp"

namespace peaknet::model {
namespace {

using kernels::Element;
using kernels::TensorView;
using test::TempFolder;
using ::testing::AllOf;
using ::testing::HasSubstr;

bool says(const Error& error, const std::string& text) { return error.text().find(text) != std::string::npos; }

// A build without LibTorch refuses every file by this name.
bool built_without_torch() {
  const TempFolder folder;
  return load_model({.path = folder.file("any.pt", "x"), .device = "cpu"}).error().id == "model.not-built";
}

std::string contrast_file() {
  const char* source = std::getenv("PEAKNET_SOURCE_DIR");
  return std::string(source == nullptr ? "." : source) + "/models/contrast.pt";
}

TEST(CheckModelPath, no_path_is_refused_with_what_to_set) {
  const auto status = check_model_path("");
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().id, "model.missing");
  EXPECT_TRUE(says(status.error(), "set model.path")) << status.error().text();
  EXPECT_TRUE(says(check_model_path("", "shedding.model").error(), "set shedding.model"));
}

TEST(CheckModelPath, a_file_that_is_not_there_is_refused_with_its_name_and_the_cause) {
  const auto status = check_model_path("/no/such/model.pt");
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().id, "model.missing");
  EXPECT_TRUE(says(status.error(), "/no/such/model.pt: No such file or directory")) << status.error().text();
}

TEST(CheckModelPath, a_folder_is_no_model) {
  const TempFolder folder;
  std::filesystem::create_directory(folder.path("folder.pt"));
  const auto status = check_model_path(folder.path("folder.pt"));
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().id, "model.missing");
  EXPECT_TRUE(says(status.error(), "is not a file")) << status.error().text();
}

TEST(CheckModelPath, a_file_that_everybody_may_write_is_refused_because_a_model_is_code) {
  const TempFolder folder;
  const std::string path = folder.file("model.pt", "x");
  std::filesystem::permissions(path, std::filesystem::perms{0646});
  const auto status = check_model_path(path);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().id, "model.unsafe");
  EXPECT_TRUE(says(status.error(), "chmod o-w " + path)) << status.error().text();
  EXPECT_EQ(load_model({.path = path, .device = "cpu"}).error().id, "model.unsafe") << "loading checks again";
  std::filesystem::permissions(path, std::filesystem::perms{0664});
  EXPECT_TRUE(check_model_path(path).ok());
}

TEST(CheckModelPath, a_folder_in_which_everybody_may_put_another_file_is_refused_too) {
  const TempFolder folder;
  std::filesystem::create_directories(folder.path("open/inner"));
  const std::string path = folder.file("open/inner/model.pt", "x");
  EXPECT_TRUE(check_model_path(path).ok());
  std::filesystem::permissions(folder.path("open"), std::filesystem::perms{0777});
  const auto status = check_model_path(path);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().id, "model.unsafe");
  EXPECT_TRUE(says(status.error(), "chmod o-w " + folder.path("open"))) << status.error().text();
  std::filesystem::permissions(folder.path("open"), std::filesystem::perms{01777});
  EXPECT_TRUE(check_model_path(path).ok()) << "with the sticky bit only the owner of a file can replace it";
}

TEST(LoadModel, a_file_whose_digest_is_not_in_the_list_is_not_loaded) {
  const TempFolder folder;
  const std::string path = folder.file("model.pt", test::zip_of({{"m/constants.pkl", "abc"}}));
  const auto model = load_model({.path = path, .device = "cpu", .allow = {std::string(64, '0')}});
  ASSERT_FALSE(model.ok());
  if (model.error().id == "model.not-built") GTEST_SKIP() << "this build has no LibTorch";
  EXPECT_EQ(model.error().id, "model.not-allowed");
  EXPECT_TRUE(says(model.error(), *sha256_of(path))) << "the digest that could be added: " << model.error().text();
  EXPECT_NE(load_model({.path = path, .device = "cpu", .allow = {*sha256_of(path)}}).error().id, "model.not-allowed");
  EXPECT_TRUE(load_model({.path = "builtin:identity", .device = "cpu", .allow = {std::string(64, '0')}}).ok())
      << "a builtin is no file";
}

TEST(CheckModelPath, a_link_is_judged_by_the_file_behind_it) {
  const TempFolder folder;
  std::filesystem::create_symlink(folder.file("real.pt", "x"), folder.path("link.pt"));
  EXPECT_TRUE(check_model_path(folder.path("link.pt")).ok());
  std::filesystem::permissions(folder.path("real.pt"), std::filesystem::perms{0666});
  EXPECT_EQ(check_model_path(folder.path("link.pt")).error().id, "model.unsafe");
  std::filesystem::create_symlink(folder.path("nowhere"), folder.path("dangling.pt"));
  EXPECT_EQ(check_model_path(folder.path("dangling.pt")).error().id, "model.missing");
}

TEST(CheckModelPath, a_file_of_another_kind_is_refused_with_the_kind_that_works) {
  const TempFolder folder;
  for (const auto* file : {"model.onnx", "model.pt3", "model", "pt", "model.pt.part"}) {
    const auto status = check_model_path(folder.file(file, "x"));
    ASSERT_FALSE(status.ok()) << file;
    EXPECT_EQ(status.error().id, "model.unknown-kind");
    EXPECT_TRUE(says(status.error(), std::string(file) == "model.onnx" ? "models/export.py " : "ends in .pt"))
        << status.error().text();
  }
}

TEST(CheckModelForm, a_file_that_is_no_archive_is_no_model) {
  const TempFolder folder;
  for (const auto* text : {"", "PK", "weights of a network", "\x89HDF"})
    EXPECT_EQ(check_model_form(folder.file("bad.pt", text)).error().id, "model.not-a-model") << text;
  EXPECT_EQ(check_model_form(folder.file("cut.pt", "PK\x03\x04 and more")).error().id, "model.unreadable");
  EXPECT_EQ(check_model_form(folder.path("none.pt")).error().id, "model.unreadable");
  EXPECT_TRUE(check_model_form("builtin:identity").ok());
}

TEST(CheckModelForm, what_is_no_model_is_told_for_what_it_is_with_the_command_that_makes_one) {
  const TempFolder folder;
  const auto of = [&](const char* name, const std::string& content) {
    return check_model_form(folder.file(name, content)).error().text();
  };
  const auto archive = [](const char* record) { return test::zip_of({{std::string("m/") + record, "x"}}); };
  const std::string with_weights = "models/export.py peaknet.yaml peaknet.pt --weights " + folder.path("a.pt");
  EXPECT_THAT(of("a.pt", archive("data.pkl")), AllOf(HasSubstr("a checkpoint of torch.save"), HasSubstr(with_weights)));
  EXPECT_THAT(of("a.pt", std::string("\x80\x02\x8a\nl\xfc\x9c", 7)), HasSubstr(with_weights));
  EXPECT_THAT(of("a.pt", std::string("\x10\0\0\0\0\0\0\0{\"a\"", 12)),
              AllOf(HasSubstr("safetensors"), HasSubstr(with_weights)));
  EXPECT_THAT(of("a.pt2", archive("models/model.json")),
              AllOf(HasSubstr("torch.export"), HasSubstr("models/export.py " + folder.path("a.pt2") + " network.pt")));
  EXPECT_THAT(of("a.pt2", archive("constants.pkl")), HasSubstr("end its name in .pt "));
  EXPECT_THAT(of("a.pt", archive("data/aotinductor/rows_1/a.so")), HasSubstr("end its name in .pt2"));
  EXPECT_THAT(of("a.pt", archive("readme")), HasSubstr("neither a TorchScript file nor a package"));
  EXPECT_THAT(of("a.pt", "version https://git-lfs.github.com/spec/v1\n"), HasSubstr("git lfs pull"));
  EXPECT_TRUE(check_model_form(folder.file("good.pt", archive("constants.pkl"))).ok());
  EXPECT_TRUE(check_model_form(folder.file("good.pt2", archive("data/aotinductor/rows_1/a.so"))).ok());
}

// Where the content of a record begins in a file of stored records.
std::size_t content_at(const std::string& file, const std::string& record) {
  const auto number = [&](std::size_t at) {
    return static_cast<std::size_t>(static_cast<unsigned char>(file[at])) +
           256 * static_cast<std::size_t>(static_cast<unsigned char>(file[at + 1]));
  };
  for (auto at = file.find("PK\x03\x04"); at != std::string::npos; at = file.find("PK\x03\x04", at + 4)) {
    const std::string name = file.substr(at + 30, number(at + 26));
    if (name.ends_with("/" + record)) return at + 30 + name.size() + number(at + 28);
  }
  return std::string::npos;
}

TEST(ModelFiles, one_flipped_bit_in_any_record_refuses_the_file_by_the_records_name) {
  const TempFolder folder;
  const std::string whole = test::read_file(contrast_file());
  const std::string path = folder.file("model.pt", whole);
  ModelFiles files;
  ASSERT_EQ(*files.sound_sha256(path), *sha256_of(path));
  const auto archive = ModelArchive::open(path);
  ASSERT_TRUE(archive.ok()) << archive.error().text();
  ASSERT_GT(archive->records().size(), 3U);
  for (const auto& [record, bytes] : archive->records()) {
    if (bytes == 0) continue;
    const auto at = content_at(whole, record);
    ASSERT_NE(at, std::string::npos) << record;
    std::string damaged = whole;
    damaged[at + bytes / 2] = static_cast<char>(damaged[at + bytes / 2] ^ 8);
    const auto refused = files.sound_sha256(folder.file("damaged.pt", damaged));
    ASSERT_FALSE(refused.ok()) << record;
    EXPECT_EQ(refused.error().id, "model.unreadable");
    EXPECT_TRUE(says(refused.error(), "record " + record + " is wrong")) << refused.error().text();
    if (built_without_torch()) continue;
    EXPECT_EQ(load_model({.path = folder.path("damaged.pt"), .device = "cpu"}).error().id, "model.unreadable");
  }
}

TEST(ModelFiles, a_file_is_read_anew_once_it_is_another) {
  const TempFolder folder;
  const auto archive = [](const std::string& content) { return test::zip_of({{"m/constants.pkl", content}}); };
  ModelFiles files;
  const auto first = files.sound_sha256(folder.file("model.pt", archive("one")));
  ASSERT_TRUE(first.ok()) << first.error().text();
  EXPECT_EQ(*files.sound_sha256(folder.path("model.pt")), *first);
  const auto other = files.sound_sha256(folder.file("model.pt", archive("other")));
  ASSERT_TRUE(other.ok()) << other.error().text();
  EXPECT_NE(*other, *first);
}

TEST(CheckModelPath, a_builtin_needs_no_file) { EXPECT_TRUE(check_model_path("builtin:identity").ok()); }

TEST(LoadModel, a_builtin_is_made_and_a_wrong_one_refused) {
  auto model = load_model({.path = "builtin:threshold=5", .device = "cpu"});
  ASSERT_TRUE(model.ok()) << model.error().text();
  EXPECT_EQ((*model)->info().kind, "builtin");
  EXPECT_EQ(load_model({.path = "builtin:nothing", .device = "cpu"}).error().id, "model.unknown-builtin");
}

TEST(LoadModel, a_path_that_check_refuses_is_not_loaded) {
  EXPECT_EQ(load_model({.path = "", .device = "cpu"}).error().id, "model.missing");
  EXPECT_EQ(load_model({.path = "/no/such/model.pt", .device = "cpu"}).error().id, "model.missing");
}

TEST(LoadModel, a_build_without_libtorch_says_so_and_names_the_builds_that_have_it) {
  if (!built_without_torch()) GTEST_SKIP() << "this build has LibTorch";
  const TempFolder folder;
  const auto model = load_model({.path = folder.file("model.pt", "x"), .device = "cpu"});
  ASSERT_FALSE(model.ok());
  EXPECT_TRUE(says(model.error(), "without LibTorch")) << model.error().text();
  EXPECT_TRUE(says(model.error(), "builtin")) << model.error().text();
}

TEST(PrepareToLoad, builtins_and_processors_need_nothing) {
  EXPECT_TRUE(prepare_to_load("builtin:identity", {"cpu", "cuda:0"}));
  EXPECT_TRUE(prepare_to_load("network.pt", {"cpu"}));
}

TEST(PrepareToLoad, what_gpus_need_is_there_or_it_says_how_to_get_it) {
  const auto ready = prepare_to_load("network.pt", {"cpu", "cuda:0"});
  if (ready) return;  // it is installed, or this build has no CUDA
  EXPECT_EQ(ready.error().id, "model.not-built");
  EXPECT_NE(ready.error().what.find("the CUDA side of LibTorch cannot be loaded: lib"), std::string::npos)
      << ready.error().text();
  EXPECT_NE(ready.error().remedy.find("scripts/setup --gpu"), std::string::npos) << ready.error().text();
  EXPECT_EQ(prepare_to_load("network.pt", {"cuda:0"}).error().text(), ready.error().text()) << "asked once";
}

TEST(LoadModel, a_file_that_is_no_archive_is_refused_in_one_line_with_its_name) {
  if (built_without_torch()) GTEST_SKIP() << "this build has no LibTorch";
  const TempFolder folder;
  for (const auto& content : {std::string(), std::string("not an archive"), std::string(100'000, '\0')}) {
    const std::string path = folder.file("model.pt", content);
    const auto model = load_model({.path = path, .device = "cpu"});
    ASSERT_FALSE(model.ok());
    EXPECT_EQ(model.error().id, "model.not-a-model");
    EXPECT_TRUE(says(model.error(), path)) << model.error().text();
    EXPECT_EQ(model.error().text().find('\n'), std::string::npos)
        << "one paragraph, not a stack: " << model.error().text();
  }
}

TEST(LoadModel, the_demo_model_cut_short_is_unreadable) {
  if (built_without_torch()) GTEST_SKIP() << "this build has no LibTorch";
  if (!std::filesystem::exists(contrast_file())) GTEST_SKIP() << "there is no " << contrast_file();
  const TempFolder folder;
  const std::string whole = test::read_file(contrast_file());
  for (const std::size_t bytes : {whole.size() / 2, whole.size() - 1}) {
    const auto model = load_model({.path = folder.file("contrast.pt", whole.substr(0, bytes)), .device = "cpu"});
    ASSERT_FALSE(model.ok()) << bytes << " of " << whole.size() << " bytes";
    EXPECT_EQ(model.error().id, "model.unreadable");
  }
}

TEST(Sha256, is_that_of_the_standard) {
  const TempFolder folder;
  EXPECT_EQ(*sha256_of(folder.file("empty", "")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(*sha256_of(folder.file("abc", "abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(*sha256_of(folder.file("million", std::string(1'000'000, 'a'))),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, of_what_cannot_be_read_is_an_error_with_the_cause) {
  const TempFolder folder;
  const auto missing = sha256_of(folder.path("missing"));
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().id, "model.unreadable");
  EXPECT_TRUE(says(missing.error(), "No such file")) << missing.error().text();
  EXPECT_FALSE(sha256_of(folder.path("")).ok()) << "a folder";
}

// --- the demo model --------------------------------------------------------------------------------------------------

constexpr std::int64_t kHeight = 96;
constexpr std::int64_t kWidth = 128;

// Background with noise and twelve round peaks.
std::vector<float> crystal_frame(unsigned seed) {
  std::mt19937 random(seed);
  std::poisson_distribution<int> noise(20);
  std::vector<float> frame(kHeight * kWidth);
  for (auto& pixel : frame) pixel = static_cast<float>(noise(random));
  for (int i = 0; i < 12; ++i) {
    const std::int64_t cy = 10 + (i / 4) * 35;
    const std::int64_t cx = 14 + (i % 4) * 32;
    for (std::int64_t y = -2; y <= 2; ++y) {
      for (std::int64_t x = -2; x <= 2; ++x) {
        frame[static_cast<std::size_t>((cy + y) * kWidth + cx + x)] +=
            400.0F * std::exp(-static_cast<float>(x * x + y * y) / 2.0F);
      }
    }
  }
  return frame;
}

// The mask of the first `events` rows of a batch.
std::vector<std::vector<std::uint64_t>> masks_of(Model& model, std::vector<float> batch, std::uint32_t events) {
  kernels::FrameLayout layout;
  layout.pixel_type = static_cast<std::uint32_t>(PixelType::float32);
  layout.panels = 1;
  layout.height = layout.padded_height = kHeight;
  layout.width = layout.padded_width = kWidth;
  std::vector<std::vector<std::uint64_t>> masks(events, std::vector<std::uint64_t>(layout.mask_words()));
  std::vector<std::uint64_t*> places;
  for (auto& mask : masks) places.push_back(mask.data());
  const auto rows = static_cast<std::int64_t>(batch.size()) / (kHeight * kWidth);
  const auto input = kernels::contiguous(batch.data(), Element::float32, rows, 1, kHeight, kWidth);
  const auto status = model.run(input, nullptr, [&](const TensorView& logits) {
    kernels::ReferenceKernels().after(layout, logits, places.data(), events, nullptr);
  });
  EXPECT_TRUE(status.ok()) << status.error().text();
  return masks;
}

std::size_t bits(const std::vector<std::uint64_t>& mask) {
  std::size_t count = 0;
  for (const auto word : mask) count += static_cast<std::size_t>(std::popcount(word));
  return count;
}

TEST(DemoModel, a_frame_has_the_same_mask_alone_and_in_a_padded_batch_whose_other_rows_hold_garbage) {
  if (built_without_torch()) GTEST_SKIP() << "this build has no LibTorch";
  if (!std::filesystem::exists(contrast_file())) GTEST_SKIP() << "there is no " << contrast_file();
  auto loaded = load_model({.path = contrast_file(), .device = "cpu"});
  ASSERT_TRUE(loaded.ok()) << loaded.error().text();
  Model& model = **loaded;

  const std::vector<std::vector<float>> frames = {crystal_frame(1), crystal_frame(2), crystal_frame(3)};
  std::vector<std::vector<std::uint64_t>> alone;
  for (const auto& frame : frames) alone.push_back(masks_of(model, frame, 1).front());
  for (const auto& mask : alone) {
    EXPECT_GE(bits(mask), 12U) << "each of the twelve peaks";
    EXPECT_LE(bits(mask), 12U * 25U);
  }
  ASSERT_NE(alone[0], alone[1]);

  const std::vector<float> garbage = {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                                      -1e38F, 65535.0F};
  for (const float filler : garbage) {
    std::vector<float> batch;
    for (const auto& frame : frames) batch.insert(batch.end(), frame.begin(), frame.end());
    batch.resize(8 * kHeight * kWidth, filler);
    EXPECT_EQ(masks_of(model, batch, 3), alone) << "padding of " << filler;
  }
}

}  // namespace
}  // namespace peaknet::model
