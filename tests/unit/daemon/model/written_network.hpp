// WrittenNetwork: networks written down in a test. `body` is that of forward(self, x), x of (rows, 1, H, W).
#pragma once

#include <gtest/gtest.h>
#include <torch/script.h>

#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>

#include "daemon/model/model.hpp"
#include "tests/unit/daemon/model/temp_folder.hpp"

namespace peaknet::test {

class WrittenNetwork : public testing::Test {
 protected:
  std::string saved(const std::string& body) {
    torch::jit::Module module("tiny");
    return saved(module, body);
  }
  std::string saved(torch::jit::Module& module, const std::string& body) {
    module.define("def forward(self, x: Tensor):\n" + body);
    const std::string path = folder_.path("tiny.pt");
    module.save(path);
    std::filesystem::permissions(path, std::filesystem::perms{0644});
    return path;
  }
  static std::unique_ptr<model::Model> loaded(const std::string& path,
                                              kernels::Element element = kernels::Element::float32,
                                              std::uint32_t threads = 1) {
    auto network = model::load_model({.path = path, .device = "cpu", .element = element, .cpu_threads = threads});
    if (!network) throw std::runtime_error(network.error().text());
    return std::move(*network);
  }

  TempFolder folder_;
};

}  // namespace peaknet::test
