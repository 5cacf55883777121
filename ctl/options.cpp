#include "ctl/options.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <charconv>
#include <memory>
#include <utility>
#include <vector>

#include "base/command_words.hpp"
#include "base/limits.hpp"
#include "ctl/abbreviations.hpp"
#include "peaknet_version.hpp"
#include "shm/run_facts.hpp"

namespace peaknet::ctl {
namespace {

constexpr const char* kExamples =
    R"(Any beginning of a command or of a long option will do if only one has it: peaknetctl reb --dep 5.
Without --instance and --config it is the instance of PEAKNET_INSTANCE, else the only one on this machine.

Examples:
  peaknetctl init mfx --set model.path=/opt/models/contrast.pt    a first configuration
  peaknetctl status                    how is it?
  peaknetctl status --check            for scripts: 0 healthy, 7 degraded or failing
  peaknetctl start --run 0217          begin a run
  peaknetctl stop                      end it, with every frame in a file or counted
  peaknetctl watch -n 10               a line every second
  peaknetctl top                       the same over the whole screen
  peaknetctl rebuffer --depth 5        more lanes, while frames flow
  peaknetctl wait --for drained        until no frame is on its way
  peaknetctl view -o hit.png           the latest hit with its peaks circled
  peaknetctl --config mfx.yaml doctor  what might go wrong here tonight?
  peaknetctl --json stats              every counter, for scripts
  peaknetctl audit /data/mfx           is every frame in a file, or counted?
  peaknetctl -H node[01-16] --endpoint tcp://{host}:5555 stats    many nodes

Exit codes: 0 done, 1 refused or failed, 2 usage, 3 not running, 4 no answer in time, 5 permission, 6 other version, 7 degraded or failing (status --check).
)";

Error usage(std::string what, std::string remedy) {
  return {"cli.usage", std::move(what), "nothing was done", std::move(remedy)};
}

// CLI11 wants exceptions; the text of ours is shown as it is.
template <class Target>
CLI::Validator span_into(Target& target) {
  return CLI::Validator(
      [&target](std::string& text) {
        const auto span = parse_span(text);
        if (span) target = *span;
        return span ? std::string{} : span.error().what;
      },
      "");
}

// The commands, each with its options.
struct Commands {
  CLI::App& app;
  Options& options;
  std::string& span;

