#include "ctl/members.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <cstdio>

#include "base/columns.hpp"
#include "base/text.hpp"

namespace peaknet::ctl {

using nlohmann::json;

const json& member(const json& document, Path path) {
  static const json kNothing;
  const json* at = &document;
  for (const char* key : path) {
    if (!at->is_object()) return kNothing;
    const auto found = at->find(key);
    if (found == at->end()) return kNothing;
    at = &*found;
  }
  return *at;
}

std::string text(const json& document, Path path) {
  const json& value = member(document, path);
  if (!value.is_string() || value.get_ref<const std::string&>().empty()) return "-";
  return printable(value.get_ref<const std::string&>());
}

double number(const json& document, Path path) {
  const json& value = member(document, path);
  return value.is_number() ? value.get<double>() : 0.0;
}

std::string identifier(const json& document, Path path) {
  const json& value = member(document, path);
  if (!value.is_number_integer()) return "-";
  return value.is_number_unsigned() ? std::to_string(value.get<std::uint64_t>())
                                    : std::to_string(value.get<std::int64_t>());
}

std::string count(const json& document, Path path) {
  std::string digits = identifier(document, path);
  const std::ptrdiff_t sign = digits.starts_with('-') ? 1 : 0;
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > sign; at -= 3) {
    digits.insert(static_cast<std::size_t>(at), 1, ' ');
  }
  return digits;
}

std::string bytes(const json& document, Path path) {
  if (!member(document, path).is_number()) return "-";
  return human_bytes(static_cast<std::uint64_t>(std::clamp(number(document, path), 0.0, 1e18)));
}

std::string percent(const json& document, Path path) {
  return member(document, path).is_number() ? rounded(100 * number(document, path)) + " %" : "-";
}

std::string uptime(const json& document, Path path) {
  const auto seconds = static_cast<std::int64_t>(std::clamp(number(document, path), 0.0, 1e9));
  std::array<char, 48> out{};
  std::snprintf(out.data(), out.size(), "%lldd %02lld:%02lld:%02lld", static_cast<long long>(seconds / 86400),
                static_cast<long long>(seconds / 3600 % 24), static_cast<long long>(seconds / 60 % 60),
                static_cast<long long>(seconds % 60));
  return out.data();
}

std::string time_of_day(const json& document, Path path) {
  const std::string time = text(document, path);  // "2026-03-01T14:21:03.250Z"
  return time.size() >= 19 ? time.substr(11, 8) : "-";
}

std::string moment(const json& document, Path path) {
  const std::string time = text(document, path);
  return time.size() >= 19 ? time.substr(0, 10) + " " + time.substr(11, 8) : "-";
}

std::string rounded(double value, int decimals) {
  std::array<char, 40> out{};
  std::snprintf(out.data(), out.size(), std::abs(value) < 1e15 ? "%.*f" : "%.*g", decimals, value);
  return out.data();
}

std::string compact(double value) {
  if (!std::isfinite(value)) return "-";
  if (std::abs(value) < 1000) return rounded(value, value == std::floor(value) ? 0 : 1);
  if (std::abs(value) < 1e5) return rounded(value, 0);
  constexpr std::array<const char*, 6> kUnits = {"k", "M", "G", "T", "P", "E"};
  for (const char* unit : kUnits) {
    value /= 1000;
    if (std::abs(value) < 999.5)
      return rounded(value, std::abs(value) < 9.995 ? 2 : std::abs(value) < 99.95 ? 1 : 0) + unit;
  }
  return "huge";
}

std::string span_of_us(double us) {
  if (us < 1e3) return rounded(us, 0) + " us";
  if (us < 1e6) return rounded(us / 1e3) + " ms";
  if (us < 1e9) return rounded(us / 1e6) + " s";
  return rounded(us / 3.6e9) + " h";
}

std::string short_span_of_us(double us) {
  if (us < 1e3) return rounded(us, 0) + "us";
  if (us < 1e6) return rounded(us / 1e3, us < 1e5 ? 1 : 0) + "ms";
  if (us < 1e8) return rounded(us / 1e6) + "s";
  if (us < 3.6e9) return rounded(us / 1e6, 0) + "s";
  return compact(std::floor(us / 3.6e9)) + "h";
}

std::string upper(std::string word) {
  std::transform(word.begin(), word.end(), word.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return word;
}

double total_of(const json& causes) {
  double total = 0;
  if (!causes.is_object()) return total;
  for (const auto& [cause, value] : causes.items()) total += value.is_number() ? value.get<double>() : 0.0;
  return total;
}

std::string by_cause(const json& causes) {
  if (!causes.is_object()) return "-";
  std::string list;
  for (const auto& [cause, value] : causes.items()) {
    if (!value.is_number() || value.get<double>() == 0) continue;
    list += (list.empty() ? "" : ", ") + printable(cause) + " " + count(value, {});
  }
  const double total = std::clamp(total_of(causes), 0.0, 1e19);
  return count(json(static_cast<std::uint64_t>(total)), {}) + (list.empty() ? "" : " (" + list + ")");
}

}  // namespace peaknet::ctl
