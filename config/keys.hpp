// The table of keys: everything that is known about one key of the configuration, in one place. Reading, --set, to_yaml
// and the documentation all go through it.
#pragma once

#include <functional>
#include <span>
#include <string>

#include "config/config.hpp"
#include "config/yaml_value.hpp"

namespace peaknet::config {

struct Key {
  std::string section;  // "pool"; "" at the top of the file
  std::string leaf;     // "slots"
  std::string meaning;
  std::function<Refusal(Config&, const YAML::Node&)> read;
  std::function<std::string(const Config&)> write;  // as one line of YAML

  std::string name() const { return section.empty() ? leaf : section + "." + leaf; }
};

// All keys in the order of the file; a section's keys stand together.
std::span<const Key> keys();

}  // namespace peaknet::config
