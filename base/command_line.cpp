#include "base/command_line.hpp"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <memory>
#include <string_view>
#include <utility>

#include "base/columns.hpp"
#include "base/completion.hpp"
#include "base/terminal.hpp"

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

std::string synopsis(const CommandText& subcommand) {
  std::string out = literal(subcommand.name);
  for (const OptionText& option : subcommand.options) {
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

constexpr unsigned kWidestHelp = 120;

std::string names_of(const OptionText& option) {
  std::string names;
  for (const std::string& name : option.names) names += (names.empty() ? "" : ", ") + name;
  return option.type.empty() || option.is_positional() ? names : names + " " + option.type;
}

std::string meaning_of(const OptionText& option) {
  std::string words;
  for (const std::string& choice : option.choices) {
    if (option.meaning.find(choice) == std::string::npos) words += (words.empty() ? "" : ", ") + choice;
  }
  return words.empty() ? option.meaning : option.meaning + " (" + words + ")";
}

// A name and what it means, beside it or, where it is long, under it.
std::string entry(const std::string& name, const std::string& meaning, std::size_t width) {
  const std::size_t column = width >= 60 ? 24 : 6;
  std::string head = "  " + name;
  if (head.size() + 2 > column) {
    head += "\n" + std::string(column, ' ');
  } else {
    head.resize(column, ' ');
  }
  return head + wrapped(meaning, width, column, column) + "\n";
}

// Lines that are set by hand: each breaks by itself, with its own indent.
std::string each_wrapped(const std::string& text, std::size_t width) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    const std::size_t blanks = std::min(line.find_first_not_of(' '), line.size());
    const std::size_t indent = blanks == 0 ? 0 : blanks + 4;
    out += std::string(blanks, ' ') + wrapped(line.substr(blanks), width, indent, blanks) + "\n";
    at = end + 1;
  }
  return out;
}

}  // namespace

CommandText describe(const CLI::App& app) {
  CommandText all{app.get_name(), app.get_description(), options_of(app), {}, app.get_footer()};
  for (const CLI::App* subcommand : app.get_subcommands({}))
    all.subcommands.push_back({subcommand->get_name(), subcommand->get_description(), options_of(*subcommand), {}, ""});
  return all;
}

std::string manual_page(const CommandText& program, const std::string& version, int section, const std::string& also) {
  std::string out = ".TH " + upper(program.name) + " " + std::to_string(section) + " \"\" \"peaknetd " + version +
                    "\" \"peaknetd\"\n.SH NAME\n" + literal(program.name) + " \\- " + literal(program.meaning) +
                    "\n.SH SYNOPSIS\n.B " + literal(program.name) + "\n[\\fIOPTIONS\\fR]" +
                    (program.subcommands.empty() ? "" : " \\fICOMMAND\\fR [\\fIOPTIONS OF THE COMMAND\\fR]") +
                    "\n.SH OPTIONS\n";
  for (const OptionText& option : program.options) out += option_paragraph(option);
  if (!program.subcommands.empty()) out += ".SH COMMANDS\n";
  for (const CommandText& subcommand : program.subcommands) {
    out += ".SS " + synopsis(subcommand) + "\n" + literal(subcommand.meaning) + ".\n";
    for (const OptionText& option : subcommand.options) {
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

std::string help_text(const CLI::App& app) {
  const std::size_t width = std::min(Terminal::of(STDOUT_FILENO).columns, kWidestHelp);
  const CommandText command = describe(app);
  const CLI::App* parent = app.get_parent();
  std::string name = command.name;
  for (const CLI::App* of = parent; of != nullptr; of = of->get_parent()) name = of->get_name() + " " + name;
  std::string usage = "Usage: " + name + " [OPTIONS]", arguments, options, commands;
  for (const OptionText& option : command.options) {
    (option.is_positional() ? arguments : options) += entry(names_of(option), meaning_of(option), width);
    if (!option.is_positional()) continue;
    usage += option.required ? " " + option.names.front() : " [" + option.names.front() + "]";
  }
  if (!command.subcommands.empty()) usage += app.get_require_subcommand_min() > 0 ? " COMMAND ..." : " [COMMAND ...]";
  for (const CommandText& subcommand : command.subcommands)
    commands += entry(subcommand.name, subcommand.meaning, width);
  std::string out = wrapped(command.meaning, width) + "\n" + wrapped(usage, width, 4) + "\n";
  if (!arguments.empty()) out += "\nArguments:\n" + arguments;
  if (!options.empty()) out += "\nOptions:\n" + options;
  if (!commands.empty()) out += "\nCommands:\n" + commands;
  if (parent == nullptr && !command.footer.empty()) out += "\n" + each_wrapped(command.footer, width);
  return out;
}

namespace {

class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_help(const CLI::App* app, std::string, CLI::AppFormatMode) const override {
    std::string text = help_text(*app);
    text.pop_back();  // CLI11 ends the line
    return text;
  }
};

}  // namespace

void set_help_text(CLI::App& app) {
  const auto formatter = std::make_shared<HelpFormatter>();
  app.formatter(formatter);
  for (CLI::App* command : app.get_subcommands({})) command->formatter(formatter);
}

std::optional<std::string> help_asked(const CLI::App& app, int argc, const char* const* argv) {
  if (argc < 2 || std::string_view(argv[1]) != "help") return std::nullopt;
  if (argc == 2) return help_text(app);
  for (const CLI::App* command : app.get_subcommands({})) {
    if (command->get_name() == argv[2]) return help_text(*command);
  }
  return "";
}

void add_document_flags(CLI::App& app, const std::string& version, int section, const std::string& also) {
  const auto print = [](std::string document) {
    document.pop_back();  // CLI11 ends the line
    throw CLI::CallForVersion(document, 0);
  };
  app.add_flag_callback(
         "--manual", [=, &app] { print(manual_page(describe(app), version, section, also)); },
         "print the manual page, for man -l -")
      ->configurable(false);
  app.add_option_function<std::string>(
         "--completion", [=, &app](const std::string& shell) { print(completion_script(describe(app), shell)); },
         "print a script that completes this command line in your shell")
      ->type_name("SHELL")
      ->check(CLI::IsMember({"bash", "zsh", "fish"}))
      ->trigger_on_parse()
      ->configurable(false);
}

}  // namespace peaknet
