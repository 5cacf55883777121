#include "config/config.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <set>
#include <sstream>

#include "base/small_file.hpp"
#include "base/text.hpp"
#include "config/from_yaml.hpp"
#include "config/keys.hpp"
#include "config/unit_folders.hpp"

namespace peaknet::config {
namespace {

// "mfx.yaml:12" for values of the file, "--set engine.depth=9" for overrides.
struct Origin {
  std::string file;
  std::string override_text;
  std::string at(const YAML::Node& node) const {
    if (!override_text.empty()) return "--set " + override_text;
    return file + (node.Mark().is_null() ? "" : ":" + std::to_string(node.Mark().line + 1));
  }
};

constexpr const char* kUnchanged = "nothing was started or changed";

const Key* find_key(std::string_view name) {
  const auto all = keys();
  const auto found = std::find_if(all.begin(), all.end(), [&](const Key& key) { return key.name() == name; });
  return found == all.end() ? nullptr : &*found;
}

bool is_section(const std::string& name) {
  const auto all = keys();
  return !name.empty() && std::any_of(all.begin(), all.end(), [&](const Key& key) { return key.section == name; });
}

// The key that was most likely meant: of the same section, or the same word in another one.
std::string nearest_key(const std::string& section, const std::string& leaf) {
  std::vector<std::string> here;
  for (const Key& key : keys()) {
    if (key.section == section) here.push_back(key.leaf);
    if (section.empty() && !key.section.empty() && (here.empty() || here.back() != key.section))
      here.push_back(key.section);
  }
  if (const std::string near = nearest(leaf, here); !near.empty()) return section.empty() ? near : section + "." + near;
  for (const Key& key : keys()) {
    if (key.leaf == leaf) return key.name();
  }
  std::vector<std::string> all;
  for (const Key& key : keys()) all.push_back(key.name());
  return nearest(section.empty() ? leaf : section + "." + leaf, all);
}

Error unknown_key(const std::string& where, const std::string& section, const std::string& leaf) {
  const std::string near = nearest_key(section, leaf);
  const std::string name = section.empty() ? leaf : section + "." + leaf;
  return {"config.unknown-key",
          where + ": there is no key '" + name + "'" + (near.empty() ? "" : " (did you mean '" + near + "'?)"),
          kUnchanged, near.empty() ? "see docs/configuration.md for all keys" : near};
}

Error bad_value(const std::string& where, const std::string& name, const std::string& value,
                const std::string& allowed) {
  return {"config.bad-value", where + ": " + name + " is " + value, kUnchanged, "allowed: " + allowed};
}

Status read_key(Config& config, const Key& key, const YAML::Node& value, const Origin& origin) {
  if (const auto allowed = key.read(config, value))
    return bad_value(origin.at(value), key.name(), show(value), *allowed);
  return {};
}

// The entries of one mapping. `section` is "" for the whole file.
Status read_mapping(Config& config, const std::string& section, const YAML::Node& mapping, const Origin& origin) {
  std::set<std::string> seen;
  for (const auto& entry : mapping) {
    if (!entry.first.IsScalar()) {
      return Error{"config.syntax", origin.at(entry.first) + ": a key is no text", kUnchanged, "write `key: value`"};
    }
    const std::string& leaf = entry.first.Scalar();
    if (!seen.insert(leaf).second) {
      return Error{
          "config.syntax",
          origin.at(entry.first) + ": '" + (section.empty() ? "" : section + ".") + leaf + "' stands here again",
          kUnchanged, "keep one of the two"};
    }
    const std::string name = section.empty() ? leaf : section + "." + leaf;
    if (section.empty() && is_section(leaf)) {
      if (entry.second.IsNull()) continue;
      if (!entry.second.IsMap())
        return bad_value(origin.at(entry.second), leaf, show(entry.second), "keys of its own below it");
      if (auto read = read_mapping(config, leaf, entry.second, origin); !read) return read;
      continue;
    }
    const Key* key = find_key(name);
    if (key == nullptr) return unknown_key(origin.at(entry.first), section, leaf);
    if (key->section != section) {
      return Error{"config.unknown-key", origin.at(entry.first) + ": '" + name + "' is no key of the file's top level",
                   kUnchanged, "write '" + key->section + ":', and '" + key->leaf + ":' indented below it"};
    }
    if (auto read = read_key(config, *key, entry.second, origin); !read) return read;
  }
  return {};
}

Error syntax_error(const std::string& where, const YAML::Exception& error) {
  return {"config.syntax", where + ": " + error.msg, kUnchanged, "correct the YAML there; see docs/configuration.md"};
}

// The first line that begins with a tab, counted from 1; yaml-cpp calls it an illegal value.
std::optional<std::size_t> line_with_tab(const std::string& text) {
  std::istringstream lines(text);
  std::string line;
  for (std::size_t number = 1; std::getline(lines, line); ++number) {
    const auto begin = line.find_first_not_of(" \t");
    if (begin != std::string::npos && line[begin] != '#' && line.find('\t') < begin) return number;
  }
  return std::nullopt;
}

Status read_text(Config& config, const std::string& text, const std::string& source) {
  try {
    const YAML::Node root = YAML::Load(text);
    if (root.IsNull()) return {};
    if (!root.IsMap()) {
      return Error{"config.syntax", source + ": this is no configuration: it has no keys", kUnchanged,
                   "write `key: value` lines"};
    }
    return read_mapping(config, "", root, {source, ""});
  } catch (const YAML::Exception& error) {
    if (const auto line = line_with_tab(text)) {
      return Error{"config.syntax", source + ":" + std::to_string(*line) + ": a tab stands before the key", kUnchanged,
                   "indent with spaces: YAML knows no tabs there"};
    }
    return syntax_error(error.mark.is_null() ? source : source + ":" + std::to_string(error.mark.line + 1), error);
  }
}

Status read_file(Config& config, const std::string& file) {
  const auto unreadable = [&](const std::string& cause) {
    return Error{"config.unreadable", "cannot read the configuration " + file + ": " + cause, kUnchanged,
                 "check the name and who may read it"};
  };
  constexpr std::uint64_t kMost = std::uint64_t{4} << 20;
  const SmallFile read = read_small_file(file, kMost);
  if (!read.problem.empty()) return unreadable(read.problem);
  return read_text(config, read.text, file);
}

Status apply_override(Config& config, const std::string& text) {
  const auto equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    return Error{"config.bad-override", "--set " + text + ": this is not key=value", kUnchanged,
                 "write --set engine.depth=3"};
  }
  const std::string name = text.substr(0, equals);
  const Origin origin{"", text};
  const Key* key = find_key(name);
  if (key == nullptr) {
    const auto dot = name.find('.');
    if (is_section(name)) {
      return Error{"config.bad-override", "--set " + text + ": '" + name + "' is a section", kUnchanged,
                   "set its keys: " + name + ".KEY=VALUE"};
    }
    return dot == std::string::npos ? unknown_key(origin.at({}), "", name)
                                    : unknown_key(origin.at({}), name.substr(0, dot), name.substr(dot + 1));
  }
  try {
    return read_key(config, *key, YAML::Load(text.substr(equals + 1)), origin);
  } catch (const YAML::Exception& error) {
    return syntax_error("--set " + text, error);
  }
}

// Rules between keys.
Status check_together(const Config& config, const std::string& where) {
  if (auto good = config.geometry().check(); !good)
    return bad_value(where, "pool", good.error().what, "a smaller frame");
  if (config.peaks.min_num_peak > config.peaks.max_num_peak) {
    return bad_value(where, "peaks.min_num_peak", std::to_string(config.peaks.min_num_peak),
                     "at most peaks.max_num_peak, which is " + std::to_string(config.peaks.max_num_peak));
  }
  if (config.shedding.lower_at >= config.shedding.raise_at) {
    return bad_value(where, "shedding.lower_at", std::to_string(config.shedding.lower_at),
                     "less than shedding.raise_at, which is " + std::to_string(config.shedding.raise_at));
  }
  if (!config.control.endpoint.empty() && config.control.endpoint == config.control.monitor) {
    return bad_value(where, "control.monitor", config.control.monitor, "another socket than control.endpoint");
  }
  return {};
}

void make_absolute(std::string& path, const std::filesystem::path& folder) {
  if (path.empty()) return;
  path = (folder / path).lexically_normal().string();
}

// $XDG_RUNTIME_DIR; "" where it names no folder.
std::string session_folder() {
  const char* session = std::getenv("XDG_RUNTIME_DIR");
  return session != nullptr && session[0] == '/' ? session : "";
}

// "": sockets may be there.
std::string why_not_ours(const std::string& folder) {
  struct stat there {};
  if (::stat(folder.c_str(), &there) != 0) return std::string("cannot be looked at: ") + std::strerror(errno);
  if (!S_ISDIR(there.st_mode)) return "is no folder";
  if (there.st_uid != ::geteuid()) return "belongs to uid " + std::to_string(there.st_uid);
  if (::faccessat(AT_FDCWD, folder.c_str(), W_OK | X_OK, AT_EACCESS) != 0)
    return std::string("cannot be written: ") + std::strerror(errno);
  return "";
}

}  // namespace

