#include "base/completion.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace peaknet {
namespace {

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

bool takes_value(const OptionText& option) { return !option.type.empty() && !option.is_positional(); }

bool is_folder(const OptionText& option) { return option.type == "DIR" || option.type == "FOLDER"; }
bool is_file(const OptionText& option) {
  constexpr std::array<std::string_view, 3> kTypes{"FILE", "PNG", "PATH"};
  return is_folder(option) || std::find(kTypes.begin(), kTypes.end(), option.type) != kTypes.end();
}
bool is_instance(const OptionText& option) {
  return option.names.back() == "--instance" || option.names.back() == "--remove";
}

// Of the program and of its commands, each name once.
std::vector<OptionText> all_options(const CommandText& program) {
  std::vector<OptionText> all = program.options;
  for (const CommandText& command : program.subcommands)
    all.insert(all.end(), command.options.begin(), command.options.end());
  return all;
}

// The words that may follow a command, each once: its options, those of `before` it, and the values of its choices.
std::string words_of(const CommandText& command, const CommandText* before = nullptr) {
  std::vector<std::string> words;
  const auto add = [&](const std::string& word) {
    if (std::find(words.begin(), words.end(), word) == words.end()) words.push_back(word);
  };
  for (const CommandText* from : {before, &command}) {
    if (from == nullptr) continue;
    for (const OptionText& option : from->options) {
      for (const std::string& word : option.is_positional() ? option.choices : option.names) add(word);
    }
  }
  return joined(words);
}

std::string commands_of(const CommandText& program) {
  std::vector<std::string> words;
  for (const CommandText& command : program.subcommands) words.push_back(command.name);
  return joined(words);
}

// As a pattern of `case`: the options whose next word belongs to them. "": there are none.
std::string pattern(const CommandText& program, bool (*is)(const OptionText&)) {
  std::string cases;
  for (const OptionText& option : all_options(program)) {
    if (!takes_value(option) || !is(option)) continue;
    for (const std::string& name : option.names) {
      if (("|" + cases + "|").find("|" + name + "|") == std::string::npos) cases += (cases.empty() ? "" : "|") + name;
    }
  }
  return cases;
}

std::string function_of(const CommandText& program) {
  std::string name = "_" + program.name;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

// What bash offers after an option that takes a value.
std::string bash_values(const CommandText& program) {
  std::string out;
  for (const OptionText& option : all_options(program)) {
    if (!takes_value(option) || option.choices.empty()) continue;
    out += "    " + option.names.back() + ") COMPREPLY=($(compgen -W '" + joined(option.choices) +
           "' -- \"$word\")); return ;;\n";
  }
  if (const std::string names = pattern(program, is_instance); !names.empty())
    out += "    " + names +
           ") COMPREPLY=($(compgen -W \"$(cd /dev/shm 2>/dev/null && for f in peaknet.*; do f=${f#peaknet.}; echo "
           "\"${f%.g[0-9]*}\"; done)\" -- \"$word\")); return ;;\n";
  if (const std::string files = pattern(program, is_file); !files.empty())
    out += "    " + files + ") COMPREPLY=($(compgen -f -- \"$word\")); return ;;\n";
  return out + "    " + pattern(program, takes_value) + ") return ;;\n";
}

std::string bash_words(const std::string& name, const CommandText& command, const std::string& words) {
  const bool files = std::any_of(command.options.begin(), command.options.end(),
                                 [](const OptionText& option) { return option.is_positional() && is_file(option); });
  return "    " + name + ") COMPREPLY=($(compgen " + (files ? "-f " : "") + "-W '" + words + "' -- \"$word\")) ;;\n";
}

std::string bash(const CommandText& program, const std::string& headline) {
  const std::string function = function_of(program);
  std::string out = headline + function +
                    "() {\n"
                    "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command= i\n"
                    "  COMPREPLY=()\n";
  if (!program.subcommands.empty()) {
    std::string commands = commands_of(program);
    std::replace(commands.begin(), commands.end(), ' ', '|');
    out +=
        "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
        "    case ${COMP_WORDS[i]} in\n"
        "      " +
        pattern(program, takes_value) +
        ") ((i++)) ;;\n"
        "      " +
        commands +
        ") command=${COMP_WORDS[i]}; break ;;\n"
        "    esac\n"
        "  done\n";
  }
  out += "  case $before in\n" + bash_values(program) + "  esac\n  case $command in\n";
  out += bash_words("''", program, words_of(program) + (program.subcommands.empty() ? "" : " " + commands_of(program)));
  for (const CommandText& command : program.subcommands)
    out += bash_words(command.name, command, words_of(command, &program));
  return out + "  esac\n}\ncomplete -o filenames -F " + function + " " + program.name + "\n";
}

// In single quotes for zsh.
std::string quoted(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else if (c == '[' || c == ']' || c == ':') {
      out += std::string("\\") + c;
    } else {
      out += c;
    }
  }
  return out;
}

std::string zsh_options(const CommandText& command, const std::string& indent) {
  std::string out;
  for (const OptionText& option : command.options) {
    const std::string action = !option.choices.empty() ? "(" + joined(option.choices) + ")"
                               : is_folder(option)     ? "_files -/"
                               : is_file(option)       ? "_files"
                                                       : " ";
    if (option.is_positional()) {
      out += indent + "'*:" + quoted(option.type) + ":" + action + "' \\\n";
      continue;
    }
    for (const std::string& name : option.names) {
      out += indent + "'" + name + "[" + quoted(option.meaning) + "]";
      if (!option.type.empty()) out += ":" + quoted(option.type) + ":" + action;
      out += "' \\\n";
    }
  }
  return out;
}

// Without the backslash that goes on with the line.
std::string ended(std::string arguments) { return arguments.erase(arguments.find_last_of('\\')); }

std::string zsh(const CommandText& program, const std::string& headline) {
  const std::string function = function_of(program);
  std::string out = "#compdef " + program.name + "\n" + headline + function + "() {\n";
  if (program.subcommands.empty())
    return out + "  _arguments \\\n" + ended(zsh_options(program, "    ")) + "\n}\n" + function + " \"$@\"\n";
  out += "  local state line\n  local -a commands\n  commands=(\n";
  for (const CommandText& command : program.subcommands)
    out += "    '" + command.name + ":" + quoted(command.meaning) + "'\n";
  out += "  )\n  _arguments -C \\\n" + zsh_options(program, "    ") +
         "    '1:command:->command' \\\n    '*::argument:->rest'\n"
         "  case $state in\n    command) _describe command commands ;;\n    rest)\n      case $line[1] in\n";
  for (const CommandText& command : program.subcommands)
    out += "        " + command.name + ")\n          _arguments \\\n" + ended(zsh_options(command, "          ")) +
           "\n          ;;\n";
  return out + "      esac\n      ;;\n  esac\n}\n" + function + " \"$@\"\n";
}

std::string fish_text(const std::string& text) {
  std::string out;
  for (const char c : text) out += c == '\'' ? std::string("\\'") : std::string(1, c);
  return " -d '" + out + "'\n";
}

std::string fish_option(const std::string& complete, const OptionText& option) {
  if (option.is_positional())
    return complete + (option.choices.empty() ? " -F\n" : " -a '" + joined(option.choices) + "'\n");
  std::string out = complete;
  for (const std::string& name : option.names)
    out += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
  if (!option.type.empty()) out += option.choices.empty() ? " -r" : " -x";
  if (!option.type.empty() && is_file(option)) out += " -F";
  if (!option.choices.empty()) out += " -a '" + joined(option.choices) + "'";
  return out + fish_text(option.meaning);
}

std::string fish(const CommandText& program, const std::string& headline) {
  const std::string complete = "complete -c " + program.name;
  std::string out = headline + complete + " -f\n";
  for (const OptionText& option : program.options) out += fish_option(complete, option);
  for (const CommandText& command : program.subcommands) {
    out += complete + " -n __fish_use_subcommand -a " + command.name + fish_text(command.meaning);
    for (const OptionText& option : command.options)
      out += fish_option(complete + " -n '__fish_seen_subcommand_from " + command.name + "'", option);
  }
  return out;
}

// Where a command is asked for, its name is the choice.
CommandText with_choices(const CommandText& understood) {
  CommandText program = understood;
  for (CommandText& command : program.subcommands) {
    for (OptionText& option : command.options) {
      if (option.type != "COMMAND") continue;
      for (const CommandText& other : understood.subcommands) option.choices.push_back(other.name);
    }
  }
  return program;
}

}  // namespace

std::string completion_script(const CommandText& understood, const std::string& shell) {
  const CommandText program = with_choices(understood);
  const std::string headline = "# " + shell + " completion of " + program.name + ", printed by that program\n";
  if (shell == "bash") return bash(program, headline);
  if (shell == "zsh") return zsh(program, headline);
  return shell == "fish" ? fish(program, headline) : "";
}

}  // namespace peaknet
