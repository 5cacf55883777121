#include "daemon/model/package_facts.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>
#include <vector>

namespace peaknet::model {
namespace {

constexpr const char* kUntouched = "its code was not loaded, no other model was touched";

std::vector<std::string> split(std::string_view text, char at) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(at), text.size());
    if (end > 0) parts.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

std::optional<std::int64_t> whole(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return text;
}

// "2.11.0+cpu" -> "2.11": code of another minor version of torch may call what is no longer there.
std::string minor_version(const std::string& version) {
  const std::size_t first = version.find('.');
  return version.substr(0, first == std::string::npos ? version.size() : version.find_first_of(".+", first + 1));
}

// Those of `isas`, separated by spaces, that the machine does not have, each once: "avx512, sve256".
std::string missing_isas(std::string isas, const PackageHost& host) {
  std::vector<std::string> missing;
  for (auto& isa : split(lower(std::move(isas)), ' ')) {
    if (!host.has_isa(isa) && std::find(missing.begin(), missing.end(), isa) == missing.end())
      missing.push_back(std::move(isa));
  }
  std::string text;
  for (const auto& isa : missing) text += (text.empty() ? "" : ", ") + isa;
  return text;
}

// Reads the facts of one network and remembers the first that does not fit.
class Reader {
 public:
  Reader(const std::string& path, const std::string& name, const PackageMetadata& metadata)
      : who_(path + ", network " + name), metadata_(metadata) {}

  std::string optional(const std::string& key) const {
    const auto found = metadata_.find(key);
    return found == metadata_.end() ? "" : found->second;
  }
  std::string text(const std::string& key) {
    const auto found = metadata_.find(key);
    if (found != metadata_.end()) return found->second;
    wrong("does not say " + key);
    return "";
  }
  void wrong(const std::string& what) {
    fail({"model.bad-package", who_ + " " + what, kUntouched, "make it with models/export.py"});
  }
  void not_here(const std::string& what, const std::string& remedy) {
    fail({"model.wrong-device", who_ + " " + what, kUntouched, remedy});
  }
  Status outcome() const { return outcome_; }

 private:
  void fail(Error error) {
    if (outcome_.ok()) outcome_ = std::move(error);
  }
  std::string who_;
  const PackageMetadata& metadata_;
  Status outcome_;
};

// The device, and what of this machine its code needs.
void check_device(Reader& reader, const PackageHost& host) {
  const auto kind = reader.text("peaknet.device");
  const std::string here = host.device.substr(0, host.device.find(':'));
  if (reader.outcome().ok() && kind != here)
    reader.not_here("was compiled for " + kind + ", not for the device " + host.device,
                    "another engine.devices, or a package made with --device " + here);
  if (const auto torch_kind = reader.optional("AOTI_DEVICE_KEY"); !torch_kind.empty() && torch_kind != kind)
    reader.wrong("says " + kind + " and holds code for " + torch_kind);
  if (kind == "cpu") {
    const auto machine = reader.optional("AOTI_MACHINE");
    if (!machine.empty() && machine != host.architecture)
      reader.not_here("was compiled on " + machine + ", this machine is " + host.architecture,
                      "make it on a machine of this kind");
    const auto isas = reader.text("peaknet.isa") + " " + reader.optional("AOTI_CPU_ISA");
    if (const auto missing = missing_isas(isas, host); !missing.empty())
      reader.not_here("was compiled for a processor with " + missing + ", which this one does not have",
                      "make it on a machine of this kind, or take a TorchScript file");
  }
  if (kind == "cuda") {
    const auto capabilities = split(reader.text("peaknet.capability"), ',');
    if (reader.outcome().ok() &&
        std::find(capabilities.begin(), capabilities.end(), host.capability) == capabilities.end())
      reader.not_here("was compiled for GPUs of capability " + reader.text("peaknet.capability") + ", " + host.device +
                          " has " + host.capability,
                      "make it on a GPU of this kind");
  }
}

void read_element(Reader& reader, PackageFacts& facts) {
  const auto dtype = reader.text("peaknet.dtype");
  if (dtype == "bfloat16") facts.element = kernels::Element::bfloat16;
  if (dtype == "float16") facts.element = kernels::Element::float16;
  if (reader.outcome().ok() && dtype != "float32" && dtype != "bfloat16" && dtype != "float16")
    reader.wrong("takes " + dtype + ", possible are float32, bfloat16 and float16");
}

// The shape of the input, whose rows are also in the name of the network.
void read_shape(Reader& reader, const std::string& name, PackageFacts& facts) {
  const auto sizes = split(reader.text("peaknet.shape"), ',');
  bool shaped = sizes.size() == facts.shape.size();
  for (std::size_t i = 0; shaped && i < sizes.size(); ++i) {
    const auto size = whole(sizes[i]);
    shaped = size && *size > 0 && *size <= (std::int64_t{1} << 24);
    if (shaped) facts.shape[i] = *size;
  }
  shaped = shaped && facts.shape[1] == 1;
  if (reader.outcome().ok() && !shaped)
    reader.wrong("takes an input of (" + reader.text("peaknet.shape") + "), the engine gives (rows,1,H,W)");
  const auto rows = reader.text("peaknet.rows");
  if (reader.outcome().ok() && (whole(rows) != facts.shape[0] || name != "rows_" + rows))
    reader.wrong("says peaknet.rows " + rows + " and peaknet.shape " + reader.text("peaknet.shape"));
}

}  // namespace

bool processor_has(const std::string& isa) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (isa == "avx2") return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
  if (isa == "avx512")
    return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
           __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vl") != 0;
  if (isa == "avx512_vnni") return __builtin_cpu_supports("avx512vnni") != 0;
  if (isa == "avx512_bf16") return __builtin_cpu_supports("avx512bf16") != 0;
  if (isa == "amx_tile") {
    unsigned a = 0;
    unsigned b = 0;
    unsigned c = 0;
    unsigned d = 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d >> 24U & 1U) != 0;
  }
#endif
  return isa == "default" || isa == "invalid_vec_isa";  // code without vectors
}

Result<PackageFacts> check_package(const std::string& path, const std::string& name, const PackageMetadata& metadata,
                                   const PackageHost& host) {
  Reader reader(path, name, metadata);
  PackageFacts facts;
  if (const auto format = reader.text("peaknet.format"); format != "1" && reader.outcome().ok())
    reader.wrong("is of format " + format + ", this peaknetd reads 1");

  facts.torch = reader.text("peaknet.torch");
  if (reader.outcome().ok() && minor_version(facts.torch) != minor_version(host.torch)) {
    reader.not_here("was compiled for torch " + facts.torch + ", this peaknetd has " + host.torch,
                    "make it again with models/export.py and torch " + host.torch);
  }
  check_device(reader, host);
  read_element(reader, facts);
  read_shape(reader, name, facts);

  const auto classes = whole(reader.text("peaknet.classes"));
  if (reader.outcome().ok() && (!classes || *classes < 2 || *classes > 4096))
    reader.wrong("has " + reader.text("peaknet.classes") + " classes, at least 2 are needed");
  facts.classes = classes.value_or(0);
  if (!reader.outcome().ok()) return reader.outcome().error();
  return facts;
}

}  // namespace peaknet::model
