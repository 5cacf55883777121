#include "config/upstream.hpp"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string_view>

#include "config/config.hpp"
#include "config/keys.hpp"

namespace peaknet::config {
namespace {

constexpr const char* kUnchanged = "nothing was written";

enum class Kind { pipeline, writer };

// One key of theirs: ours, or why there is none.
struct Rule {
  std::string_view from;  // "runtime.batch_size"; a name that ends with '.' is everything below it
  std::string_view to;    // "" : no counterpart
  std::string_view word;  // for the reader
};

constexpr std::array kPipeline = {
    Rule{"ray.namespace", "instance", ""},
    Rule{"data.shape", "pool.shape", ""},
    Rule{"data_source.shape", "pool.shape", ""},
    Rule{"runtime.batch_size", "engine.batch", ""},
    Rule{"runtime.pipeline_concurrency", "engine.depth", ""},
    Rule{"precision.dtype", "engine.precision", ""},
    Rule{"data_source.socket_addresses", "feed.endpoints", ""},
    Rule{"model.weights_path", "", "make a model file of it (models/export.py) and name that in model.path"},
    Rule{"model.yaml_path", "", "the network's shape is in the model file of model.path"},
    Rule{"model.peaknet_config.", "", "the network's shape is in the model file of model.path"},
    Rule{"model.compile_mode", "", "chosen when the model file is made: models/export.py --compile"},
    Rule{"model.warmup_iterations", "", "each bucket is warmed before the daemon is ready"},
    Rule{"runtime.max_actors", "", "one worker per device: engine.devices"},
    Rule{"runtime.total_samples", "", "a run ends with peaknetctl stop; peaknet-feed --frames N for a test"},
    Rule{"runtime.num_producers", "", "producers are programs that attach: as many as you start"},
    Rule{"runtime.batches_per_producer", "", "peaknet-feed --frames N for a test"},
    Rule{"runtime.inter_batch_delay", "", "peaknet-feed --rate for a test"},
    Rule{"runtime.memory_sync_interval", "", "there is nothing to synchronise"},
    Rule{"runtime.queue_num_shards", "", "frames wait in the slots of one pool: pool.slots"},
    Rule{"runtime.queue_maxsize_per_shard", "",
         "frames wait in the slots of one pool: pool.slots, counted in events and not in batches"},
    Rule{"runtime.queue_names.", "", "the instance names everything"},
    Rule{"runtime.enable_output_queue", "", "results always wait for a writer"},
    Rule{"runtime.max_empty_polls", "", "nobody polls"},
    Rule{"runtime.poll_timeout", "", "nobody polls"},
    Rule{"data_source.source_type", "", "peaknet-feed replay, simulate or listen"},
    Rule{"data_source.socket_timeout", "", "feed.idle_seconds ends `listen` after a time without a message"},
    Rule{"data_source.socket_retry_attempts", "", "ZeroMQ connects again by itself"},
    Rule{"data_source.fields.", "", "options of peaknet-feed: --image-field and its like (docs/feed.md)"},
    Rule{"data_source.batch_assembly", "", "batches form in the engine: engine.max_delay_ms"},
    Rule{"data_source.batch_timeout", "", "batches form in the engine: engine.max_delay_ms"},
    Rule{"data_source.required_fields", "", "an event without an image is refused and counted"},
    Rule{"data_source.internal_parser_threads", "", "peaknet-feed listen --threads"},
    Rule{"data_source.raw_buffer_size", "", "messages are decoded straight into the pool: pool.slots"},
    Rule{"data_source.socket_hostname", "", "not read by upstream either"},
    Rule{"data_source.serialization_format", "", "the feed tells the dialects apart; not read by upstream either"},
    Rule{"data_source.parse_location", "", "not read by upstream either"},
    Rule{"transforms.", "", "preprocess.* pads and normalises; not read by upstream either"},
    Rule{"system.min_gpus", "", "name the devices in engine.devices"},
    Rule{"system.skip_gpu_validation", "",
         "peaknetctl doctor looks; a device that fails is taken out, the others go on"},
    Rule{"system.pin_memory", "", "the pool is registered with the driver once; pool.lock keeps it in memory"},
    Rule{"system.verify_actors", "", "there are no actors"},
    Rule{"profiling.", "", "peaknetctl stats shows where time goes; NVTX ranges in a CUDA build"},
    Rule{"output.", "", "the daemon writes to the journal; log.level"},
};

constexpr std::array kWriter = {
    Rule{"ray.namespace", "instance", ""},
    Rule{"peak_finding.min_num_peak", "peaks.min_num_peak", ""},
    Rule{"peak_finding.max_num_peak", "peaks.max_num_peak", ""},
    Rule{"geometry.geom_file", "output.geometry", ""},
    Rule{"output.output_dir", "output.dir", ""},
    Rule{"output.file_prefix", "output.file_prefix", ""},
    Rule{"output.buffer_size", "output.events_per_file", ""},
    Rule{"system.log_level", "log.level", ""},
    Rule{"peak_finding.connectivity", "", "always 8, as upstream in truth"},
    Rule{"queue.", "", "results wait in the slots of the pool"},
    Rule{"processing.", "", "one writer uses output.threads threads to compress; start several writers for more"},
    Rule{"output.batches_per_file", "",
         "files are counted in events: output.events_per_file; output.max_seconds ends one too"},
    Rule{"output.create_output_dir", "", "the folder is always made"},
    Rule{"output.save_segmentation_maps", "output.segmentation", ""},
    Rule{"system.log_file", "", "the log goes to the journal"},
    Rule{"system.progress_interval", "", "peaknetctl watch"},
};

std::span<const Rule> rules(Kind kind) { return kind == Kind::pipeline ? std::span<const Rule>(kPipeline) : kWriter; }

const Rule* find_rule(Kind kind, const std::string& name) {
  for (const Rule& rule : rules(kind)) {
    if (rule.from == name || (rule.from.ends_with('.') && (name + ".").starts_with(rule.from))) return &rule;
  }
  return nullptr;
}

// A value of theirs as one of ours.
std::string converted(const Rule& rule, const YAML::Node& value) {
  if (rule.to == "feed.endpoints") {
    std::string list;
    for (const auto& address : value) {
      if (!address.IsSequence() || address.size() != 2) return show(value);
      // The consumer that is replaced binds on the host that it names, and senders connect to it.
      const std::string endpoint = quote("bind tcp://0.0.0.0:" + address[1].as<std::string>(""));
      if (list.find(endpoint) == std::string::npos) list += (list.empty() ? "" : ", ") + endpoint;
    }
    return "[" + list + "]";
  }
  if (rule.to == "log.level") {
    std::string level = value.IsScalar() ? value.Scalar() : "";
    std::transform(level.begin(), level.end(), level.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (level == "warning") return "warn";
    return level == "critical" ? "error" : level;
  }
  if (value.IsSequence()) {
    std::string list;
    for (const auto& item : value) list += (list.empty() ? "" : ", ") + (item.IsScalar() ? item.Scalar() : "?");
    return "[" + list + "]";
  }
  return value.IsScalar() ? quote(value.Scalar()) : "";
}

class Importer {
 public:
  Status read(const std::string& file) {
    file_ = file;
    YAML::Node root;
    try {
      root = YAML::LoadFile(file);
    } catch (const YAML::BadFile&) {
      return Error{"config.unreadable", "cannot read " + file, kUnchanged, "check the name and who may read it"};
    } catch (const YAML::Exception& error) {
      return Error{"config.syntax", file + ":" + std::to_string(error.mark.line + 1) + ": " + error.msg, kUnchanged,
                   "correct the YAML there"};
    }
    const auto kind = kind_of(root);
    if (!kind) {
      return Error{"config.not-upstream",
                   file +
                       " has none of the sections of peaknet-pipeline (runtime, model, data, data_source, precision) "
                       "or cxi-writer (peak_finding, queue, processing, geometry)",
                   kUnchanged, "name the YAML files that peaknet-pipeline and cxi-writer were started with"};
    }
    kind_ = *kind;
    return walk("", root);
  }

  Result<Imported> finish() {
    if (auto counted = take_batch(); !counted) return counted.error();
    Imported result;
    for (const Key& key : keys()) {
      if (const auto found = taken_.find(key.name()); found != taken_.end()) result.taken.push_back(found->second);
    }
    const auto reason = [&](const std::string& key) { return reasons_.contains(key) ? ": " + reasons_.at(key) : ""; };
    result.left = std::move(left_);
    std::string section;
    for (const Key& key : keys()) {
      const auto found = taken_.find(key.name());
      if (found == taken_.end()) continue;
      if (key.section != section) result.yaml += (section = key.section) + ":\n";
      result.yaml += (key.section.empty() ? "" : "  ") + key.leaf + ": " + found->second.value + "  # " +
                     found->second.from + reason(found->first) + "\n";
    }
    if (!taken_.contains("model.path"))
      result.yaml +=
          "# model.path has to be named: a TorchScript file of your network (models/), or builtin:threshold=500\n";
    for (const auto& left : result.left)
      result.yaml += "# " + left.from + ": " + left.value + " -- " + left.reason + "\n";
    return result;
  }

 private:
  static std::optional<Kind> kind_of(const YAML::Node& root) {
    if (!root.IsMap()) return std::nullopt;
    for (const char* section : {"peak_finding", "queue", "processing", "geometry"}) {
      if (root[section]) return Kind::writer;
    }
    for (const char* section : {"runtime", "model", "data", "data_source", "precision"}) {
      if (root[section]) return Kind::pipeline;
    }
    return std::nullopt;
  }

  Status walk(const std::string& name, const YAML::Node& node) {
    if (node.IsMap()) {
      for (const auto& entry : node) {
        const std::string leaf = entry.first.IsScalar() ? entry.first.Scalar() : "?";
        if (auto done = walk(name.empty() ? leaf : name + "." + leaf, entry.second); !done) return done;
      }
      return {};
    }
    const std::string from = file_.substr(file_.find_last_of('/') + 1) + ": " + name;
    const Rule* rule = find_rule(kind_, name);
    if (node.IsNull()) return {};
    if (rule == nullptr || rule->to.empty()) {
      left_.push_back({from, show(node), rule == nullptr ? "not a key that upstream reads" : std::string(rule->word)});
      return {};
    }
    if (rule->to == "engine.batch") {
      batch_.emplace(from, node);
      return {};
    }
    return take(*rule, from, node);
  }

  // Their batch counts images of one panel, ours events. What they count is only known once the shape is.
  Status take_batch() {
    if (!batch_) return {};
    const auto& [from, node] = *batch_;
    std::uint32_t images = 0;
    if (!YAML::convert<std::uint32_t>::decode(node, images)) images = 0;
    if (panels_ > 1 && images > 0) {
      reasons_["engine.batch"] = std::to_string(images) + " images there, of " + std::to_string(panels_) +
                                 " panels an event; here it counts events";
      return take({"", "engine.batch", ""}, from, YAML::Node((images - 1) / panels_ + 1));
    }
    return take({"", "engine.batch", ""}, from, node);
  }

  Status take(const Rule& rule, const std::string& from, const YAML::Node& node) {
    const auto all = keys();
    const auto key = std::find_if(all.begin(), all.end(), [&](const Key& k) { return k.name() == rule.to; });
    const std::string value = converted(rule, node);
    Config tried;
    Refusal refused = "a value";
    try {
      refused = key->read(tried, YAML::Load(value));
    } catch (const YAML::Exception&) {
      // `refused` stands
    }
    if (refused) {
      return Error{"config.bad-value", from + " is " + show(node) + ", which " + std::string(rule.to) + " cannot be",
                   kUnchanged, "allowed: " + *refused};
    }
    taken_[key->name()] = {from, key->name(), key->write(tried)};
    if (rule.to == "pool.shape") panels_ = tried.pool.shape[0];
    // Their senders give float32, whatever the detector has, and no key of theirs says so.
    if (rule.to == "feed.endpoints") taken_["pool.dtype"] = {from, "pool.dtype", "float32"};
    return {};
  }

  std::string file_;
  Kind kind_ = Kind::pipeline;
  std::map<std::string, Imported::Taken> taken_;
  std::map<std::string, std::string> reasons_;  // by our key: why its value is not theirs
  std::optional<std::pair<std::string, YAML::Node>> batch_;
  std::uint32_t panels_ = 1;
  std::vector<Imported::Left> left_;
};

}  // namespace

Result<Imported> import_upstream(const std::vector<std::string>& files) {
  Importer importer;
  for (const std::string& file : files) {
    if (auto read = importer.read(file); !read) return read.error();
  }
  return importer.finish();
}

}  // namespace peaknet::config
