#include "base/command_line.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <utility>

namespace peaknet {
namespace {

// As roff takes it literally: dashes that can be searched for, and no line that begins with a command.
std::string literal(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      if ((c == '.' || c == '\'') && (out.empty() || out.back() == '\n')) out += "\\&";
      out += c;
    }
  }
  return out;
}

std::string upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return text;
}

std::string option_paragraph(const OptionText& option) {
  std::string names;
  for (const std::string& name : option.names) names += (names.empty() ? "" : ", ") + literal(name);
  std::string out = ".TP\n\\fB" + names + "\\fR";
  if (!option.type.empty() && !option.is_positional()) out += " \\fI" + literal(option.type) + "\\fR";
  out += "\n" + literal(option.meaning);
  if (!option.choices.empty()) {
    std::string words;
    for (const std::string& choice : option.choices) words += (words.empty() ? "" : ", ") + choice;
    out += " (" + literal(words) + ")";
  }
  return out + "\n";
}

std::string synopsis(const CommandText& verb) {
  std::string out = literal(verb.name);
  for (const OptionText& option : verb.options) {
    if (option.names.back() == "--help") continue;
    std::string text = "\\fB" + literal(option.names.front()) + "\\fR";
    if (option.is_positional()) {
      text = "\\fI" + literal(option.names.front()) + "\\fR";
    } else if (!option.type.empty()) {
      text += " \\fI" + literal(option.type) + "\\fR";
    }
    out += option.required ? " " + text : " [" + text + "]";
  }
  return out;
}

// The words of "{a,b}", as CLI11 names a choice.
std::vector<std::string> choices_of(const std::string& type) {
  std::vector<std::string> words;
  const auto begin = type.find('{');
  const auto end = type.find('}');
  if (begin == std::string::npos || end == std::string::npos) return words;
  std::string word;
  for (const char c : type.substr(begin + 1, end - begin - 1) + ",") {
    if (c != ',') {
      word += c;
    } else if (!word.empty()) {
      words.push_back(std::exchange(word, {}));
    }
  }
  return words;
}

std::vector<OptionText> options_of(const CLI::App& app) {
  std::vector<OptionText> all;
  for (const CLI::Option* option : app.get_options()) {
    OptionText text;
    for (const std::string& name : option->get_snames()) text.names.push_back("-" + name);
    for (const std::string& name : option->get_lnames()) text.names.push_back("--" + name);
    if (text.names.empty()) text.names.push_back(option->get_name(true));
    if (option->get_type_size() != 0) text.type = option->get_type_name().substr(0, option->get_type_name().find(':'));
    text.meaning = option->get_description();
    text.required = option->get_required();
    text.choices = choices_of(option->get_type_name());
    all.push_back(std::move(text));
  }
  return all;
}

}  // namespace

CommandText describe(const CLI::App& app) {
  CommandText all{app.get_name(), app.get_description(), options_of(app), {}, app.get_footer()};
  for (const CLI::App* verb : app.get_subcommands({}))
    all.verbs.push_back({verb->get_name(), verb->get_description(), options_of(*verb), {}, ""});
  return all;
}

std::string manual_page(const CommandText& program, const std::string& version, int section, const std::string& also) {
  std::string out = ".TH " + upper(program.name) + " " + std::to_string(section) + " \"\" \"peaknetd " + version +
                    "\" \"peaknetd\"\n.SH NAME\n" + literal(program.name) + " \\- " + literal(program.meaning) +
                    "\n.SH SYNOPSIS\n.B " + literal(program.name) + "\n[\\fIOPTIONS\\fR]" +
                    (program.verbs.empty() ? "" : " \\fICOMMAND\\fR [\\fIOPTIONS OF THE COMMAND\\fR]") +
                    "\n.SH OPTIONS\n";
  for (const OptionText& option : program.options) out += option_paragraph(option);
  if (!program.verbs.empty()) out += ".SH COMMANDS\n";
  for (const CommandText& verb : program.verbs) {
    out += ".SS " + synopsis(verb) + "\n" + literal(verb.meaning) + ".\n";
    for (const OptionText& option : verb.options) {
      if (option.names.back() != "--help") out += option_paragraph(option);
    }
  }
  const std::string mark = "Exit codes: ";
  const auto codes = std::min(program.footer.find(mark), program.footer.size());
  const std::string examples = program.footer.substr(0, codes);
  if (const auto headline = examples.find('\n'); headline != std::string::npos)
    out += ".SH EXAMPLES\n.nf\n" + literal(examples.substr(headline + 1)) + ".fi\n";
  if (codes < program.footer.size()) out += ".SH EXIT STATUS\n" + literal(program.footer.substr(codes + mark.size()));
  if (!out.ends_with('\n')) out += '\n';
  return out + ".SH SEE ALSO\n" + literal(also) + "\n";
}

void add_manual_flag(CLI::App& app, const std::string& version, int section, const std::string& also) {
  app.add_flag_callback(
         "--manual",
         [&app, version, section, also] {
           std::string page = manual_page(describe(app), version, section, also);
           page.pop_back();  // CLI11 ends the line
           throw CLI::CallForVersion(page, 0);
         },
         "print the manual page, for man -l -")
      ->configurable(false);
}

}  // namespace peaknet