Result<Config> load(const std::string& file, const std::vector<std::string>& overrides) {
  std::error_code no_folder;
  const auto here = std::filesystem::current_path(no_folder);
  Config config;
  config.output.dir = output_folder((here / file).string());
  if (!file.empty()) {
    if (auto read = read_file(config, file); !read) return read.error();
  }
  for (const std::string& text : overrides) {
    if (auto applied = apply_override(config, text); !applied) return applied.error();
  }
  if (auto good = check_together(config, file.empty() ? "configuration" : file); !good) return good.error();

  const auto folder = here / std::filesystem::path(file).parent_path();
  for (std::string* model : {&config.model.path, &config.shedding.model}) {
    if (!model->starts_with("builtin:")) make_absolute(*model, folder);
  }
  for (std::string* dataset : {&config.preprocess.pedestal, &config.preprocess.gain, &config.preprocess.bad_pixels})
    make_absolute(*dataset, folder);
  make_absolute(config.output.dir, folder);
  make_absolute(config.output.geometry, folder);
  if (!config.live.state_dir.empty()) make_absolute(config.live.state_dir, folder);
  if (!config.control.curve_key.starts_with("credential:")) make_absolute(config.control.curve_key, folder);
  make_absolute(config.control.curve_clients, folder);
  make_absolute(config.control.curve_client_key, folder);
  const std::string stem = "ipc://" + runtime_folder(config.instance);
  if (config.control.endpoint.empty()) config.control.endpoint = stem + "/ctl";
  if (config.control.monitor.empty()) config.control.monitor = stem + "/mon";
  return config;
}

