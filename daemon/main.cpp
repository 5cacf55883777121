// peaknetd: the daemon of a node. See README.md for what it does and docs/configuration.md for its keys.

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/bus_error.hpp"
#include "base/command_line.hpp"
#include "base/command_words.hpp"
#include "base/fatal.hpp"
#include "base/heap.hpp"
#include "base/log.hpp"
#include "base/process_limits.hpp"
#include "base/program.hpp"
#include "base/progress_line.hpp"
#include "config/config.hpp"
#include "daemon/engine/left_behind.hpp"
#include "daemon/openmp_spin.hpp"
#include "daemon/supervisor/serve.hpp"
#include "daemon/supervisor/tune.hpp"
#include "daemon/supervisor/tune_plot.hpp"
#include "peaknet_version.hpp"

namespace {

// What an operator asked for ends it as a shell expects; what a restart may mend is not the configuration's fault.
int exit_code_of_tune(const peaknet::Error& error, int signal) {
  if (error.id == "tune.interrupted") return 128 + signal;
  return error.id == "device.stuck" || error.id == "device.lost" ? peaknet::kExitSoftware : peaknet::kExitConfig;
}

// The step that tune is at: a line of stderr for each, and on a terminal how long the last one takes.
class StepNow {
 public:
  void begin(const std::string& what) {
    std::fprintf(stderr, "%s\n", what.c_str());
    const std::lock_guard lock(mutex_);
    what_ = what;
    since_ = Clock::now();
  }
  std::string text() const {
    const std::lock_guard lock(mutex_);
    if (what_.empty()) return "getting ready";
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - since_).count();
    return what_ + ", " + std::to_string(seconds) + " s (Ctrl-C ends it with what was measured)";
  }

 private:
  using Clock = std::chrono::steady_clock;
  mutable std::mutex mutex_;
  std::string what_;
  Clock::time_point since_;
};

// What was measured is printed however it ended.
int tune_devices(const peaknet::config::Config& config, peaknet::StopSignal& signals, bool json,
                 const std::string& plot, const peaknet::supervisor::TuneOptions& options) {
  namespace supervisor = peaknet::supervisor;
  supervisor::check(config);
  int signal = 0;
  const auto asked_to = [&]() -> std::optional<std::string> {
    if (const auto came = signals.poll()) signal = *came;
    if (signal == 0) return std::nullopt;
    return std::string("SIG") + ::sigabbrev_np(signal);
  };
  StepNow now;
  const auto tuning = [&] {
    const peaknet::ProgressLine progress([&now] { return now.text(); });
    return supervisor::tune(config, {[&now](const std::string& what) { now.begin(what); }, asked_to}, options);
  }();
  if (!tuning.devices.empty()) {
    const std::string text = json ? supervisor::to_json(tuning).dump(2) + "\n" : supervisor::to_table(tuning);
    peaknet::print_document(text);
    if (!plot.empty()) {
      if (auto drawn = supervisor::write_plot(tuning.devices, plot); !drawn)
        throw peaknet::Fatal(drawn.error(), peaknet::kExitConfig);
    }
  }
  if (!tuning.outcome) throw peaknet::Fatal(tuning.outcome.error(), exit_code_of_tune(tuning.outcome.error(), signal));
  return 0;
}

// The command `tune`, and what it is asked to do.
struct TuneCommand {
  CLI::App* asked;
  bool json = false;
  std::string plot;
  peaknet::supervisor::TuneOptions options;
};
void add_tune(CLI::App& app, TuneCommand& tune) {
  tune.asked = app.add_subcommand(
      "tune",
      "measure the model on the devices over batches and depths, recommend both, and end; no daemon may be using them");
  tune.asked->fallthrough();  // `tune --config FILE` is `--config FILE tune`
  tune.asked->add_flag("--json", tune.json, "one JSON document on stdout");
  tune.asked->add_option("--plot", tune.plot, "write a picture of it to this file too")->type_name("PNG");
  tune.asked
      ->add_option("--seconds", tune.options.seconds, "how long each figure is measured, but for 10 runs at least")
      ->check(CLI::Range(0.01, 3600.0))
      ->capture_default_str();
  tune.asked
      ->add_option("--batches", tune.options.batches,
                   "these numbers of events, as 1,4,6; more than engine.batch too (default: 1, 2, 4, ... engine.batch)")
      ->delimiter(',')
      ->check(CLI::Range(1, 256))
      ->type_name("N,...");
}

int run(int argc, char** argv) {
  peaknet::begin_program(peaknet::ProgramKind::daemon);
  peaknet::bound_openmp_spin(argv);
  peaknet::end_clearly_on_bus_error("peaknetd");
  peaknet::keep_heap();
  CLI::App app{"finds Bragg peaks in detector images that producers put into shared memory", "peaknetd"};
  std::string file;
  std::vector<std::string> overrides;
  bool check_only = false;
  app.add_option("--config", file, "configuration file (YAML)")->required()->type_name("FILE");
  app.add_option("--set", overrides, "a key of the configuration, as key=value; may be repeated")
      ->allow_extra_args(false)
      ->type_name("KEY=VALUE");
  app.add_flag("--check", check_only, "check the configuration, print it whole, and end");
  TuneCommand tune{};
  add_tune(app, tune);
  app.set_version_flag("-V,--version", std::string("peaknetd ") + peaknet::kVersion);
  app.footer(
      "Exit codes: 0 a clean end, 2 usage, 69 another peaknetd has the instance or the socket, 70 every device is "
      "lost (in tune: one), or the shared memory was truncated, 71 no threads, descriptors or memory, 73 shared memory "
      "cannot be made, 78 configuration; tune that a signal ended: 128 and its number.");
  peaknet::add_document_flags(app, peaknet::kVersion, 8, "peaknetctl (1), peaknet-writer (8), peaknet-feed (1)");
  peaknet::set_help_text(app);
  try {
    if (!peaknet::read_command_line(app, argc, argv)) return 0;
    peaknet::StopSignal signals;
    const auto config = peaknet::config::load(file, overrides);
    if (!config) throw peaknet::Fatal(config.error(), peaknet::kExitConfig);
    peaknet::set_up_log("peaknetd", config->log.level);
    if (check_only) {
      peaknet::supervisor::check(*config);
      peaknet::print_document(peaknet::config::to_yaml(*config));
      return 0;
    }
    if (*tune.asked) return tune_devices(*config, signals, tune.json, tune.plot, tune.options);
    return peaknet::supervisor::serve(*config, signals, [&] { return peaknet::config::load(file, overrides); });
  } catch (const peaknet::Fatal& fatal) {
    peaknet::say_last_words("peaknetd", fatal.error().text());
    return fatal.exit_code();
  } catch (const std::exception& failure) {
    const peaknet::Fatal fatal = peaknet::unexpected(failure);
    peaknet::say_last_words("peaknetd", fatal.what());
    return fatal.exit_code();
  }
}

}  // namespace

int main(int argc, char** argv) {
  const int code = run(argc, argv);
  if (!peaknet::engine::anything_left_behind()) return code;
  // A device that hangs keeps a thread of ours or of the driver, and what is called at an exit would wait for it. All
  // else has ended in order.
  std::fflush(nullptr);
  std::_Exit(code);
}
