#include "ctl/document_output.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <nlohmann/json.hpp>
#include <ostream>
#include <utility>

#include "base/columns.hpp"
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

// Not a piece of a longer one: "ready", and not the end of "already".
bool is_word(const std::string& text, std::size_t at, std::size_t size) {
  const auto part_of_word = [](unsigned char c) { return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.'; };
  const bool begins = at == 0 || !part_of_word(static_cast<unsigned char>(text[at - 1]));
  const bool ends = at + size >= text.size() || text[at + size - 1] == ' ';
  return begins && (ends || !part_of_word(static_cast<unsigned char>(text[at + size])));
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
    for (std::size_t at = out.find(plain); at != std::string::npos;) {
      const bool whole = is_word(out, at, plain.size());
      if (whole) out.replace(at, plain.size(), coloured);
      at = out.find(plain, at + (whole ? coloured.size() : plain.size()));
    }
  }
  return out;
}

void show_json(std::ostream& out, const json& document) { out << control::to_text(document, 2) << '\n'; }

std::string as_shown(const Terminal& terminal, const std::string& text) {
  const std::string shown = terminal.there && !terminal.utf8 ? ascii(text) : text;
  return terminal.colour ? painted(shown) : shown;
}

void show(const Options& options, const json& document, Render render, std::ostream& out) {
  if (options.json) {
    show_json(out, document);
  } else if (options.plain) {
    out << plain_lines(document);
  } else {
    out << as_shown(options.terminal, render(document, options.terminal.columns));
  }
}

ExitCode show_error(const Error& error, bool json_too, std::ostream& out, std::ostream& err) {
  const Terminal terminal = Terminal::of(STDERR_FILENO);
  const auto line = [&](const std::string& text) {
    const std::string shown = terminal.there ? wrapped(text, terminal.columns, 2) : text;
    err << (terminal.there && !terminal.utf8 ? ascii(shown) : shown) << '\n';
  };
  line("error: " + error.what);
  if (!error.untouched.empty()) line("  " + error.untouched);
  line((error.remedy.empty() ? "" : "  try: " + error.remedy + " ") + "  [" + error.id + "]");
  if (json_too) show_json(out, control::error_document(error));
  return exit_code(error.id);
}

}  // namespace peaknet::ctl