std::string runtime_folder(const std::string& instance) {
  if (auto given = folder_of_unit("RUNTIME_DIRECTORY"); !given.empty()) return given;
  if (::geteuid() == 0) return "/run/peaknet/" + instance;
  const std::string session = session_folder();
  if (!session.empty() && why_not_ours(session).empty()) return session + "/peaknet/" + instance;
  return "/tmp/peaknet-" + std::to_string(::geteuid()) + "/" + instance;
}

std::string why_no_session_folder() {
  const char* given = std::getenv("RUNTIME_DIRECTORY");
  const std::string session = session_folder();
  if ((given != nullptr && given[0] == '/') || ::geteuid() == 0 || session.empty()) return "";
  const std::string why = why_not_ours(session);
  return why.empty() ? "" : "XDG_RUNTIME_DIR is " + session + ", which " + why;
}

std::vector<DocumentedKey> documented_keys() {
  const Config defaults;
  std::vector<DocumentedKey> documented;
  for (const Key& key : keys()) documented.push_back({key.name(), key.write(defaults), key.meaning});
  return documented;
}

Result<Config> from_yaml(const std::string& text, const std::string& source) {
  Config config;
  if (auto read = read_text(config, text, source); !read) return read.error();
  if (auto good = check_together(config, source); !good) return good.error();
  return config;
}

std::string to_yaml(const Config& config) {
  std::string text;
  std::string section;
  for (const Key& key : keys()) {
    if (key.section != section) {
      section = key.section;
      text += section + ":\n";
    }
    text += (section.empty() ? "" : "  ") + key.leaf + ": " + key.write(config) + "\n";
  }
  return text;
}

}  // namespace peaknet::config
