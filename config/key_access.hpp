// Access: how a value of the configuration is read from YAML and written as YAML. Each function makes the access for
// one kind of value; `field` is a function from a Config to a reference to the value in it.
//
// Threads: any; pure. Errors: a Refusal, which says what is allowed; the value stays what it was.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/config.hpp"
#include "config/yaml_value.hpp"

namespace peaknet::config {

using Read = std::function<Refusal(Config&, const YAML::Node&)>;
using Write = std::function<std::string(const Config&)>;
struct Access {
  Read read;
  Write write;
};

template <class Field>
Access integer(Field field, std::uint32_t least, std::uint32_t most) {
  return {[=](Config& c, const YAML::Node& node) { return read_integer(node, least, most, field(c)); },
          [=](const Config& c) { return std::to_string(field(c)); }};
}

template <class Field>
Access number(Field field, double least, double most, bool above_least = false) {
  return {[=](Config& c, const YAML::Node& node) { return read_number(node, least, most, field(c), above_least); },
          [=](const Config& c) { return shortest(field(c)); }};
}

template <class Field>
Access boolean(Field field) {
  return {[=](Config& c, const YAML::Node& node) { return read_bool(node, field(c)); },
          [=](const Config& c) { return std::string(field(c) ? "true" : "false"); }};
}

template <class Field>
Access text(Field field) {
  return {[=](Config& c, const YAML::Node& node) { return read_text(node, field(c)); },
          [=](const Config& c) { return quote(field(c)); }};
}

// A text that `good` accepts; otherwise `allowed` is what the operator is told.
template <class Field, class Good>
Access checked_text(Field field, Good good, const std::string& allowed) {
  return {[=](Config& c, const YAML::Node& node) -> Refusal {
            std::string value;
            if (read_text(node, value) || !good(value)) return allowed;
            field(c) = value;
            return std::nullopt;
          },
          [=](const Config& c) { return quote(field(c)); }};
}

// FILE:DATASET, or nothing.
template <class Field>
Access dataset(Field field) {
  return checked_text(
      field,
      [](const std::string& value) {
        const std::size_t colon = value.rfind(':');
        return value.empty() || (colon != std::string::npos && colon > 0 && colon + 1 < value.size());
      },
      "FILE:DATASET, as calibration.h5:/pedestal");
}

template <class Enum>
using Names = std::vector<std::pair<std::string, Enum>>;

template <class Field, class Enum>
Access choice(Field field, Names<Enum> names) {
  return {[=](Config& c, const YAML::Node& node) -> Refusal {
            std::string allowed;
            for (const auto& [name, value] : names) {
              if (node.IsScalar() && node.Scalar() == name) return field(c) = value, std::nullopt;
              allowed += (allowed.empty() ? "" : " | ") + name;
            }
            return allowed;
          },
          [=](const Config& c) {
            const auto found =
                std::find_if(names.begin(), names.end(), [&](const auto& n) { return n.second == field(c); });
            return found == names.end() ? std::string{} : found->first;
          }};
}

// engine.devices, engine.cpus, model.allow, pool.shape, pool.mode, feed.endpoints.
Access devices();
Access cpus();
Access digests();
Access shape();
Access file_mode();
Access feed_endpoints();

}  // namespace peaknet::config
