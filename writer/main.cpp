// peaknet-writer: from results in shared memory to CXI files. See docs/writer.md.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <string>
#include <thread>
#include <vector>

#include "base/fatal.hpp"
#include "base/log.hpp"
#include "base/stop_signal.hpp"
#include "config/config.hpp"
#include "peaknet_version.hpp"
#include "writer/preview_command.hpp"
#include "writer/service.hpp"

namespace {

int serve(const std::string& file, const std::vector<std::string>& overrides) {
  peaknet::StopSignal signals;
  const auto config = peaknet::config::load(file, overrides);
  if (!config) throw peaknet::Fatal(config.error(), peaknet::kExitConfig);
  peaknet::set_up_log("peaknet-writer", config->log.level);
  std::stop_source stop;
  // The loop waits on futexes; this thread waits for the signal and asks it to stop.
  const std::jthread watch([&signals, &stop](const std::stop_token& ended) {
    while (!ended.stop_requested()) {
      if (signals.wait(std::chrono::milliseconds(200))) stop.request_stop();
    }
  });
  peaknet::writer::serve(*config, stop.get_token());
  return 0;
}

int preview(const peaknet::writer::PreviewRequest& request) {
  const auto written = peaknet::writer::write_preview(request);
  if (!written) {
    std::fprintf(stderr, "peaknet-writer: %s\n", written.error().text().c_str());
    return 1;
  }
  std::printf("%s\n", written->c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"peaknet-writer takes results out of shared memory and writes CXI files with their peaks"};
  app.set_version_flag("--version", std::string(peaknet::kVersion));
  std::string file;
  std::vector<std::string> overrides;
  app.add_option("--config", file, "configuration file (YAML)");
  app.add_option("--set", overrides, "a key of the configuration, as key=value; may be repeated")->allow_extra_args(false);
  peaknet::writer::PreviewRequest request;
  auto* picture = app.add_subcommand("preview", "draw one event of a finished CXI file as PNG, with a ring around each peak");
  picture->add_option("FILE", request.file, "the CXI file")->required();
  picture->add_option("--event", request.event, "its row, from 0")->capture_default_str();
  picture->add_option("--out", request.out, "the PNG to write (default: FILE.<event>.png)");
  try {
    app.parse(argc, argv);
    if (!*picture && file.empty()) throw CLI::RequiredError("--config");
  } catch (const CLI::ParseError& wrong) {
    return app.exit(wrong) == 0 ? 0 : peaknet::kExitUsage;
  }
  try {
    return *picture ? preview(request) : serve(file, overrides);
  } catch (const peaknet::Fatal& fatal) {
    std::fprintf(stderr, "peaknet-writer: %s\n", fatal.error().text().c_str());
    return fatal.exit_code();
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "peaknet-writer: unexpected failure: %s [internal]\n", failure.what());
    return peaknet::kExitSoftware;
  }
}