  CLI::App* command(const char* name, const char* meaning) const {
    auto* sub = app.add_subcommand(name, meaning);
    sub->fallthrough();  // `stats --json` is `--json stats`
    return sub;
  }
  void keyed(CLI::App* sub) const {
    sub->add_option("--key", options.key,
                    "idempotency key: a request that is repeated with the same key is carried out only once")
        ->type_name("TEXT");
  }
  void of_runs() const;
  void of_looking() const;
  void of_frames_and_files() const;
  void of_configuration() const;
  void of_the_tool() const;
};

void Commands::of_runs() const {
  auto* start = command("start", "begin a run");
  start->add_option("--run", options.run, "id of the run; made from date and time if it is left out")->type_name("ID");
  start->add_option("--run-number", options.run_number, "number that the facility gave the run")
      ->type_name("N")
      ->check(CLI::Range(0, static_cast<int>(shm::kMaxRunNumber)));
  start->add_option("--proposal", options.proposal, "proposal or experiment that the run is part of")
      ->type_name("TEXT");
  start->add_option("--user", options.user, "a line of your own for the files of the run")->type_name("TEXT");
  start->add_flag("--no-writer", options.no_writer, "also if no writer is attached");
  keyed(start);
  auto* stop = command("stop", "end the run; returns when every frame is in a finished file or counted");
  stop->add_option("--timeout", span, "give up after this time (120s)")
      ->transform(span_into(options.stop_timeout))
      ->type_name("TIME");
  auto* now = stop->add_flag("--now", options.now, "do not wait: frames on their way stay for the next run");
  stop->add_flag("--drain", options.drain, "wait for the frames on their way; this is how it is without --now")
      ->excludes(now);
  keyed(stop);
  auto* rebuffer = command("rebuffer", "change the buffering while frames flow");
  rebuffer->add_option("--depth", options.depth, "lanes in flight per device, 1 to 8")
      ->type_name("N")
      ->check(CLI::Range(1, static_cast<int>(kMaxDepth)));
  rebuffer->add_option("--batch", options.batch, "largest batch in events, at most engine.batch (as it is)")
      ->type_name("N")
      ->check(CLI::Range(1, static_cast<int>(kMaxBatch)));
  rebuffer->add_option("--slots", options.slots, "another pool with so many slots; producers and writers move over")
      ->type_name("N")
      ->check(CLI::Range(static_cast<int>(kMinSlots), static_cast<int>(kMaxSlots)));
  rebuffer->add_option("--shape", options.shape, "another pool for frames of so many panels, rows and columns")
      ->type_name("C,H,W")
      ->delimiter(',')
      ->expected(3)
      ->check(CLI::Range(1, static_cast<int>(kMaxSide)));
  rebuffer->add_flag("--dry-run", options.dry_run, "say what would change, and change nothing");
  keyed(rebuffer);
  auto* model = command("model", "the network: show it, or load another while frames flow");
  model->add_option("DO", options.model_action, "what to do: show, or load PATH")
      ->type_name("DO")
      ->check(CLI::IsMember({"show", "load"}))
      ->required();
  model->add_option("PATH", options.model_path, "the model file, as this machine's peaknetd sees it")
      ->type_name("PATH");
  keyed(command("reload", "read the configuration file again; names what changed, and what needs a restart"));
}

void Commands::of_looking() const {
  auto* stats = command("stats", "every counter");
  stats->add_flag("--prom", options.prometheus, "metrics for Prometheus, from the control segment (docs/metrics.md)");
  auto* watch = command(
      "watch", "a line every second: rates, hits, queues, latency; from the control segment, with or without a daemon");
  watch->add_option("-d,--every", span, "time from line to line (1s)")
      ->transform(span_into(options.every))
      ->type_name("TIME");
  watch->add_option("-c,-n,--count", options.count, "lines; without it until Ctrl-C")->type_name("N");
  auto* top =
      command("top", "the whole screen, every second, until q is pressed; h shows its keys; from the control segment");
  top->add_option("-d,--every", span, "time from look to look (1s)")
      ->transform(span_into(options.every))
      ->type_name("TIME");
  top->add_option("-n,--count", options.count, "pictures; without it until q is pressed")->type_name("N");
  command("doctor", "look at all that the instance needs from this machine: memory, rights, model, folders, devices");
  auto* status = command("status", "what to look at first");
  status->add_flag("--check", options.check, "say only what is wrong, and end with 7 if something is");
  auto* wait = command("wait", "wait until a state is reached; reads the control segment, with or without a daemon");
  wait->add_option("--for", options.wait_for, "idle, running or drained (no frame waits or is in work)")
      ->type_name("STATE")
      ->check(CLI::IsMember({"idle", "running", "drained"}))
      ->required();
  wait->add_option("--timeout", span, "give up after this time (60s)")
      ->transform(span_into(options.wait_timeout))
      ->type_name("TIME");
  auto* errors = command(
      "errors", "what went wrong, by kind, the latest first; from the control segment, with or without a daemon");
  errors->add_option("-n,--count", options.count, "only the latest kinds")->type_name("N");
  command("history", "rates and hit rate of the last day by minute, and peaks of a frame; from the control segment")
      ->add_option("-n,--count", options.count, "only the latest minutes (30)")
      ->type_name("N");
  command("producers", "who brings frames, and how many of each came in");
  command("writers", "who writes files, and what each holds");
}

void Commands::of_frames_and_files() const {
  auto* trace = command("trace", "where a frame is, or how it ended");
  trace->add_option("FRAME", options.frame, "PRODUCER:NUMBER as in logs and files, or an event id")
      ->type_name("FRAME")
      ->required();
  trace->add_option("DIR", options.folders, "folders of files to look into as well (output.dir of --config)")
      ->type_name("DIR");
  auto* view = command("view", "the latest hit with its peaks circled, as a picture; nothing waits for it");
  view->add_option("-o,--output", options.png, "the picture (peaknet_INSTANCE.png here)")->type_name("PNG");
  view->add_flag("-f,--follow", options.follow, "a new picture for each new hit, until Ctrl-C");
  view->add_option("--every", span, "with --follow: time from look to look (1s)")
      ->transform(span_into(options.every))
      ->type_name("TIME");
  auto* page =
      command("page", "a page for browsers on this machine: health, rates, pipeline, the latest hits (docs/page.md)");
  page->add_option("--listen", options.listen, "serve http://127.0.0.1:PORT/ (only local), as 127.0.0.1:9290")
      ->type_name("ADDRESS")
      ->required();
  page->add_option("--token-file", options.token_file, "only for who knows the secret in that file")->type_name("FILE");
  auto* instances = command("instances", "shared memory of instances on this machine, also what crashed ones left");
  auto* remove =
      instances->add_option("--remove", options.remove, "remove this one, if nobody is attached")->type_name("NAME");
  instances->add_flag("--with-frames", options.with_frames, "also if frames wait in it: they are lost")->needs(remove);
  auto* audit = command(
      "audit", "prove from the files that every frame is in one, or filtered, dropped or failed; needs no daemon");
  audit->add_option("DIR", options.folders, "output.dir, of all nodes, and folders into which files were moved from it")
      ->type_name("DIR")
      ->required();
  audit->add_flag("-q,--quick", options.quick, "do not read the images");
  auto* sent = audit->add_option("--sent", options.sent,
                                 "what a sender has sent, a number in each line: is each event in one file of all "
                                 "nodes? May be repeated");
  sent->type_name("LEDGER")->allow_extra_args(false);
  audit->add_option("--sent-by", options.sent_by, "what these numbers are: the time of an event, or its event_id")
      ->type_name("time|event_id")
      ->check(CLI::IsMember({"time", "event_id"}))
      ->needs(sent);
}

void Commands::of_configuration() const {
  auto* configuration =
      command("config", "the configuration: show it whole, check it, or make one from upstream's files");
  configuration
      ->add_option("ACTION", options.action,
                   "show (every key of --config), check (--config or FILE), import (FILE...: YAML of the Ray pipeline "
                   "and its writer)")
      ->type_name("ACTION")
      ->check(CLI::IsMember({"show", "check", "import"}))
      ->required();
  configuration->add_option("FILE", options.files, "for check and import")->type_name("FILE");
  auto* init = command("init", "a commented configuration for a new instance, checked, and what to do next");
  init->add_option("NAME", options.files, "of the instance; the file is --config, else /etc/peaknet/NAME.yaml")
      ->type_name("NAME")
      ->expected(1)
      ->required();
  init->add_option("--set", options.settings, "a key that is not to have its default, as key=value; may be repeated")
      ->allow_extra_args(false)
      ->type_name("KEY=VALUE");
  command("keygen", "make a key for tcp:// sockets: the secret one in FILE, the public one in FILE.pub")
      ->add_option("FILE", options.files, "is made; never overwritten")
      ->type_name("FILE")
      ->expected(1)
      ->required();
}

void Commands::of_the_tool() const {
  auto* exporter =
      command("exporter", "metrics for Prometheus by HTTP on this machine, or as a file; from the control segment");
  auto* listen = exporter
                     ->add_option("--listen", options.listen,
                                  "serve http://127.0.0.1:PORT/metrics (only local), as 127.0.0.1:9290")
                     ->type_name("ADDRESS");
  auto* textfile =
      exporter->add_option("--textfile", options.textfile, "write them there, for node_exporter")->type_name("FILE");
  listen->excludes(textfile);
  exporter->require_option(1, 2);
  exporter->add_option("--every", span, "write the file again after this time; without it once")
      ->transform(span_into(options.every))
      ->type_name("TIME")
      ->needs(textfile)
      ->each([repeat = &options.repeat](const std::string&) { *repeat = true; });
  auto* completion =
      command("completion", "a script that completes commands in your shell: source <(peaknetctl completion bash)");
  completion->add_option("SHELL", options.shell, "your shell")
      ->type_name("SHELL")
      ->check(CLI::IsMember({"bash", "zsh", "fish"}))
      ->required();
  command("manual", "the manual page, for man: peaknetctl manual | man -l -");
  command("version", "versions of this program and of the daemon");
  command("help", "what there is, or what a command takes")
      ->add_option("COMMAND", options.help_for, "one of the commands")
      ->type_name("COMMAND");
}

// Everything that peaknetctl understands. `span` is a place for texts of times, which CLI11 needs and nobody reads.
std::unique_ptr<CLI::App> make_app(Options& options, std::string& span) {
  auto made = std::make_unique<CLI::App>("Controls a peaknetd and shows what it does.", "peaknetctl");
  CLI::App& app = *made;
  app.require_subcommand(1);
  app.footer(kExamples);
  app.set_help_flag("-h,--help", "show this");
  app.set_version_flag("-V,--version", std::string("peaknetctl ") + kVersion, "show the version of this program");
  auto* config = app.add_option("--config", options.config, "configuration file of the instance")->type_name("FILE");
  app.add_option("-i,--instance", options.instance, "name of the instance, found through its shared memory")
      ->type_name("NAME")
      ->excludes(config);
  auto* hosts = app.add_option("-H,--hosts", options.hosts,
                               "status, stats and page of these machines, added up: node1,node[02-16] (docs/scale.md)")
                    ->type_name("LIST");
  app.add_option("--endpoint", options.endpoint, "with -H: where each listens, as tcp://{host}:5555")
      ->type_name("PATTERN")
      ->needs(hosts);
  auto* json = app.add_flag("--json", options.json, "one JSON document on stdout");
  app.add_flag("--plain", options.plain, "the same document as lines of key, tab, value; no colour")->excludes(json);
  app.add_option(
         "--timeout", span,
         "wait this long for an answer (2s; start 60s, because a model may still be loading; rebuffer 10s, with "
         "--slots or --shape 120s; model load 120s)")
      ->transform(span_into(options.timeout))
      ->type_name("TIME");

  const Commands commands{app, options, span};
  commands.of_runs();
  commands.of_looking();
  commands.of_frames_and_files();
  commands.of_configuration();
  commands.of_the_tool();
  return made;
}

}  // namespace

