#include "ctl/commands.hpp"

#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
#include <thread>

#include "base/accounts.hpp"
#include "base/completion.hpp"
#include "base/progress_line.hpp"
#include "base/random_number.hpp"
#include "config/config.hpp"
#include "config/unit_folders.hpp"
#include "control/curve.hpp"
#include "control/history.hpp"
#include "control/methods.hpp"
#include "control/metrics.hpp"
#include "control/protocol.hpp"
#include "control/status_documents.hpp"
#include "ctl/command_progress.hpp"
#include "ctl/config_command.hpp"
#include "ctl/doctor.hpp"
#include "ctl/document_output.hpp"
#include "ctl/exec_files_tool.hpp"
#include "ctl/exporter.hpp"
#include "ctl/health.hpp"
#include "ctl/hosts.hpp"
#include "ctl/init_command.hpp"
#include "ctl/instance_config.hpp"
#include "ctl/instance_view.hpp"
#include "ctl/reach.hpp"
#include "ctl/render.hpp"
#include "ctl/target.hpp"
#include "ctl/top.hpp"
#include "ctl/watch.hpp"
#include "peaknet_version.hpp"
#include "shm/instances.hpp"

namespace peaknet::ctl {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;
using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

// The control segment has no event for readers who may not write into it, so `wait` looks again after this time.
constexpr milliseconds kLook{20};
// What the daemon has on top of the time-out of `stop` to send its answer.
constexpr milliseconds kGrace{5000};

// How long an answer may take where --timeout does not say. `start` is answered when a device is ready.
milliseconds patience(const Options& options) {
  const bool other_pool = options.slots != 0 || !options.shape.empty();
  const milliseconds usual = options.command == "start"      ? 60s
                             : other_pool                    ? 120s
                             : options.command == "rebuffer" ? 10s
                             : options.command == "model"    ? 120s
                                                             : 2s;
  return options.timeout.value_or(usual);
}

// Reading a model, its checksums and its way to each device take as long as the file is large: from a slow share, this
// much a second. A file that is not seen from here (another host's) has the usual time.
milliseconds patience_with_model(const Options& options, const std::string& path) {
  constexpr std::uintmax_t kBytesPerMillisecond = 20'000;
  std::error_code unseen;
  const auto bytes = std::filesystem::file_size(path, unseen);
  const milliseconds more{unseen || options.timeout ? 0 : static_cast<std::int64_t>(bytes / kBytesPerMillisecond)};
  return patience(options) + more;
}

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

std::string seconds_text(double seconds) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f s", seconds);
  return text.data();
}

// Is it that nobody answers (so the control segment is the next best), rather than that somebody said no?
bool nobody_answers(const Error& error) {
  const ExitCode code = exit_code(error.id);
  return code == ExitCode::unknown || code == ExitCode::not_running || code == ExitCode::denied;
}

struct Document {
  json content;
  ExitCode code = ExitCode::ok;
};

// "status" or "stats" from the daemon, or from the control segment with a warning and the exit code that says why.
Result<Document> document_of(const std::string& command, const Options& options, const Target& target,
                             std::ostream& err) {
  auto reply = ask(target, command, json::object(), patience(options));
  if (reply) return Document{std::move(*reply)};
  const Error why = reply.error();
  const auto view = nobody_answers(why) ? InstanceView::open(target.instance) : Result<InstanceView>(why);
  if (!view) return why;
  err << "warning: " << why.what << "; showing the control segment [" << why.id << "]\n";
  const auto from_segment = command == "status" ? control::status_document : control::stats_document;
  return Document{from_segment(*view->control_segment, view->pool.get(), control::kSourceSegment), exit_code(why.id)};
}

ExitCode show_document(const Options& options, const Target& target, std::ostream& out, std::ostream& err) {
  const auto found = document_of(options.command, options, target, err);
  if (!found) return show_error(found.error(), options.json, out, err);
  if (options.check) return show_health(options, found->content, found->code, out);
  show(options, found->content, options.command == "status" ? render_status : render_stats, out);
  return found->code;
}

// producers, writers: those of the statistics.
ExitCode show_participants(const Options& options, const Target& target, std::ostream& out, std::ostream& err) {
  const auto found = document_of("stats", options, target, err);
  if (!found) return show_error(found.error(), options.json, out, err);
  const json document = control::participants_document(options.command, found->content);
  show(options, document, options.command == "producers" ? render_producers : render_writers, out);
  return found->code;
}

