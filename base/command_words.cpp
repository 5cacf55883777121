#include "base/command_words.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <iterator>
#include <optional>
#include <regex>
#include <string_view>
#include <utility>

#include "base/fatal.hpp"
#include "base/text.hpp"

namespace peaknet {
namespace {

Error usage(std::string what, std::string remedy) {
  return {"cli.usage", std::move(what), "nothing was done", std::move(remedy)};
}

// "--depth" of "--depth=5", "-n" of "-n5".
std::string name_of_option(const std::string& word) {
  return word.starts_with("--") ? word.substr(0, word.find('=')) : word.substr(0, 2);
}

const OptionText* find_option(const CommandText& command, const std::string& name) {
  const auto found = std::find_if(command.options.begin(), command.options.end(), [&](const OptionText& option) {
    return std::find(option.names.begin(), option.names.end(), name) != option.names.end();
  });
  return found == command.options.end() ? nullptr : &*found;
}

struct FoundOption {
  const OptionText* option = nullptr;  // null: there is none, or several begin so
  bool of_program = false;
};
// Of the program or its command: the one of that name, else the only one that begins so.
FoundOption find_beginning(const CommandText& program, const CommandText& command, const std::string& name) {
  if (const OptionText* option = find_option(program, name)) return {option, true};
  if (const OptionText* option = find_option(command, name)) return {option, false};
  FoundOption found;
  if (!name.starts_with("--") || name == "--") return found;
  for (const CommandText* of : {&program, &command}) {
    for (const OptionText& option : of->options) {
      if (std::none_of(option.names.begin(), option.names.end(), [&](const auto& it) { return it.starts_with(name); }))
        continue;
      if (found.option != nullptr) return {};
      found = {&option, of == &program};
    }
  }
  return found;
}

// The command that a word names, or the only one that begins so.
const CommandText* named_command(const CommandText& program, const std::string& word) {
  const CommandText* found = nullptr;
  for (const CommandText& command : program.subcommands) {
    if (command.name == word) return &command;
    if (word.empty() || !command.name.starts_with(word)) continue;
    if (found != nullptr) return nullptr;
    found = &command;
  }
  return found;
}

// The words before a command: those of the program, and those of the command.
struct WordsBefore {
  std::vector<std::string> of_program, of_command;
};

// nullopt: they are no options of these two.
std::optional<WordsBefore> words_before(const std::vector<std::string>& words, std::size_t at,
                                        const CommandText& program, const CommandText& command) {
  WordsBefore before;
  for (std::size_t i = 1; i < at;) {
    const std::string name = name_of_option(words[i]);
    const auto [option, of_program] = find_beginning(program, command, name);
    if (option == nullptr || option->is_positional()) return std::nullopt;
    const std::size_t end = i + (!option->type.empty() && words[i] == name ? 2 : 1);
    if (end > at) return std::nullopt;  // the command is its value
    auto& side = of_program ? before.of_program : before.of_command;
    for (; i < end; ++i) side.push_back(words[i]);
  }
  return before;
}

std::vector<std::string> long_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

Error unknown(const CLI::App& app, const std::string& kind, const std::string& word, const std::string& near,
              const std::string& remedy) {
  const std::string what = "unknown " + kind + " '" + word + "'";
  return near.empty() ? usage(what, app.get_name() + " help") : usage(what + " (did you mean '" + near + "'?)", remedy);
}

Error unknown_option(const CLI::App& app, const std::string& word) {
  const std::string name = name_of_option(word);
  auto known = long_names(app);
  const auto chosen = app.get_subcommands();
  for (const CLI::App* command : chosen) {
    for (auto& other : long_names(*command)) known.push_back(std::move(other));
  }
  std::string owners;
  for (const CommandText& command : describe(app).subcommands) {
    if (find_option(command, name) != nullptr) owners += (owners.empty() ? "'" : ", '") + command.name + "'";
  }
  if (!owners.empty() && std::find(known.begin(), known.end(), name) == known.end()) {
    const std::string whose = chosen.empty() ? "no command was given: " : "";
    return usage(whose + "'" + name + "' is an option of " + owners, app.get_name() + " help");
  }
  const std::string near = nearest(name, known);
  return unknown(app, "option", word, near, near);
}

Error unknown_word(const CLI::App& app, const std::string& word) {
  if (word.starts_with("-")) return unknown_option(app, word);
  const std::string help = app.get_name() + " help";
  const auto chosen = app.get_subcommands();
  if (!chosen.empty())
    return usage("'" + word + "' is too much after '" + chosen.front()->get_name() + "'",
                 help + " " + chosen.front()->get_name());
  const bool file = word.ends_with(".yaml") || word.ends_with(".yml");
  if (file && app.get_option_no_throw("--config") != nullptr)
    return usage("'" + word + "' is no option", app.get_name() + " --config " + word);
  if (app.get_subcommands({}).empty()) return usage("'" + word + "' is no option", help);
  return unknown_command(app, word, app.get_name() + " ");
}

}  // namespace

std::vector<std::string> command_first(const CommandText& program, std::vector<std::string> words) {
  for (std::size_t at = 1; at < words.size(); ++at) {
    if (words[at] == "--") break;
    const CommandText* command = named_command(program, words[at]);
    if (command == nullptr) continue;
    const auto before = words_before(words, at, program, *command);
    if (!before) continue;
    std::vector<std::string> ordered{words[0]};
    ordered.insert(ordered.end(), before->of_program.begin(), before->of_program.end());
    const auto rest = words.begin() + static_cast<std::ptrdiff_t>(at);
    const auto end_of_options = std::find(rest, words.end(), "--");
    ordered.insert(ordered.end(), rest, end_of_options);
    ordered.insert(ordered.end(), before->of_command.begin(), before->of_command.end());
    ordered.insert(ordered.end(), end_of_options, words.end());
    return ordered;
  }
  return words;
}

Error unknown_command(const CLI::App& app, const std::string& word, const std::string& before) {
  std::vector<std::string> commands;
  for (const CLI::App* command : app.get_subcommands({})) commands.push_back(command->get_name());
  const std::string near = nearest(word, commands);
  return unknown(app, "command", word, near, before + near);
}

Error usage_error(const CLI::App& app, const CLI::ParseError& error) {
  const std::string help = app.get_name() + " help";
  const auto chosen = app.get_subcommands();
  if (const auto left = app.remaining(true); !left.empty()) return unknown_word(app, left.front());
  for (const CLI::App* command : chosen) {
    for (const CLI::Option* option : command->get_options()) {
      if (error.what() == option->get_name() + " is required")
        return usage("'" + command->get_name() + "' needs " + option->get_name() + ": " + option->get_description(),
                     help + " " + command->get_name());
    }
  }
  for (const CLI::Option* option : app.get_options()) {
    if (error.what() == option->get_name() + " is required")
      return usage(option->get_name() + " is required: " + option->get_description(), help);
  }
  // "0.000000 to 1000000000.000000"
  const std::string what = std::regex_replace(error.what(), std::regex(R"((\d)\.0+\b)"), "$1");
  if (!chosen.empty()) return usage(what, help + " " + chosen.front()->get_name());
  const bool none = dynamic_cast<const CLI::RequiredError*>(&error) != nullptr;
  return usage(none ? "no command was given" : what, help);
}

bool read_command_line(CLI::App& app, int argc, const char* const* argv) {
  std::vector<std::string> words = command_first(describe(app), {argv, argv + argc});
  if (const auto help = help_asked(app, argc, argv)) {
    if (help->empty()) throw Fatal(unknown_command(app, words[2], app.get_name() + " help "), kExitUsage);
    print_document(*help);
    return false;
  }
  try {
    // CLI11 takes them without the program's name, the last one first.
    std::reverse(words.begin(), words.end());
    words.pop_back();
    app.parse(std::move(words));
    return true;
  } catch (const CLI::CallForHelp&) {
    const auto chosen = app.get_subcommands();
    print_document(help_text(chosen.empty() ? app : *chosen.front()));
  } catch (const CLI::CallForVersion& asked) {
    print_document(std::string(asked.what()) + '\n');
  } catch (const CLI::ParseError& error) {
    throw Fatal(usage_error(app, error), kExitUsage);
  }
  return false;
}

void print_document(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0) return;
  throw Fatal(
      {"cli.output", "what was found could not be written to stdout", "", "see where stdout leads, and df there"},
      kExitCannotCreate);
}

}  // namespace peaknet