Result<std::chrono::milliseconds> parse_span(const std::string& text) {
  double number = 0;
  const auto [rest, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string unit(rest, text.data() + text.size());
  constexpr std::array<std::pair<const char*, double>, 5> kUnits = {
      {{"", 1e3}, {"s", 1e3}, {"ms", 1}, {"m", 6e4}, {"h", 3.6e6}}};
  for (const auto& [name, ms] : kUnits) {
    if (failed == std::errc{} && unit == name && number >= 0 && number * ms <= 8.64e7) {
      return std::chrono::milliseconds(static_cast<std::int64_t>(number * ms));
    }
  }
  return usage("'" + text + "' is no time of at most a day", "write 500ms, 2s, 1.5m or 1h");
}

Result<Options> parse_options(int argc, const char* const* argv) {
  Options options;
  std::string span;
  const auto made = make_app(options, span);
  CLI::App& app = *made;
  const CommandText program = describe(app);
  auto words = expanded(program, command_first(program, {argv, argv + argc}));
  if (!words) return words.error();
  options.words = *words;
  try {
    // CLI11 takes them without the program's name, the last one first.
    app.parse(std::vector<std::string>(words->rbegin(), words->rend() - 1));
    options.command = app.get_subcommands().front()->get_name();
  } catch (const CLI::CallForHelp&) {
    const auto chosen = app.get_subcommands();
    options.help = help_text(chosen.empty() ? app : *chosen.front());
  } catch (const CLI::CallForVersion& version) {
    options.help = std::string(version.what()) + '\n';
  } catch (const CLI::ParseError& error) {
    return usage_error(app, error);
  }
  if (options.command == "help") {
    options.command.clear();
    const CLI::App* command = &app;
    if (!options.help_for.empty()) {
      const auto all = app.get_subcommands({});
      const auto found = std::find_if(all.begin(), all.end(),
                                      [&](const CLI::App* known) { return known->get_name() == options.help_for; });
      if (found == all.end()) return unknown_command(app, options.help_for, "peaknetctl help ");
      command = *found;
    }
    options.help = help_text(*command);
  }
  const bool of_many = options.command == "stats" || options.command == "status" || options.command == "page";
  if (!options.hosts.empty() && (!of_many || options.prometheus))
    return usage("-H goes with status, stats and page alone", "ask one machine, or leave --prom out");
  return options;
}

CommandText command_line() {
  Options options;
  std::string span;
  const auto app = make_app(options, span);
  return describe(*app);
}

}  // namespace peaknet::ctl
