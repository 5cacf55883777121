#include "daemon/model/package_model.hpp"

#include <dlfcn.h>
#include <sys/utsname.h>
#include <torch/csrc/inductor/aoti_runner/model_container_runner.h>
#include <torch/version.h>
#if PEAKNET_MODEL_CUDA
#include <cuda_runtime_api.h>
#endif

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/processors.hpp"
#include "config/model_archive.hpp"
#include "daemon/model/package_cache.hpp"
#include "daemon/model/package_facts.hpp"
#include "daemon/model/torch_cuda.hpp"
#include "daemon/model/torch_support.hpp"

namespace peaknet::model {
namespace {

using Runner = torch::inductor::AOTIModelContainerRunner;

constexpr std::string_view kNetworks = "data/aotinductor/";
constexpr std::int64_t kAlignment = 16;  // of the input, which the compiled code takes for granted

// One network of the package: its code, and where that lies.
struct Network {
  PackageFacts facts;
  std::string code;  // record name of the shared library
};

PackageHost this_host(const std::string& device) {
  PackageHost host;
  host.device = device;
  host.torch = TORCH_VERSION;
  host.has_isa = processor_has;
  utsname system{};
  if (::uname(&system) == 0) host.architecture = system.machine;
#if PEAKNET_MODEL_CUDA
  if (device.starts_with("cuda")) {
    const int index = at::Device(device).index();
    int major = 0;
    int minor = 0;
    if (cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, index) == cudaSuccess &&
        cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, index) == cudaSuccess) {
      host.capability = std::to_string(major) + "." + std::to_string(minor);
    }
  }
#endif
  return host;
}

Error bad_package(const std::string& path, const std::string& what) {
  return {"model.bad-package", path + " " + what, "its code was not loaded, no other model was touched",
          "make it with models/export.py"};
}

Result<nlohmann::json> read_json(const ModelArchive& archive, const std::string& record) {
  std::string text;
  auto read = archive.read(record, [&](const char* part, std::size_t bytes) {
    text.append(part, bytes);
    return Status{};
  });
  if (!read) return read.error();
  return nlohmann::json::parse(text, nullptr, false);
}

// The networks of the package, by name, checked against this machine. Nothing of it has been run.
Result<std::map<std::string, Network>> read_networks(const std::string& path, const ModelArchive& archive,
                                                     const PackageHost& host) {
  std::map<std::string, std::vector<std::string>> code;
  for (const auto& [record, bytes] : archive.records()) {
    if (record.starts_with("data/constants/") || record.ends_with(".blob"))
      return bad_package(path, "keeps its weights apart from the code (" + record + "), which is not supported");
    if (!record.starts_with(kNetworks)) continue;
    const std::string inside = record.substr(kNetworks.size());
    const std::string network = inside.substr(0, inside.find('/'));
    code.try_emplace(network);
    if (record.ends_with(".so")) code[network].push_back(record);
  }
  if (code.empty()) return bad_package(path, "holds no compiled network (" + std::string(kNetworks) + ")");
  std::map<std::string, Network> networks;
  for (const auto& [name, libraries] : code) {
    if (libraries.size() != 1)
      return bad_package(path, "holds " + std::to_string(libraries.size()) + " compiled libraries for " + name +
                                   ", there must be one");
    const std::string library = libraries.front();
    const std::string metadata_name = library.substr(0, library.size() - 3) + "_metadata.json";
    if (!archive.records().contains(metadata_name)) return bad_package(path, "has no " + metadata_name);
    const auto json = read_json(archive, metadata_name);
    if (!json) return json.error();
    if (!json->is_object()) return bad_package(path, "has a " + metadata_name + " that is not JSON");
    PackageMetadata metadata;
    for (const auto& [key, value] : json->items()) {
      if (value.is_string()) metadata[key] = value.get<std::string>();
    }
    auto facts = check_package(path, name, metadata, host);
    if (!facts) return facts.error();
    networks[name] = {*facts, library};
  }
  const PackageFacts& first = networks.begin()->second.facts;
  for (const auto& [name, network] : networks) {
    const bool same = std::equal(network.facts.shape.begin() + 1, network.facts.shape.end(), first.shape.begin() + 1) &&
                      network.facts.element == first.element && network.facts.classes == first.classes;
    if (!same) return bad_package(path, "holds networks that differ in more than rows: " + name);
  }
  return networks;
}

