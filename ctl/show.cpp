#include "ctl/show.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <ostream>
#include <utility>

#include "control/protocol.hpp"

namespace peaknet::ctl {
namespace {

using nlohmann::json;

std::string as_line(const json& value) {
  if (value.is_null()) return "";
  std::string text = value.is_string() ? value.get<std::string>() : control::to_text(value);
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, '?');
  return text;
}

void flatten(const std::string& path, const json& value, std::string& out) {
  const auto below = [&](const std::string& name) { return path.empty() ? name : path + "." + name; };
  if (value.is_object()) {
    for (const auto& [name, member] : value.items()) flatten(below(name), member, out);
  } else if (value.is_array()) {
    for (std::size_t i = 0; i < value.size(); ++i) flatten(below(std::to_string(i)), value[i], out);
  } else {
    out += path + '\t' + as_line(value) + '\n';
  }
}

}  // namespace

std::string plain_lines(const json& document) {
  std::string out;
  flatten("", document, out);
  return out;
}

std::string painted(const std::string& text) {
  constexpr std::array<std::pair<const char*, const char*>, 17> kColours = {{{"RUNNING", "32"},
                                                                             {"balance OK", "32"},
                                                                             {"ready", "32"},
                                                                             {"IDLE", "36"},
                                                                             {"DRAINING", "33"},
                                                                             {"STARTING", "33"},
                                                                             {"WARN", "33"},
                                                                             {"DEGRADED", "33"},
                                                                             {"degraded", "33"},
                                                                             {"healthy", "32"},
                                                                             {"failing", "31"},
                                                                             {"FAILING", "31"},
                                                                             {"ABSENT", "31"},
                                                                             {"FAILED", "31"},
                                                                             {"BROKEN", "31"},
                                                                             {"BAD", "31"},
                                                                             {"lost  ", "31"}}};
  std::string out = text;
  for (const auto& [word, colour] : kColours) {
    const std::string plain = word;
    const std::string coloured = std::string("\x1b[") + colour + "m" + word + "\x1b[0m";
    for (std::size_t at = out.find(plain); at != std::string::npos; at = out.find(plain, at + coloured.size()))
      out.replace(at, plain.size(), coloured);
  }
  return out;
}

void show_json(std::ostream& out, const json& document) { out << control::to_text(document, 2) << '\n'; }

void show(const Options& options, const json& document, std::string (*render)(const json&), std::ostream& out) {
  if (options.json) {
    show_json(out, document);
  } else if (options.plain) {
    out << plain_lines(document);
  } else {
    out << (options.colour ? painted(render(document)) : render(document));
  }
}

ExitCode show_error(const Error& error, bool json_too, std::ostream& out, std::ostream& err) {
  err << "error: " << error.what << '\n';
  if (!error.untouched.empty()) err << "  " << error.untouched << '\n';
  err << "  ";
  if (!error.remedy.empty()) err << "try: " << error.remedy << "   ";
  err << '[' << error.id << "]\n";
  if (json_too) {
    show_json(out,
              {{"schema", "peaknet.error/1"},
               {"error",
                {{"id", error.id}, {"what", error.what}, {"untouched", error.untouched}, {"remedy", error.remedy}}}});
  }
  return exit_code(error.id);
}

}  // namespace peaknet::ctl
