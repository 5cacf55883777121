#include "config/key_access.hpp"

#include <array>
#include <cstdio>

#include "base/limits.hpp"
#include "base/text.hpp"

namespace peaknet::config {
namespace {

std::string list(const std::vector<std::string>& texts) {
  std::string out = "[";
  for (const std::string& text : texts) out += (out.size() > 1 ? ", " : "") + quote(text);
  return out + "]";
}

bool is_cuda_device(const std::string& device) {
  const std::string_view stem = "cuda:";
  if (!device.starts_with(stem) || device.size() == stem.size() || device.size() > stem.size() + 3) return false;
  return std::all_of(device.begin() + static_cast<std::ptrdiff_t>(stem.size()), device.end(),
                     [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

Access devices() {
  return {[](Config& c, const YAML::Node& node) -> Refusal {
            const std::string allowed = "auto, cpu, or a list of up to " + std::to_string(shm::kMaxDevices) +
                                        " of cpu, cuda:0, cuda:1, ..., no GPU named twice";
            std::vector<std::string> value;
            if (read_texts(node, value) || value.empty() || value.size() > shm::kMaxDevices) return allowed;
            for (const std::string& device : value) {
              const bool good = device == "cpu" || (device == "auto" && value.size() == 1) ||
                                (is_cuda_device(device) && std::count(value.begin(), value.end(), device) == 1);
              if (!good) return allowed;
            }
            c.engine.devices = std::move(value);
            return std::nullopt;
          },
          [](const Config& c) {
            return c.engine.devices.size() == 1 ? quote(c.engine.devices.front()) : list(c.engine.devices);
          }};
}

Access cpus() {
  return {[](Config& c, const YAML::Node& node) -> Refusal {
            std::vector<std::string> value;
            const auto good = [](const std::string& text) {
              return text.find_first_not_of("0123456789,-") == std::string::npos ||
                     (text.starts_with("node") && text.find_first_not_of("0123456789", 4) == std::string::npos);
            };
            if (read_texts(node, value) || value.size() > shm::kMaxDevices ||
                !std::all_of(value.begin(), value.end(), good)) {
              return "a list of up to " + std::to_string(shm::kMaxDevices) + " of \"0-15\", \"node1\" or \"\"";
            }
            c.engine.cpus = std::move(value);
            return std::nullopt;
          },
          [](const Config& c) { return list(c.engine.cpus); }};
}

Access digests() {
  return {[](Config& c, const YAML::Node& node) -> Refusal {
            std::vector<std::string> value;
            const auto good = [](const std::string& text) {
              return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
            };
            if (read_texts(node, value) || !std::all_of(value.begin(), value.end(), good))
              return "a list of SHA-256 digests, 64 lower-case hex digits each";
            c.model.allow = std::move(value);
            return std::nullopt;
          },
          [](const Config& c) { return list(c.model.allow); }};
}

Access shape() {
  return {[](Config& c, const YAML::Node& node) -> Refusal {
            const std::string allowed = "[panels, height, width]: 1 to " + std::to_string(kMaxPanels) +
                                        " panels of 1 to " + std::to_string(kMaxSide) + " pixels a side";
            std::array<std::uint32_t, 3> value{};
            constexpr std::array<std::uint32_t, 3> kMost = {kMaxPanels, kMaxSide, kMaxSide};
            if (!node.IsSequence() || node.size() != value.size()) return allowed;
            for (std::size_t i = 0; i < value.size(); ++i) {
              if (read_integer(node[i], 1, kMost[i], value[i])) return allowed;
            }
            c.pool.shape = value;
            return std::nullopt;
          },
          [](const Config& c) {
            const auto& s = c.pool.shape;
            return "[" + std::to_string(s[0]) + ", " + std::to_string(s[1]) + ", " + std::to_string(s[2]) + "]";
          }};
}

// File permissions as people write them. Execute bits mean nothing here; write access for all would make the memory and
// the sockets everybody's, and shm refuses it at attach.
Access file_mode() {
  return {[](Config& c, const YAML::Node& node) -> Refusal {
            const std::string allowed =
                "octal digits like \"0600\", \"0660\" or \"0664\": read and write for the owner, no write for others";
            std::string digits;
            if (read_text(node, digits) || digits.empty() || digits.size() > 4 ||
                digits.find_first_not_of("01234567") != std::string::npos) {
              return allowed;
            }
            const auto value = static_cast<std::uint32_t>(std::stoul(digits, nullptr, 8));
            if ((value & 0600U) != 0600U || (value & ~0664U) != 0) return allowed;
            c.pool.mode = value;
            return std::nullopt;
          },
          [](const Config& c) {
            std::array<char, 16> digits{};
            std::snprintf(digits.data(), digits.size(), "\"%04o\"", c.pool.mode);
            return std::string(digits.data());
          }};
}

Access feed_endpoints() {
  static constexpr std::array<std::string_view, 4> kStarts = {"bind tcp://", "connect tcp://", "bind ipc://",
                                                              "connect ipc://"};
  return {[](Config& c, const YAML::Node& node) -> Refusal {
            std::vector<std::string> value;
            const std::string allowed =
                "a list of \"bind tcp://0.0.0.0:12321\" or \"connect tcp://host:port\" (tcp:// or ipc://)";
            if (read_texts(node, value)) return allowed;
            for (const std::string& endpoint : value) {
              const bool good = std::any_of(kStarts.begin(), kStarts.end(), [&](std::string_view start) {
                return endpoint.starts_with(start) && endpoint != start;
              });
              if (!good) return allowed;
            }
            c.feed.endpoints = std::move(value);
            return std::nullopt;
          },
          [](const Config& c) { return list(c.feed.endpoints); }};
}

}  // namespace peaknet::config
