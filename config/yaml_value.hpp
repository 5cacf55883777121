// Reading one YAML value strictly: either it is exactly what is allowed, or it is refused with what is allowed.
// yaml-cpp's own conversions take more than an operator means (0660 as an octal number, "1e1" as an integer).
#pragma once

#include <yaml-cpp/yaml.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace peaknet::config {

// What is wrong with a value: nullopt is "nothing", else what is allowed instead.
using Refusal = std::optional<std::string>;

// Decimal digits alone.
Refusal read_integer(const YAML::Node& node, std::uint32_t least, std::uint32_t most, std::uint32_t& value);
// `least` itself may be excluded. Never infinite or not a number.
Refusal read_number(const YAML::Node& node, double least, double most, double& value, bool above_least = false);
Refusal read_bool(const YAML::Node& node, bool& value);
// Any scalar as it is written; nothing (null) is the empty text.
Refusal read_text(const YAML::Node& node, std::string& value);
// A list of texts; one scalar is a list of one, nothing (null) the empty list.
Refusal read_texts(const YAML::Node& node, std::vector<std::string>& value);

// The value as it stands in the file, short enough for a message.
std::string show(const YAML::Node& node);

// A double in the fewest digits that read back as itself.
std::string shortest(double value);
// Text as a YAML scalar that reads back as itself: quoted where it has to be.
std::string quote(const std::string& text);

}  // namespace peaknet::config
