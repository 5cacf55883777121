#include "base/small_floats.hpp"

#include <algorithm>
#include <array>
#include <fstream>
#include <sstream>
#include <string_view>

namespace peaknet {
namespace {

// Of x86, then of Arm. F16C and fphp only convert.
constexpr std::array kBfloat16 = {std::string_view("avx512_bf16"), std::string_view("amx_bf16"),
                                  std::string_view("bf16")};
constexpr std::array kFloat16 = {std::string_view("avx512_fp16"), std::string_view("amx_fp16"),
                                 std::string_view("asimdhp")};

}  // namespace

std::optional<bool> computes_itself(SmallFloat kind, const std::string& cpuinfo) {
  std::ifstream file(cpuinfo);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("flags") && !line.starts_with("Features")) continue;
    std::istringstream flags(line.substr(std::min(line.find(':'), line.size() - 1) + 1));
    const auto& wanted = kind == SmallFloat::bfloat16 ? kBfloat16 : kFloat16;
    for (std::string flag; flags >> flag;) {
      if (std::find(wanted.begin(), wanted.end(), flag) != wanted.end()) return true;
    }
    return false;
  }
  return std::nullopt;
}

}  // namespace peaknet