Status write_record(const ModelArchive& archive, const std::string& record, const std::string& path) {
  std::ofstream file(path, std::ios::binary);
  const auto failed = [&] {
    return Error{"model.cache", "cannot write " + path + ": " + std::strerror(errno), "no model was touched",
                 "room and rights of that folder"};
  };
  auto read = archive.read(record, [&](const char* part, std::size_t bytes) -> Status {
    if (file.write(part, static_cast<std::streamsize>(bytes))) return {};
    return failed();
  });
  if (!read) return read;
  file.close();
  return file ? Status{} : failed();
}

// All files of the networks but their sources.
Result<std::filesystem::path> unpack(const std::string& sha256, const ModelArchive& archive) {
  std::vector<PackedFile> files;
  for (const auto& [record, bytes] : archive.records()) {
    if (!record.starts_with(kNetworks) || record.ends_with(".cpp") || record.ends_with(".h")) continue;
    files.push_back({record.substr(kNetworks.size()), bytes});
  }
  return unpacked(model_cache(), sha256, files, [&](const PackedFile& file, const std::string& path) {
    return write_record(archive, std::string(kNetworks) + file.name, path);
  });
}

// See torch_name.cpp.
Status load_torch_name() {
  static const std::string failure = [] {
    if (::dlopen(PEAKNET_TORCH_NAME, RTLD_NOW | RTLD_LOCAL) != nullptr) return std::string{};
    const char* cause = ::dlerror();
    return std::string(cause != nullptr ? cause : "unknown cause");
  }();
  if (failure.empty()) return {};
  return Error{"model.not-built", "a part of peaknetd that packages need cannot be loaded: " + failure,
               "no other model was touched",
               "install " PEAKNET_TORCH_NAME " with peaknetd, or take a TorchScript file"};
}

// LibTorch reads a package's tables into static objects when a runner is made: one at a time in the process.
// `at_once`: runs at the same time, from as many threads; they share the weights.
Result<std::unique_ptr<Runner>> make_runner(const std::string& device, const std::filesystem::path& code,
                                            std::uint32_t at_once) {
  static std::mutex one_at_a_time;
  const std::lock_guard hold(one_at_a_time);
  const std::string kind = device.substr(0, device.find(':'));
  const auto& makers = torch::inductor::getAOTIModelRunnerRegistry();
  const auto maker = makers.find(kind);
  if (maker == makers.end()) {
    return Error{"model.not-built", "this LibTorch cannot run packages on " + device, "no other model was touched",
                 "a TorchScript file"};
  }
  std::unique_ptr<Runner> runner;
  on_load_stream(device, [&] {
    runner = maker->second(code.string(), at_once, device, code.parent_path().string(), at_once == 1);
  });
  return runner;
}

class PackageModel final : public Model {
 public:
  struct Bucket {
    PackageFacts facts;
    std::unique_ptr<Runner> runner;
  };
  PackageModel(const std::string& device, ModelInfo info, std::map<std::int64_t, Bucket> buckets, TorchRun run)
      : memory_(device), info_(std::move(info)), buckets_(std::move(buckets)), run_(std::move(run)) {}

  const ModelInfo& info() const override { return info_; }

  Status run(const kernels::TensorView& input, void* stream,
             const std::function<void(const kernels::TensorView&)>& use) override {
    const auto found = buckets_.find(input.shape[0]);
    if (found == buckets_.end() || !fits(found->second.facts, input)) return misfit(input);
    Status classes;
    const auto outcome = run_(
        input, stream, info_.rows,
        [&](const at::Tensor& batch) { return forward(*buckets_.at(batch.size(0)).runner, batch, stream); },
        [&](const kernels::TensorView& logits) {
          if (logits.shape[1] == found->second.facts.classes) return use(logits);
          classes = Error{"model.bad-output",
                          "the network " + info_.path + " returned " + std::to_string(logits.shape[1]) +
                              " classes, the package says " + std::to_string(found->second.facts.classes),
                          "no mask was written", "make it with models/export.py"};
        });
    return outcome.ok() ? classes : outcome;
  }
  bool begin_recording(void* stream) override { return run_.begin_recording(stream); }
  void end_recording() override { run_.end_recording(); }
  void trim() override { run_.trim(); }

