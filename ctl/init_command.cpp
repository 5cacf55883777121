#include "ctl/init_command.hpp"

#include <fcntl.h>
#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <sstream>
#include <string_view>

#include "base/text.hpp"
#include "base/write_all.hpp"
#include "config/config.hpp"
#include "config/unit_folders.hpp"
#include "ctl/doctor.hpp"
#include "ctl/document_output.hpp"
#include "ctl/render.hpp"
#include "ctl/service_unit.hpp"

namespace peaknet::ctl {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

// What differs from beamline to beamline; each other key has a default that is seldom changed.
constexpr std::array<std::string_view, 25> kShown = {
    "instance",           "pool.slots",           "pool.shape",          "pool.dtype",         "pool.full",
    "pool.group",         "engine.devices",       "engine.depth",        "engine.batch",       "engine.precision",
    "model.path",         "preprocess.normalize", "preprocess.pedestal", "preprocess.gain",    "preprocess.bad_pixels",
    "peaks.min_num_peak", "peaks.max_num_peak",   "output.dir",          "output.file_prefix", "output.events_per_file",
    "output.images",      "output.compression",   "output.geometry",     "feed.endpoints",     "log.level"};
constexpr std::size_t kColumns = 100;  // of comments
constexpr const char* kGroup = "peaknet";

// "pool.slots" -> "64" of every key.
std::map<std::string, std::string> values_of(const config::Config& config) {
  std::map<std::string, std::string> values;
  std::istringstream lines(config::to_yaml(config));
  std::string section;
  for (std::string line; std::getline(lines, line);) {
    const auto colon = line.find(':');
    const bool inner = line.starts_with("  ");
    if (colon + 1 == line.size()) {
      section = line.substr(0, colon) + ".";
    } else {
      values[inner ? section + line.substr(2, colon - 2) : line.substr(0, colon)] = line.substr(colon + 2);
    }
  }
  return values;
}

// `text` as comments that are no wider than kColumns.
std::string commented(const std::string& text, const std::string& indent) {
  std::istringstream words(text);
  std::string out;
  std::string line = indent + "#";
  for (std::string word; words >> word;) {
    if (line.size() + 1 + word.size() > kColumns) {
      out += line + "\n";
      line = indent + "#";
    }
    line += " " + word;
  }
  return out + line + "\n";
}

std::string key_of(const std::string& setting) { return setting.substr(0, setting.find('=')); }

Status write_new(const std::string& file, const std::string& text) {
  const auto failure = [&](int code) {
    return Error{"init.cannot-write", "cannot write " + file + ": " + std::strerror(code), "nothing was changed",
                 "sudo, or another place: peaknetctl --config FILE init NAME"};
  };
  const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
  if (fd < 0 && errno == EEXIST) {
    return Error{"init.exists", file + " is there already", "it was not changed",
                 "peaknetctl config check " + file + ", or move it away first"};
  }
  if (fd < 0) return failure(errno);
  int code = 0;
  const struct group* service = ::getgrnam(kGroup);
  // The services read it with this group; without them it is the user's own.
  if (::geteuid() == 0 && service != nullptr && ::fchown(fd, 0, service->gr_gid) != 0) code = errno;
  if (code == 0) code = write_all(fd, std::as_bytes(std::span(text)));
  if (::close(fd) != 0 && code == 0) code = errno;
  if (code == 0) return {};
  ::unlink(file.c_str());
  return failure(code);
}

std::vector<std::string> next_steps(const std::string& instance, const fs::path& file, bool good) {
  std::vector<std::string> steps;
  const std::string here = "--config " + file.string();
  if (!good) steps.push_back("correct what is BAD above, then: peaknetctl " + here + " doctor");
  if (file.parent_path() == config::kConfigFolder) {
    steps.push_back("systemctl enable --now peaknet@" + file.stem().string() + ".target");
  } else {
    steps.push_back("peaknetd " + here);
    steps.push_back("peaknet-writer " + here);
  }
  steps.push_back("peaknetctl --instance " + instance + " status");
  return steps;
}

std::string render_init(const json& document, std::size_t width) {
  std::string out = "wrote " + document["file"].get<std::string>() + ": instance '" +
                    document["instance"].get<std::string>() + "', files into " + document["output"].get<std::string>() +
                    "\n" + render_doctor(document, width) + "next:\n";
  for (const auto& step : document["next"]) out += "  " + step.get<std::string>() + "\n";
  return out;
}

}  // namespace

Result<std::string> commented_configuration(const std::string& instance, const std::string& file,
                                            const std::vector<std::string>& settings) {
  std::vector<std::string> all = {"instance=" + instance, "output.file_prefix=" + instance,
                                  "output.dir=" + config::output_folder(file)};
  all.insert(all.end(), settings.begin(), settings.end());
  const auto config = config::load("", all);
  if (!config) return config.error();
  const auto values = values_of(*config);
  std::string text = "# The configuration of instance " + instance +
                     ", for peaknetd, peaknet-writer, peaknet-feed and peaknetctl.\n"
                     "# Every other key has its default: peaknetctl --config " +
                     file + " config show\n# After a change: peaknetctl config check " + file + "\n\n";
  std::string section;
  for (const auto& [key, fallback, meaning] : config::documented_keys()) {
    const bool chosen = std::any_of(all.begin(), all.end(), [&](const auto& one) { return key_of(one) == key; });
    if (!chosen && std::find(kShown.begin(), kShown.end(), key) == kShown.end()) continue;
    const auto dot = key.find('.');
    const std::string of = dot == std::string::npos ? "" : key.substr(0, dot);
    if (of != section) text += "\n" + of + ":\n";
    section = of;
    const std::string indent = of.empty() ? "" : "  ";
    const std::string standard = fallback == values.at(key) ? "" : " (default: " + fallback + ")";
    text += commented(meaning + standard, indent) + indent + key.substr(of.empty() ? 0 : dot + 1) + ": " +
            values.at(key) + "\n";
  }
  return text;
}

ExitCode init(const Options& options, std::ostream& out, std::ostream& err) {
  const std::string& instance = options.files.front();
  const std::string given =
      options.config.empty() ? std::string(config::kConfigFolder) + "/" + instance + ".yaml" : options.config;
  const std::string file = fs::absolute(given).lexically_normal().string();
  const auto text = commented_configuration(instance, file, options.settings);
  if (!text) return show_error(text.error(), options.json, out, err);
  if (const auto written = write_new(file, *text); !written) return show_error(written.error(), options.json, out, err);
  const auto config = config::load(file, {});
  if (!config) return show_error(config.error(), options.json, out, err);
  json document = doctor_document(*config, services_of(file));
  document["schema"] = "peaknet.init/1";
  document["file"] = file;
  document["output"] = config->output.dir;
  document["next"] = next_steps(instance, file, document["good"]);
  show(options, document, render_init, out);
  return document["good"] ? ExitCode::ok : ExitCode::failed;
}

}  // namespace peaknet::ctl