// status and stats of many machines: what each says, and the sum. Who does not answer is named, and ends it with why.
ExitCode show_hosts(const Options& options, std::ostream& out, std::ostream& err) {
  const auto targets = find_hosts(options);
  if (!targets) return show_error(targets.error(), options.json, out, err);
  const auto answers = ask_hosts(targets->hosts, [&](const std::string& host) {
    return ask(targets->of(host), options.command, json::object(), patience(options));
  });
  const json document = add_up(answers);
  show(options, document, render_hosts, out);
  for (const HostAnswer& answer : answers) {
    if (!answer.reply) return exit_code(answer.reply.error().id);
  }
  return ExitCode::ok;
}

// start, stop, rebuffer: what the daemon says, or its refusal.
ExitCode change(const Options& options, const Target& target, const json& params, milliseconds at_most, Render render,
                std::ostream& out, std::ostream& err) {
  auto reply = [&] {
    const ProgressLine progress(progress_of(options, target.instance));
    return ask(target, options.command, params, at_most);
  }();
  if (!reply) return show_error(reply.error(), options.json, out, err);
  if (reply->is_object()) (*reply)["schema"] = "peaknet." + options.command + "/1";
  show(options, *reply, render, out);
  return ExitCode::ok;
}

// A key that no request had before: the same for each try of this one.
std::string fresh_key() {
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), "ctl-%d-%016llx", static_cast<int>(::getpid()),
                static_cast<unsigned long long>(random_number()));
  return text.data();
}

json start_params(const Options& options, const std::string& key) {
  json params = {{"key", key}};
  if (!options.run.empty()) params["run"] = options.run;
  if (options.run_number) params["run_number"] = *options.run_number;
  if (!options.proposal.empty()) params["proposal"] = options.proposal;
  if (!options.user.empty()) params["user"] = options.user;
  if (options.no_writer) params["no_writer"] = true;
  return params;
}

// A pool that another process truncated is replaced by peaknetd itself, as long as one lives.
bool is_being_repaired(const std::string& instance, const Error& error) {
  if (error.id != "pool.damaged") return false;
  const auto control_segment = InstanceView::open_control_segment(instance);
  return control_segment && control::daemon_alive(**control_segment).value_or(true);
}

ExitCode wait_for(const Options& options, const Target& target, std::ostream& out, std::ostream& err) {
  std::optional<ProgressLine> progress(progress_of(options, target.instance));
  const auto begin = Clock::now();
  std::string state = "absent";
  std::uint32_t frames = 0;
  bool reached = false;
  Error why{"wait.timeout", "", "nothing was changed", "peaknetctl status"};
  for (;;) {
    const auto view = InstanceView::open(target.instance);
    if (view) {
      state = control::state_now(*view->control_segment);
      frames = view->frames_on_their_way();
      reached = options.wait_for == "drained" ? frames == 0 : state == options.wait_for;
    } else if (view.error().id != "shm.absent" && !is_being_repaired(target.instance, view.error())) {
      progress.reset();
      return show_error(view.error(), options.json, out, err);
    }
    if (reached) break;
    if (state == "failed" && options.wait_for != "drained") {
      progress.reset();
      return show_error(
          Error{"daemon.failed", "peaknetd has failed: " + view->control_segment->layout().daemon.failure.load(),
                "the frames that wait are kept", "peaknetctl status, then restart peaknetd"},
          options.json, out, err);
    }
    if (Clock::now() - begin >= options.wait_timeout) {
      progress.reset();
      why.what = "'" + target.instance + "' is not " + options.wait_for + " after " +
                 seconds_text(seconds_since(begin)) + ": it is " + state + " with " + std::to_string(frames) +
                 " frames on their way";
      return show_error(why, options.json, out, err);
    }
    std::this_thread::sleep_for(kLook);
  }
  progress.reset();
  if (options.json) {
    show_json(out, {{"schema", "peaknet.wait/1"},
                    {"for", options.wait_for},
                    {"state", state},
                    {"in_flight", frames},
                    {"waited_ms", static_cast<std::int64_t>(seconds_since(begin) * 1e3)}});
  } else {
    out << target.instance << " is " << options.wait_for << " (waited " << seconds_text(seconds_since(begin)) << ")\n";
  }
  return ExitCode::ok;
}

