#include "ctl/abbreviations.hpp"

#include <algorithm>
#include <span>

namespace peaknet::ctl {
namespace {

// The one of `names` that begins so; the word itself if none does, or if it is one of them.
Result<std::string> completed(const std::string& word, std::span<const std::string> names) {
  std::vector<std::string> found;
  for (const std::string& name : names) {
    if (name == word) return word;
    if (name.starts_with(word) && std::find(found.begin(), found.end(), name) == found.end()) found.push_back(name);
  }
  if (found.empty()) return word;
  if (found.size() == 1) return found.front();
  std::string list;
  for (const std::string& name : found) list += (list.empty() ? "" : ", ") + name;
  return Error{"cli.usage", "'" + word + "' may be " + list, "nothing was done", "write more of it"};
}

const CommandText* find_command(const CommandText& program, const std::string& name) {
  const auto found = std::find_if(program.subcommands.begin(), program.subcommands.end(),
                                  [&](const auto& v) { return v.name == name; });
  return found == program.subcommands.end() ? nullptr : &*found;
}

class CommandLine {
 public:
  CommandLine(const CommandText& program, std::vector<std::string> words)
      : program_(program), words_(std::move(words)) {
    for (const CommandText& command : program.subcommands) commands_.push_back(command.name);
  }

  Result<std::vector<std::string>> in_full() {
    for (at_ = 1; at_ < words_.size() && words_[at_] != "--"; ++at_) {
      const std::string& word = words_[at_];
      const Status status = word.starts_with("--")                      ? long_option()
                            : word.starts_with("-") && word.size() == 2 ? short_option()
                            : word.starts_with("-")                     ? Status{}
                                                                        : command();
      if (!status) return status.error();
    }
    return std::move(words_);
  }

 private:
  // The options that may stand here: those of all commands, and of the one before.
  template <class Visit>
  void each_option(const Visit& visit) const {
    for (const CommandText* of : {&program_, command_}) {
      if (of == nullptr) continue;
      for (const OptionText& option : of->options) visit(option);
    }
  }
  // The word after it is its value, whatever it begins with.
  void skip_value(const std::string& name) {
    bool takes = false;
    each_option([&](const OptionText& option) {
      const bool is_it = std::find(option.names.begin(), option.names.end(), name) != option.names.end();
      takes = takes || (is_it && !option.type.empty());
    });
    if (takes) ++at_;
  }

  Status long_option() {
    std::string& word = words_[at_];
    const std::size_t equals = std::min(word.find('='), word.size());
    std::vector<std::string> names;
    each_option([&](const OptionText& option) {
      for (const std::string& name : option.names) {
        if (name.starts_with("--")) names.push_back(name);
      }
    });
    const auto name = completed(word.substr(0, equals), names);
    if (!name) return name.error();
    const bool has_value = equals < word.size();
    word = *name + word.substr(equals);
    if (!has_value) skip_value(*name);
    return {};
  }

  Status short_option() {
    skip_value(words_[at_]);
    return {};
  }

  // The first word that is no option is the command; after `help` another one follows.
  Status command() {
    if (command_ != nullptr && (command_->name != "help" || helped_)) return {};
    const auto name = completed(words_[at_], commands_);
    if (!name) return name.error();
    words_[at_] = *name;
    helped_ = command_ != nullptr;
    if (command_ == nullptr) command_ = find_command(program_, *name);
    return {};
  }

  const CommandText& program_;
  std::vector<std::string> words_, commands_;
  std::size_t at_ = 0;
  const CommandText* command_ = nullptr;
  bool helped_ = false;
};

}  // namespace

Result<std::vector<std::string>> expanded(const CommandText& program, std::vector<std::string> words) {
  return CommandLine(program, std::move(words)).in_full();
}

}  // namespace peaknet::ctl