 private:
  static at::Tensor forward(Runner& runner, const at::Tensor& batch, void* stream) {
    auto outputs = runner.run({batch}, stream);
    TORCH_CHECK(outputs.size() == 1, "it returned ", outputs.size(), " tensors, one is expected");
    return std::move(outputs.front());
  }
  static bool fits(const PackageFacts& facts, const kernels::TensorView& input) {
    const auto& shape = input.shape;
    const auto dense = kernels::contiguous(input.data, input.element, shape[0], shape[1], shape[2], shape[3]);
    return std::equal(facts.shape.begin(), facts.shape.end(), shape) && input.element == facts.element &&
           std::equal(dense.strides, dense.strides + 4, input.strides) &&
           reinterpret_cast<std::uintptr_t>(input.data) % kAlignment == 0;
  }
  Status misfit(const kernels::TensorView& input) const {
    const auto& any = buckets_.begin()->second.facts;
    std::string rows;
    for (const auto& [count, bucket] : buckets_) rows += (rows.empty() ? "" : ", ") + std::to_string(count);
    const auto type = [](kernels::Element element) { return std::string(c10::toString(scalar_type(element))); };
    return Error{"model.failed",
                 "the package " + info_.path + " takes (rows,1," + std::to_string(any.shape[2]) + "," +
                     std::to_string(any.shape[3]) + ") of " + type(any.element) + ", dense, with " + rows +
                     " rows; it was given " + shape_text(at::IntArrayRef(input.shape, 4)) + " of " +
                     type(input.element) + " with strides " + shape_text(at::IntArrayRef(input.strides, 4)),
                 "it was not run", "pool.shape, preprocess.multiple and engine.precision must fit the package"};
  }

  LastToGo memory_;
  ModelInfo info_;
  std::map<std::int64_t, Bucket> buckets_;  // by rows
  TorchRun run_;
};

}  // namespace

Result<std::unique_ptr<Model>> load_package_model(const ModelRequest& request, const std::string& sha256) {
  if (auto loaded = load_cuda_side(request.device); !loaded) return loaded.error();
  try {
    const auto archive = ModelArchive::open(request.path);
    if (!archive) return archive.error();
    const auto networks = read_networks(request.path, *archive, this_host(request.device));
    if (!networks) return networks.error();
    if (auto named = load_torch_name(); !named) return named.error();
    const auto folder = unpack(sha256, *archive);
    if (!folder) return folder.error();
    const auto element = networks->begin()->second.facts.element;
    if (element != request.element) {
      return Error{"model.wrong-device",
                   request.path + " takes " + c10::toString(scalar_type(element)) + ", engine.precision is " +
                       c10::toString(scalar_type(request.element)),
                   "its code was not loaded, no other model was touched",
                   "the engine.precision that the package was made for"};
    }
    ModelInfo info{request.path, "package", sha256, {}};
    std::map<std::int64_t, PackageModel::Bucket> buckets;
    const std::uint32_t threads = request.cpu_threads != 0 ? request.cpu_threads : usable_processors();
    for (const auto& [name, network] : *networks) {
      auto runner = make_runner(request.device, *folder / network.code.substr(kNetworks.size()),
                                request.device == "cpu" ? threads : 1);
      if (!runner) return runner.error();
      buckets[network.facts.shape[0]] = {network.facts, std::move(*runner)};
    }
    for (const auto& [rows, bucket] : buckets) info.rows.push_back(rows);
    return std::unique_ptr<Model>(
        new PackageModel(request.device, std::move(info), std::move(buckets),
                         {request.path, scalar_type(element), at::Device(request.device), request.cpu_threads}));
  } catch (const std::exception& failure) {
    release_cached_memory(request.device);  // what there was of it is gone
    return error_of_load(fault_of(failure), "the package " + request.path + " on " + request.device, cause_of(failure),
                         "check that the file is a whole package made with models/export.py");
  }
}

}  // namespace peaknet::model
