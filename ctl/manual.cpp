#include "ctl/manual.hpp"

#include <algorithm>

namespace peaknet::ctl {
namespace {

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
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

std::string commands_of(const CommandText& program) {
  std::string words;
  for (const CommandText& command : program.subcommands) words += (words.empty() ? "" : " ") + command.name;
  return words;
}

// Does the word after this option belong to it?
std::string options_with_values(const CommandText& program) {
  std::string cases;
  const auto add = [&](const CommandText& command) {
    for (const OptionText& option : command.options) {
      if (option.type.empty() || option.is_positional()) continue;
      for (const std::string& name : option.names) {
        if (("|" + cases + "|").find("|" + name + "|") == std::string::npos) cases += (cases.empty() ? "" : "|") + name;
      }
    }
  };
  add(program);
  for (const CommandText& command : program.subcommands) add(command);
  return cases;
}

std::string bash(const CommandText& program) {
  std::string out =
      "# bash completion of peaknetctl, made by: peaknetctl completion bash\n"
      "_peaknetctl() {\n"
      "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command= i\n"
      "  COMPREPLY=()\n"
      "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
      "    case ${COMP_WORDS[i]} in\n"
      "      " +
      options_with_values(program) +
      ") ((i++)) ;;\n"
      "      -*) ;;\n"
      "      *) command=${COMP_WORDS[i]}; break ;;\n"
      "    esac\n"
      "  done\n"
      "  case $before in\n";
  std::string chosen;
  for (const CommandText& command : program.subcommands) {
    for (const OptionText& option : command.options) {
      if (option.is_positional() || option.choices.empty()) continue;
      std::string words;
      for (const std::string& choice : option.choices) words += (words.empty() ? "" : " ") + choice;
      out += "    " + option.names.back() + ") COMPREPLY=($(compgen -W '" + words + "' -- \"$word\")); return ;;\n";
    }
  }
  out +=
      "    -i|--instance|--remove) COMPREPLY=($(compgen -W \"$(cd /dev/shm 2>/dev/null && for f in peaknet.*; do "
      "f=${f#peaknet.}; echo "
      "\"${f%.g[0-9]*}\"; done)\" -- \"$word\")); return ;;\n"
      "    --config|-o|--output) COMPREPLY=($(compgen -f -- \"$word\")); return ;;\n"
      "    " +
      options_with_values(program) +
      ") return ;;\n"
      "  esac\n"
      "  case $command in\n"
      "    '') COMPREPLY=($(compgen -W '" +
      words_of(program) + " " + commands_of(program) + "' -- \"$word\")) ;;\n";
  for (const CommandText& command : program.subcommands) {
    const bool files = std::any_of(command.options.begin(), command.options.end(), [](const auto& o) {
      return o.is_positional() && (o.type == "DIR" || o.type == "FILE");
    });
    out += "    " + command.name + ") COMPREPLY=($(compgen " + (files ? "-f " : "") + "-W '" +
           words_of(command, &program) + "' -- \"$word\")) ;;\n";
  }
  return out + "  esac\n}\ncomplete -o filenames -F _peaknetctl peaknetctl\n";
}

// In single quotes for zsh and fish.
std::string quoted(const std::string& text, const std::string& escape) {
  std::string out;
  for (const char c : text) {
    if (c == '\'') {
      out += escape;
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
    std::string values;
    for (const std::string& choice : option.choices) values += (values.empty() ? "" : " ") + choice;
    const std::string action = !values.empty()                                 ? "(" + values + ")"
                               : option.type == "FILE" || option.type == "PNG" ? "_files"
                               : option.type == "DIR"                          ? "_files -/"
                                                                               : " ";
    if (option.is_positional()) {
      out += indent + "'*:" + option.type + ":" + action + "' \\\n";
      continue;
    }
    for (const std::string& name : option.names) {
      out += indent + "'" + name + "[" + quoted(option.meaning, "'\\''") + "]";
      if (!option.type.empty()) out += ":" + option.type + ":" + action;
      out += "' \\\n";
    }
  }
  return out;
}

std::string zsh(const CommandText& program) {
  std::string out =
      "#compdef peaknetctl\n# zsh completion of peaknetctl, made by: peaknetctl completion zsh\n"
      "_peaknetctl() {\n  local state line\n  local -a commands\n  commands=(\n";
  for (const CommandText& command : program.subcommands)
    out += "    '" + command.name + ":" + quoted(command.meaning, "'\\''") + "'\n";
  out += "  )\n  _arguments -C \\\n" + zsh_options(program, "    ") +
         "    '1:command:->command' \\\n    '*::argument:->rest'\n"
         "  case $state in\n    command) _describe command commands ;;\n    rest)\n      case $line[1] in\n";
  for (const CommandText& command : program.subcommands) {
    std::string arguments = zsh_options(command, "          ");
    arguments.erase(arguments.find_last_of('\\'));
    out += "        " + command.name + ")\n          _arguments \\\n" + arguments + "\n          ;;\n";
  }
  return out + "      esac\n      ;;\n  esac\n}\n_peaknetctl \"$@\"\n";
}

std::string fish_option(const OptionText& option, const std::string& condition) {
  std::string out = "complete -c peaknetctl" + condition;
  for (const std::string& name : option.names)
    out += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
  if (!option.type.empty()) out += option.choices.empty() ? " -r" : " -x";
  std::string values;
  for (const std::string& choice : option.choices) values += (values.empty() ? "" : " ") + choice;
  if (!values.empty()) out += " -a '" + values + "'";
  std::string meaning;
  for (const char c : option.meaning) meaning += c == '\'' ? std::string("\\'") : std::string(1, c);
  return out + " -d '" + meaning + "'\n";
}

std::string fish(const CommandText& program) {
  std::string out = "# fish completion of peaknetctl, made by: peaknetctl completion fish\ncomplete -c peaknetctl -f\n";
  for (const OptionText& option : program.options) out += fish_option(option, "");
  for (const CommandText& command : program.subcommands) {
    std::string meaning;
    for (const char c : command.meaning) meaning += c == '\'' ? std::string("\\'") : std::string(1, c);
    out += "complete -c peaknetctl -n __fish_use_subcommand -a " + command.name + " -d '" + meaning + "'\n";
    for (const OptionText& option : command.options) {
      const std::string condition = " -n '__fish_seen_subcommand_from " + command.name + "'";
      if (!option.is_positional()) {
        out += fish_option(option, condition);
      } else if (!option.choices.empty()) {
        std::string values;
        for (const std::string& choice : option.choices) values += (values.empty() ? "" : " ") + choice;
        out += "complete -c peaknetctl" + condition + " -a '" + values + "'\n";
      } else {
        out += "complete -c peaknetctl" + condition + " -F\n";
      }
    }
  }
  return out;
}

}  // namespace

std::string completion_script(const CommandText& understood, const std::string& shell) {
  CommandText program = understood;
  for (CommandText& command : program.subcommands) {
    for (OptionText& option : command.options) {
      if (option.type != "COMMAND") continue;
      for (const CommandText& other : understood.subcommands) option.choices.push_back(other.name);
    }
  }
  if (shell == "bash") return bash(program);
  if (shell == "zsh") return zsh(program);
  return shell == "fish" ? fish(program) : "";
}

}  // namespace peaknet::ctl
