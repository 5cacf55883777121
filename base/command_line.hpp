// What a program understands, as data, read off the very parser that --help is printed from; and its manual page made
// of that, so that neither can say anything else than what is understood. Pure functions.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace CLI {  // NOLINT(readability-identifier-naming): CLI11's
class App;
}

namespace peaknet {

struct OptionText {
  std::vector<std::string> names;  // "-h", "--help"; of a positional one its name alone, without dashes
  std::string type;                // "FILE"; "" for a flag
  std::string meaning;
  bool required = false;
  std::vector<std::string> choices;  // all values, where there are few
  bool is_positional() const { return !names.empty() && !names.front().starts_with('-'); }
};
struct CommandText {
  std::string name;
  std::string meaning;
  std::vector<OptionText> options;
  std::vector<CommandText> subcommands;
  std::string footer;  // of --help: a headline and examples, then "Exit codes: ..."; either may be missing
};
CommandText describe(const CLI::App& app);

// The page in roff. `section` as in peaknetctl(1); `also`: pages to see, as "peaknetd (8), peaknetctl (1)".
std::string manual_page(const CommandText& program, const std::string& version, int section, const std::string& also);

// What --help prints: description, options, commands, footer, in lines that fit the terminal. `app`: the program, or
// one of its commands.
std::string help_text(const CLI::App& app);
// --help of the program and of its commands prints that.
void set_help_text(CLI::App& app);
// For `PROGRAM help` and `PROGRAM help COMMAND`: the text to print, if these are the words. "": there is no such
// command.
std::optional<std::string> help_asked(const CLI::App& app, int argc, const char* const* argv);

// Gives the program --manual, which prints its page, for `man -l -`, and --completion SHELL, which prints the script
// for that shell (completion.hpp); both end it well. Call it when the parser is complete but for its parsing.
void add_document_flags(CLI::App& app, const std::string& version, int section, const std::string& also);

}  // namespace peaknet