ExitCode model(const Options& options, const Target& target, std::ostream& out, std::ostream& err) {
  if (options.model_action == "show") {
    const auto control_segment = InstanceView::open_control_segment(target.instance);
    if (!control_segment) return show_error(control_segment.error(), options.json, out, err);
    json document = control::model_document(**control_segment);
    document["schema"] = "peaknet.model/1";
    show(options, document, render_model, out);
    return ExitCode::ok;
  }
  if (options.model_path.empty()) {
    return show_error({"cli.usage", "model load needs the path of a model", "nothing was done",
                       "peaknetctl model load /opt/models/peaknet.pt2"},
                      options.json, out, err);
  }
  const bool builtin = options.model_path.starts_with("builtin:");
  const std::string path = builtin ? options.model_path : std::filesystem::absolute(options.model_path).string();
  Options request = options;
  request.command = "model.load";
  return change(request, target, {{"path", path}}, patience_with_model(options, path), render_model_load, out, err);
}

ExitCode show_errors(const Options& options, const Target& target, std::ostream& out, std::ostream& err) {
  const auto control_segment = InstanceView::open_control_segment(target.instance);
  if (!control_segment) return show_error(control_segment.error(), options.json, out, err);
  json document = control::errors_document(**control_segment);
  json& list = document["errors"];
  if (options.count != 0 && list.size() > options.count) list.erase(list.begin() + options.count, list.end());
  show(options, document, render_errors, out);
  return ExitCode::ok;
}

ExitCode show_history(const Options& options, const Target& target, std::ostream& out, std::ostream& err) {
  const auto control_segment = InstanceView::open_control_segment(target.instance);
  if (!control_segment) return show_error(control_segment.error(), options.json, out, err);
  json document = control::history_document(**control_segment);
  json& minutes = document["minutes"];
  const std::size_t wanted = options.count != 0 ? options.count : options.json ? minutes.size() : 30;
  if (minutes.size() > wanted)
    minutes.erase(minutes.begin(), minutes.end() - static_cast<json::difference_type>(wanted));
  show(options, document, render_history, out);
  return ExitCode::ok;
}

ExitCode show_metrics(const Options& options, const Target& target, std::ostream& out, std::ostream& err) {
  const auto view = InstanceView::open(target.instance);
  if (!view) return show_error(view.error(), options.json, out, err);
  out << control::metrics_text(*view->control_segment, view->pool.get());
  return ExitCode::ok;
}

// What doctor is to judge, and the file that a unit of it would read ("": none).
struct Examined {
  config::Config config;
  std::string file;
};

// Of --config, else what the daemon works with, else what its unit would start with. Never the defaults: what they find
// is true of no instance.
Result<Examined> find_examined(const Options& options) {
  if (!options.config.empty()) {
    auto config = config::load(options.config, {});
    if (!config) return config.error();
    return Examined{std::move(*config), options.config};
  }
  const auto target = find_target(options);
  if (!target) return target.error();
  std::string file = std::string(config::kConfigFolder) + "/" + target->instance + ".yaml";
  std::error_code unseen;
  if (!std::filesystem::exists(file, unseen)) file.clear();
  auto config = config_of(options, *target);
  if (!config && !file.empty()) config = config::load(file, {});
  if (config) return Examined{std::move(*config), file};
  return Error{config.error().id,
               "the configuration of instance '" + target->instance + "' is not known: " + config.error().what,
               "nothing was looked at", "peaknetctl --config FILE doctor"};
}

// 1 if something is so bad that the instance will not run, or loses frames.
ExitCode show_doctor(const Options& options, std::ostream& out, std::ostream& err) {
  const auto examined = find_examined(options);
  if (!examined) return show_error(examined.error(), options.json, out, err);
  const json document = doctor_document(examined->config, services_of(examined->file));
  show(options, document, render_doctor, out);
  return document["good"] ? ExitCode::ok : ExitCode::failed;
}

json instances_document() {
  json list = json::array();
  for (const auto& found : shm::list_instances()) {
    list.push_back({{"name", found.name},
                    {"daemon", found.daemon ? json(*found.daemon) : json(nullptr)},
                    {"pid", found.daemon_pid},
                    {"attached", found.attached},
                    {"frames", found.frames},
                    {"bytes", found.bytes},
                    {"owner_uid", found.owner_uid},
                    {"owner", user_name(found.owner_uid).value_or(std::to_string(found.owner_uid))},
                    {"objects", found.objects},
                    {"problem", found.problem}});
  }
  return {{"schema", "peaknet.instances/1"}, {"instances", std::move(list)}};
}

