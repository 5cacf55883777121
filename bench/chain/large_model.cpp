// A TorchScript model of 100 MB for the benchmark of the start, and what it costs to load it with nothing around it:
//
//   large_model --write FILE
//   large_model --load FILE    {"seconds": S}: from torch::jit::load to the end of one run of each batch
//
// Eleven convolutions of 512 to 512 channels at a 64th of the image's size, as in the bottom of a U-Net: large in the
// file, soon computed.
#include <torch/script.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>

namespace {

constexpr int kLayers = 11;  // of 9.4 MB each
constexpr std::int64_t kSize = 512;
constexpr std::int64_t kBatches[] = {1, 2, 4, 8};  // those that peaknetd warms with engine.batch 8

void write(const std::string& path) {
  torch::manual_seed(1);
  torch::jit::Module module("large");
  std::string forward =
      "def forward(self, x: Tensor):\n"
      "  y = torch.avg_pool2d(x, 64).expand(-1, 512, -1, -1)\n";
  for (int layer = 0; layer < kLayers; ++layer) {
    const std::string weight = "weight" + std::to_string(layer);
    module.register_parameter(weight, 0.01 * torch::randn({512, 512, 3, 3}), false);
    forward += "  y = torch.relu(torch.conv2d(y, self." + weight + ", None, 1, 1))\n";
  }
  module.define(forward + "  return torch.cat([y.mean([1, 2, 3], True) + 1000 + torch.zeros_like(x), x], 1)\n");
  module.save(path);
  std::filesystem::permissions(path, std::filesystem::perms{0644});
}

double load(const std::string& path) {
  const auto begin = std::chrono::steady_clock::now();
  const torch::InferenceMode no_gradients;
  auto module = torch::jit::load(path, torch::kCPU);
  module.eval();
  for (const auto batch : kBatches) module.forward({torch::zeros({batch, 1, kSize, kSize})});
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("A large TorchScript model: write it, or load it and nothing else.", "large_model");
  std::string to, from;
  app.add_option("--write", to, "the file to write");
  app.add_option("--load", from, "the file to load")->excludes("--write");
  app.require_option(1, 0);
  CLI11_PARSE(app, argc, argv);
  try {
    if (!to.empty()) write(to);
    if (!from.empty()) std::printf("{\"seconds\": %.3f}\n", load(from));
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "large_model: %s\n", failure.what());
    return 1;
  }
  return 0;
}
