#include "config/model_form.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <string_view>

#include "config/model_archive.hpp"
#include "config/model_path.hpp"

namespace peaknet::model {
namespace {

using Text = std::string_view;

std::string from_checkpoint(const std::string& path) {
  return "models/export.py peaknet.yaml peaknet.pt --weights " + path +
         " makes a model of it (peaknet.yaml: the network's configuration; or module:function)";
}

std::string from_network(const std::string& path) {
  return "models/export.py " + path + " network.pt makes a model of it";
}

Error not_a_model(const std::string& path, const std::string& what, const std::string& remedy) {
  return {"model.not-a-model", path + " is " + what, "it was not loaded", remedy};
}

// A file that is no archive.
Error plain_file(const std::string& path, Text begin) {
  struct Kind {
    Text mark;
    std::size_t at;
    const char* what;
  };
  constexpr std::array kWeights = {
      Kind{Text("\x80\x02\x8a\nl\xfc\x9c", 7), 0, "a checkpoint of an old torch.save"},
      Kind{Text("{"), 8, "a checkpoint of safetensors, weights without their network"},
      Kind{Text("\x80"), 0, "a pickle: a checkpoint, or a network with its Python classes"}};
  for (const auto& kind : kWeights) {
    if (begin.size() > kind.at && begin.substr(kind.at).starts_with(kind.mark))
      return not_a_model(path, kind.what, from_checkpoint(path));
  }
  if (begin.starts_with("\x89HDF")) return not_a_model(path, "an HDF5 file, as of Keras", from_network(path));
  if (begin.starts_with("version https://git-lfs"))
    return not_a_model(path, "a pointer of Git LFS, without the file itself", "git lfs pull");
  if (begin.empty()) return not_a_model(path, "empty", "copy it again from where it was made");
  return not_a_model(path, "neither a TorchScript file nor a package: it does not begin as one does",
                     "models/export.py makes a model of a checkpoint, of ONNX and of Keras");
}

enum class Kind { torchscript, package, program, checkpoint, other };

Kind kind_of(const ModelArchive& archive) {
  const auto& records = archive.records();
  const auto any = [&](Text begin) {
    const auto at = records.lower_bound(std::string(begin));
    return at != records.end() && at->first.starts_with(begin);
  };
  if (any("data/aotinductor/")) return Kind::package;
  if (any("models/model.json") || any("serialized_exported_program.json")) return Kind::program;
  if (any("code/") || records.contains("constants.pkl")) return Kind::torchscript;
  return records.contains("data.pkl") ? Kind::checkpoint : Kind::other;
}

Status check_archive_form(const std::string& path, Kind kind) {
  switch (kind) {
    case Kind::torchscript:
      if (!is_package(path)) return {};
      return not_a_model(path, "a TorchScript network, whose name ends in .pt2", "end its name in .pt");
    case Kind::package:
      if (is_package(path)) return {};
      return not_a_model(path, "a compiled package, whose name ends in .pt", "end its name in .pt2");
    case Kind::program:
      return not_a_model(path, "a program of torch.export, which is not compiled yet",
                         "models/export.py " + path + " network.pt makes a model of it, or network.pt2 a compiled one");
    case Kind::checkpoint:
      return not_a_model(path, "a checkpoint of torch.save, weights without their network", from_checkpoint(path));
    case Kind::other:
      break;
  }
  return not_a_model(path, "a ZIP archive, but neither a TorchScript file nor a package",
                     "models/export.py makes a model of a checkpoint, of ONNX and of Keras");
}

}  // namespace

Status check_model_form(const std::string& path) {
  if (is_builtin(path)) return {};
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return Error{"model.unreadable", "cannot read " + path + ": " + std::strerror(errno), "nothing was started",
                 "check the file and its rights"};
  }
  std::array<char, 64> bytes{};
  file.read(bytes.data(), bytes.size());
  const Text begin(bytes.data(), static_cast<std::size_t>(file.gcount()));
  if (!begin.starts_with("PK\x03\x04")) return plain_file(path, begin);
  const auto archive = ModelArchive::open(path);
  if (!archive) return archive.error();
  return check_archive_form(path, kind_of(*archive));
}

std::string remedy_for_name(const std::string& path) {
  const auto ends = [&](Text end) { return path.ends_with(end); };
  constexpr std::array kCheckpoints = {Text(".pth"), Text(".bin"), Text(".ckpt"), Text(".safetensors"), Text(".tar")};
  constexpr std::array kNetworks = {Text(".onnx"), Text(".keras"), Text(".h5")};
  if (std::any_of(kCheckpoints.begin(), kCheckpoints.end(), ends)) return from_checkpoint(path);
  if (std::any_of(kNetworks.begin(), kNetworks.end(), ends)) return from_network(path);
  return "a TorchScript file ends in .pt, a compiled package in .pt2; models/export.py makes both";
}

}  // namespace peaknet::model