ExitCode show_instances(const Options& options, std::ostream& out, std::ostream& err) {
  if (!options.remove.empty()) {
    if (auto removed = shm::remove_instance(options.remove, options.with_frames); !removed)
      return show_error(removed.error(), options.json, out, err);
    if (!options.json) out << "the shared memory of instance '" << options.remove << "' was removed\n";
  }
  if (options.json || options.remove.empty()) show(options, instances_document(), render_instances, out);
  return ExitCode::ok;
}

ExitCode make_keys(const Options& options, std::ostream& out, std::ostream& err) {
  const auto public_key = control::make_key(options.files.front());
  if (!public_key) return show_error(public_key.error(), options.json, out, err);
  const json document = {{"schema", "peaknet.keygen/1"}, {"file", options.files.front()}, {"public", *public_key}};
  show(options, document, render_keygen, out);
  return ExitCode::ok;
}

ExitCode show_version(const Options& options, const Result<Target>& target, std::ostream& out) {
  const auto daemon =
      target ? ask(*target, "version", json::object(), patience(options)) : Result<json>(target.error());
  show(options,
       {{"schema", "peaknet.version/1"},
        {"ctl", {{"version", kVersion}, {"commit", kGitCommit}, {"build", kBuildType}, {"compiler", kCompiler}}},
        {"daemon", daemon ? *daemon : json(nullptr)},
        {"daemon_error", daemon ? json(nullptr) : json(daemon.error().id)},
        {"daemon_what", daemon ? json(nullptr) : json(daemon.error().what)}},
       render_version, out);
  return ExitCode::ok;
}

}  // namespace

ExitCode run_command(const Options& options, std::ostream& out, std::ostream& err) {
  if (options.command.empty()) {
    out << options.help;
    return ExitCode::ok;
  }
  if (options.command == "instances") return show_instances(options, out, err);
  if (is_about_files(options.command)) return show_error(exec_files_tool(options), options.json, out, err);
  if (options.command == "doctor") return show_doctor(options, out, err);
  if (!options.hosts.empty()) return show_hosts(options, out, err);
  if (options.command == "keygen") return make_keys(options, out, err);
  if (options.command == "config") return configuration(options, out, err);
  if (options.command == "init") return init(options, out, err);
  if (options.command == "completion") {
    out << completion_script(command_line(), options.shell);
    return ExitCode::ok;
  }
  if (options.command == "manual") {
    out << manual_page(command_line(), kVersion, 1,
                       "peaknetd (8), peaknet-writer (8), peaknet-feed (1); docs/protocol.md, docs/operations.md");
    return ExitCode::ok;
  }
  const auto target = find_target(options);
  if (options.command == "version") return show_version(options, target, out);
  if (!target) return show_error(target.error(), options.json, out, err);
  const std::string key = options.key.empty() ? fresh_key() : options.key;
  if (options.command == "reload")
    return change(options, *target, {{"key", key}}, patience(options), render_reload, out, err);
  if (options.command == "start")
    return change(options, *target, start_params(options, key), patience(options), render_start, out, err);
  if (options.command == "stop") {
    json params = {{"key", key}, {"timeout_s", std::chrono::duration<double>(options.stop_timeout).count()}};
    if (options.now) params["now"] = true;
    return change(options, *target, params, options.stop_timeout + kGrace, render_stop, out, err);
  }
  if (options.command == "rebuffer") {
    json params = {{"key", key}};
    if (options.depth != 0) params["depth"] = options.depth;
    if (options.slots != 0) params["slots"] = options.slots;
    if (!options.shape.empty()) params["shape"] = options.shape;
    if (options.batch != 0) params["batch"] = options.batch;
    if (options.dry_run) params["dry_run"] = true;
    return change(options, *target, params, patience(options), render_rebuffer, out, err);
  }
  if (options.command == "model") return model(options, *target, out, err);
  if (options.command == "wait") return wait_for(options, *target, out, err);
  if (options.command == "watch") return watch(options, target->instance, out, err);
  if (options.command == "exporter") return exporter(options, target->instance, out, err);
  if (options.command == "top") return top(options, target->instance, out, err);
  if (options.command == "producers" || options.command == "writers")
    return show_participants(options, *target, out, err);
  if (options.prometheus) return show_metrics(options, *target, out, err);
  if (options.command == "errors") return show_errors(options, *target, out, err);
  if (options.command == "history") return show_history(options, *target, out, err);
  return show_document(options, *target, out, err);
}

}  // namespace peaknet::ctl
