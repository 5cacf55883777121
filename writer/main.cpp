// peaknet-writer: results out of the frame pool into CXI files. See docs/writer.md for the files and what is promised.
//
// Exit codes: 0 after SIGTERM or SIGINT (every file finished, or left for the next start to recover), 2 usage, 69
// shared memory of another version or without permission, 70 an internal failure, 71 no threads, descriptors or memory,
// 73 the output folder cannot be used, 78 configuration.

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <stop_token>
#include <string>
#include <vector>

#include "base/bus_error.hpp"
#include "base/command_line.hpp"
#include "base/command_words.hpp"
#include "base/fatal.hpp"
#include "base/log.hpp"
#include "base/log_line.hpp"
#include "base/process_limits.hpp"
#include "base/program.hpp"
#include "base/signal_watch.hpp"
#include "config/config.hpp"
#include "peaknet_version.hpp"
#include "writer/peaks_command.hpp"
#include "writer/preview_command.hpp"
#include "writer/service.hpp"

namespace peaknet::writer {
namespace {

constexpr const char* kProgram = "peaknet-writer";

// Turns the first signal into a stop request. The second means "now": the process ends as if it were killed, which
// costs nothing but time, since the next writer recovers.
class StopOnSignal {
 public:
  explicit StopOnSignal(StopSignal& signal)
      : watch_(signal, [this](int number) {
          if (number == SIGHUP) {
            log::info("signal {}: the writer reads its configuration at its start alone; it continues", number);
            return;
          }
          if (stop_.stop_requested()) {
            log::warn("second signal: ending at once; the next writer recovers what is not finished");
            std::_Exit(128 + number);
          }
          log::info("signal {}: finishing files", number);
          stop_.request_stop();
        }) {}
  std::stop_token token() const { return stop_.get_token(); }

 private:
  std::stop_source stop_;
  SignalWatch watch_;  // last: it uses the other
};

int preview(const PreviewRequest& request) {
  const auto made = make_preview(request);
  if (!made) {
    std::fprintf(stderr, "%s: %s\n", kProgram, made.error().text().c_str());
    return 1;
  }
  print_document(made.value().string() + "\n");
  return 0;
}

int peaks(const PeaksRequest& request) {
  const auto found = find_peaks_in_file(request, std::cout);
  if (!found || !std::cout.flush()) {
    std::fprintf(stderr, "%s: %s\n", kProgram, found ? "the table could not be written" : found.error().text().c_str());
    return 1;
  }
  std::fprintf(stderr, "%llu peaks in %llu events\n", static_cast<unsigned long long>(found->peaks),
               static_cast<unsigned long long>(found->events));
  if (found->broken > 0) {
    std::fprintf(stderr,
                 "%llu events have no peaks because their mask has more components than a network that works makes; "
                 "--most raises the limit\n",
                 static_cast<unsigned long long>(found->broken));
  }
  return 0;
}

CLI::App& add_preview(CLI::App& app, PreviewRequest& request) {
  CLI::App& picture =
      *app.add_subcommand("preview", "a picture of one event of a finished file, with its peaks circled");
  picture.add_option("file", request.file, "a .cxi file")->required()->type_name("FILE");
  picture.add_option("--event", request.event, "which event, counted from 0 (default 0)")->type_name("N");
  picture.add_option("--out", request.out, "the picture (default: beside the file, NAME_eventN.png)")->type_name("PNG");
  picture
      .add_option("--geometry", request.geometry,
                  "CrystFEL geometry file: where the panels are (default: output.geometry of the configuration in the "
                  "file)")
      ->type_name("FILE");
  return picture;
}

CLI::App& add_peaks(CLI::App& app, PeaksRequest& search) {
  CLI::App& table = *app.add_subcommand("peaks", "a table of the peaks of the masks in an HDF5 file");
  table.add_option("file", search.file, "an HDF5 file")->required()->type_name("FILE");
  table.add_option("--mask", search.mask, "dataset of class maps: 1 is peak, all else background")
      ->required()
      ->type_name("DATASET");
  table.add_option("--image", search.image, "dataset of the images, for intensities")->type_name("DATASET");
  table
      .add_option("--panels", search.panels,
                  "panels stacked in y, where they are no dimension of the datasets (default 1)")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1} << 40))
      ->type_name("N");
  table.add_option("--most", search.most, "components of an event beyond which its mask is no data (default 8192)")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1} << 40))
      ->type_name("N");
  table.add_option("--out", search.out, "the table, .csv or .h5 (default: CSV to stdout)")->type_name("FILE");
  return table;
}

int run(int argc, char** argv) {
  StopSignal signal;
  CLI::App app{"Takes results out of peaknetd's frame pool, finds their peaks and writes the hits into CXI files.",
               kProgram};
  app.set_version_flag("-V,--version", std::string(kProgram) + " " + kVersion);
  std::string file;
  std::vector<std::string> overrides;
  app.add_option("--config", file, "configuration file (YAML); required, but for preview and peaks")->type_name("FILE");
  app.add_option("--set", overrides, "a key of the configuration, as key=value; may be repeated")
      ->allow_extra_args(false)
      ->type_name("KEY=VALUE");
  PreviewRequest request;
  CLI::App& picture = add_preview(app, request);
  picture.fallthrough();
  PeaksRequest search;
  CLI::App& table = add_peaks(app, search);
  table.fallthrough();
  app.footer(
      "Exit codes: 0 after SIGTERM or SIGINT, 2 usage, 69 shared memory of another version or without permission, 70 "
      "an internal failure, 71 no threads, descriptors or memory, 73 the output folder cannot be used, 78 "
      "configuration.");
  add_document_flags(app, kVersion, 8, "peaknetd (8), peaknetctl (1), peaknet-feed (1)");
  set_help_text(app);
  if (!read_command_line(app, argc, argv)) return 0;
  if (picture.parsed()) return preview(request);
  if (table.parsed()) return peaks(search);

  // With defaults alone it would wait for ever for an instance that nobody has, beside a folder that nobody asked for.
  if (file.empty() && overrides.empty()) {
    throw Fatal({"cli.usage", "--config is required: which instance, and which folder, is said there",
                 "nothing was done", "peaknet-writer --config FILE (peaknetctl init NAME writes one)"},
                kExitUsage);
  }
  const auto config = config::load(file, overrides);
  if (!config) throw Fatal(config.error(), kExitConfig);
  set_up_log(kProgram, config->log.level);
  const StopOnSignal stop(signal);
  serve(*config, stop.token());
  return 0;
}

}  // namespace
}  // namespace peaknet::writer

int main(int argc, char** argv) {
  peaknet::begin_program(peaknet::ProgramKind::daemon);
  peaknet::end_clearly_on_bus_error("peaknet-writer");
  try {
    return peaknet::writer::run(argc, argv);
  } catch (const peaknet::Fatal& fatal) {
    peaknet::say_last_words("peaknet-writer", fatal.what());
    return fatal.exit_code();
  } catch (const std::exception& failure) {
    const peaknet::Fatal fatal = peaknet::unexpected(failure);
    peaknet::say_last_words("peaknet-writer", fatal.what());
    return fatal.exit_code();
  }
}
