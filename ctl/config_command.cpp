#include "ctl/config_command.hpp"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <ostream>
#include <system_error>

#include "config/config.hpp"
#include "config/model_form.hpp"
#include "config/model_path.hpp"
#include "config/upstream.hpp"
#include "ctl/document_output.hpp"
#include "ctl/instance_config.hpp"
#include "ctl/target.hpp"

namespace peaknet::ctl {
namespace {

using nlohmann::json;

Error usage(const std::string& what, const std::string& remedy) {
  return {"cli.usage", what, "nothing was done", remedy};
}

ExitCode import(const Options& options, std::ostream& out, std::ostream& err) {
  if (options.files.empty()) {
    return show_error(
        usage("config import needs the files to import", "peaknetctl config import pipeline.yaml writer.yaml"),
        options.json, out, err);
  }
  const auto imported = config::import_upstream(options.files);
  if (!imported) return show_error(imported.error(), options.json, out, err);
  if (options.json) {
    json taken = json::array();
    json left = json::array();
    for (const auto& key : imported->taken)
      taken.push_back({{"from", key.from}, {"key", key.key}, {"value", key.value}});
    for (const auto& key : imported->left)
      left.push_back({{"from", key.from}, {"value", key.value}, {"reason", key.reason}});
    show_json(out, {{"schema", "peaknet.import/1"}, {"taken", taken}, {"left", left}, {"yaml", imported->yaml}});
    return ExitCode::ok;
  }
  out << imported->yaml;
  err << imported->taken.size() << " keys were taken over, " << imported->left.size()
      << " have no counterpart; each is a comment at the end of the file, with the reason\n";
  return ExitCode::ok;
}

Result<config::Config> of_instance(const Options& options) {
  const auto target = find_target(options);
  if (!target) return target.error();
  return config_of(options, *target);
}

}  // namespace

ExitCode configuration(const Options& options, std::ostream& out, std::ostream& err) {
  if (options.action == "import") return import(options, out, err);
  const std::string file = options.files.empty() ? options.config : options.files.front();
  if (options.files.size() > 1 || (options.action == "check" && file.empty())) {
    return show_error(usage("config " + options.action + " takes one file", "peaknetctl config check FILE"),
                      options.json, out, err);
  }
  const auto config = file.empty() && !options.instance.empty() ? of_instance(options) : config::load(file, {});
  if (!config) return show_error(config.error(), options.json, out, err);
  if (options.action == "check") {
    // The model may be on another machine; that one is named is the file's own matter, and what is here is looked at.
    if (config->model.path.empty()) return show_error(model::check_model_path("").error(), options.json, out, err);
    std::error_code elsewhere;
    if (std::filesystem::exists(config->model.path, elsewhere)) {
      if (const auto form = model::check_model_form(config->model.path); !form)
        return show_error(form.error(), options.json, out, err);
    }
    if (options.json) {
      show_json(out, {{"schema", "peaknet.check/1"}, {"file", file}, {"good", true}});
    } else {
      out << file << " is good; peaknetctl --config " << file << " doctor looks at the machine\n";
    }
  } else if (options.json) {
    show_json(out, {{"schema", "peaknet.config/1"}, {"file", file}, {"yaml", config::to_yaml(*config)}});
  } else {
    out << config::to_yaml(*config);
  }
  return ExitCode::ok;
}

}  // namespace peaknet::ctl
