// Packages made by a test, out of the library stand_in_network, as torch's package_aoti lays them out.
#pragma once

#include <caffe2/serialize/inline_container.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/unit/daemon/model/temp_folder.hpp"

namespace peaknet::test {

// What a package for this machine says of its network for so many rows.
inline nlohmann::json good_metadata(int rows, int height, int width, const std::string& torch, int classes = 2) {
  return {{"peaknet.format", "1"},
          {"peaknet.rows", std::to_string(rows)},
          {"peaknet.shape", std::to_string(rows) + ",1," + std::to_string(height) + "," + std::to_string(width)},
          {"peaknet.dtype", "float32"},
          {"peaknet.classes", std::to_string(classes)},
          {"peaknet.device", "cpu"},
          {"peaknet.isa", "default"},
          {"peaknet.torch", torch},
          {"AOTI_DEVICE_KEY", "cpu"}};
}

// `networks`: by name, the metadata of each. `more`: further records, by name.
inline void write_package(const std::string& path, const std::string& library,
                          const std::map<std::string, nlohmann::json>& networks,
                          const std::map<std::string, std::string>& more = {}) {
  const std::string code = read_file(library);
  {
    caffe2::serialize::PyTorchStreamWriter archive(path);
    for (const auto& [name, metadata] : networks) {
      const std::string stem = "data/aotinductor/" + name + "/code.wrapper";
      const std::string text = metadata.dump();
      archive.writeRecord(stem + ".so", code.data(), code.size());
      archive.writeRecord(stem + "_metadata.json", text.data(), text.size());
    }
    for (const auto& [name, content] : more) archive.writeRecord(name, content.data(), content.size());
    archive.writeEndOfFile();
  }
  std::filesystem::permissions(path, std::filesystem::perms{0644});
}

}  // namespace peaknet::test
