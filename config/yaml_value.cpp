#include "config/yaml_value.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <string_view>

#include "base/text.hpp"

namespace peaknet::config {
namespace {

template <class Number>
std::optional<Number> number_of(const YAML::Node& node) {
  return node.IsScalar() ? number_in<Number>(node.Scalar()) : std::nullopt;
}

}  // namespace

Refusal read_integer(const YAML::Node& node, std::uint32_t least, std::uint32_t most, std::uint32_t& value) {
  if (const auto number = number_of<std::uint32_t>(node); number && *number >= least && *number <= most) {
    value = *number;
    return std::nullopt;
  }
  return "an integer from " + std::to_string(least) + " to " + std::to_string(most);
}

Refusal read_number(const YAML::Node& node, double least, double most, double& value, bool above_least) {
  const auto number = number_of<double>(node);
  if (number && std::isfinite(*number) && *number <= most && (above_least ? *number > least : *number >= least)) {
    value = *number;
    return std::nullopt;
  }
  return std::string("a number ") + (above_least ? "above " : "from ") + shortest(least) + " to " + shortest(most);
}

Refusal read_bool(const YAML::Node& node, bool& value) {
  if (node.IsScalar()) {
    const std::string& text = node.Scalar();
    for (const auto* yes : {"true", "True", "yes", "on"}) {
      if (text == yes) return value = true, std::nullopt;
    }
    for (const auto* no : {"false", "False", "no", "off"}) {
      if (text == no) return value = false, std::nullopt;
    }
  }
  return "true or false";
}

Refusal read_text(const YAML::Node& node, std::string& value) {
  if (!node.IsScalar() && !node.IsNull()) return "one text";
  value = node.IsNull() ? std::string{} : node.Scalar();
  if (value.find('\0') != std::string::npos || value.find('\n') != std::string::npos) return "a text of one line";
  return std::nullopt;
}

Refusal read_texts(const YAML::Node& node, std::vector<std::string>& value) {
  value.clear();
  if (node.IsNull()) return std::nullopt;
  if (node.IsScalar()) {
    value.emplace_back();
    return read_text(node, value.back());
  }
  if (!node.IsSequence()) return "one text or a list of texts";
  for (const auto& entry : node) {
    value.emplace_back();
    if (!entry.IsScalar()) return "one text or a list of texts";
    if (auto refusal = read_text(entry, value.back())) return refusal;
  }
  return std::nullopt;
}

std::string show(const YAML::Node& node) {
  YAML::Emitter out;
  out << YAML::Flow << node;
  std::string text = out.good() ? out.c_str() : "?";
  constexpr std::size_t kShown = 60;
  if (text.size() > kShown) text = text.substr(0, kShown) + "...";
  std::replace(text.begin(), text.end(), '\n', ' ');
  return node.IsNull() ? "empty" : text;
}

std::string shortest(double value) {
  std::array<char, 32> text{};
  const auto [end, error] = std::to_chars(text.data(), text.data() + text.size(), value);
  return {text.data(), end};
}

std::string quote(const std::string& text) {
  // Plain is what every YAML reader takes for a text: no number, no indicator, no comment, none of the words with a
  // meaning.
  constexpr std::array<std::string_view, 10> kWords = {"true", "false", "yes", "no",   "on",
                                                       "off",  "y",     "n",   "null", "nan"};
  const auto harmless = [](unsigned char c) {
    return std::isalnum(c) != 0 || std::string_view("_-./").find(static_cast<char>(c)) != std::string_view::npos;
  };
  std::string lower = text;
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const bool plain =
      !text.empty() && (std::isalpha(static_cast<unsigned char>(text.front())) != 0 || text.front() == '/') &&
      std::all_of(text.begin(), text.end(), harmless) && std::find(kWords.begin(), kWords.end(), lower) == kWords.end();
  if (plain) return text;
  YAML::Emitter out;
  out << YAML::DoubleQuoted << text;
  return out.c_str();
}

}  // namespace peaknet::config
