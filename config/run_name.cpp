#include "config/run_name.hpp"

#include <cctype>
#include <optional>

#include "base/text.hpp"

namespace peaknet::config {
namespace {

constexpr std::size_t kLongest = 96;

const std::string* field(const RunNameFields& fields, std::string_view name) {
  if (name == "run") return &fields.run;
  if (name == "run_number") return &fields.run_number;
  if (name == "proposal") return &fields.proposal;
  if (name == "user") return &fields.user;
  return nullptr;
}

// Nothing where a brace is no part of a field.
std::optional<std::string> filled(std::string_view form, const RunNameFields& fields) {
  std::string text;
  while (!form.empty()) {
    const auto brace = form.find_first_of("{}");
    text += form.substr(0, brace);
    if (brace == std::string_view::npos) return text;
    form.remove_prefix(brace);
    const auto end = form.find('}');
    const std::string* value =
        end == std::string_view::npos || end == 0 ? nullptr : field(fields, form.substr(1, end - 1));
    if (value == nullptr) return std::nullopt;
    text += *value;
    form.remove_prefix(end + 1);
  }
  return text;
}

// A pattern of this text alone; what is in `kept` stands as it is.
std::string literal(std::string_view text, std::string_view kept = {}) {
  std::string pattern;
  for (const char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '_' && kept.find(c) == std::string_view::npos)
      pattern += '\\';
    pattern += c;
  }
  return pattern;
}

}  // namespace

bool is_run_name(const std::string& form) {
  const auto plain = filled(form, {"r", "n", "p", "u"});
  return form.size() <= kLongest && plain && is_plain_name(*plain, kLongest) && form.find("{run}") != std::string::npos;
}

std::string fill_run_name(std::string_view form, const RunNameFields& fields) {
  return filled(form, fields).value_or(fields.run);
}

// A name that would be too long has the id alone (writer/file_names.hpp).
StemsOfRun::StemsOfRun(const std::string& prefix, const std::string& form, const std::string& run) {
  const std::string any = "[A-Za-z0-9._-]+", id = literal(run);
  const std::string named =
      fill_run_name(literal(form, "{}"), {.run = id, .run_number = any, .proposal = any, .user = any});
  stems_ = std::regex(literal(prefix) + "_run(" + named + "|" + id + ")(\\..*)?");
}

}  // namespace peaknet::config
