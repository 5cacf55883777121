// The arguments of peaknet-feed: what each mode is asked for, and the options that say it.
//
// Plain values; whoever parses them owns them until the program ends.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "feed/decoders/decoder.hpp"
#include "feed/play.hpp"
#include "feed/record.hpp"
#include "feed/simulated_source.hpp"

namespace peaknet::feed {

struct CommonArguments {
  std::string config;
  std::vector<std::string> overrides;
  bool json = false;
  double wait_seconds = 0.0;
  std::string label;
};

// How messages are read, from the network or from files.
struct DecodeArguments {
  std::string pad = "bottom-right";
  DecodeOptions decode;

  DecodeOptions options(const config::Config& config) const {
    DecodeOptions options = decode;
    options.wavelength_unit = config.feed.wavelength_unit;
    options.columns = config.feed.columns;
    options.pad = pad == "center" ? config::PadStyle::center : config::PadStyle::bottom_right;
    return options;
  }
};

struct ReplayArguments {
  std::vector<std::string> files;
  std::string dataset;
  bool messages = false;
  DecodeArguments decode;
  Speed speed;
  std::uint64_t repeat = 1, blank_between = 0;
  bool narrow = false, preload = false, skip_bad = false;
};

struct SimulateArguments {
  SimulationOptions simulation;
  Speed speed;
  std::vector<std::uint32_t> shape;
  std::uint32_t producers = 1;
  std::string truth;
};

struct ListenArguments {
  std::vector<std::string> endpoints;
  std::uint64_t count = 0;
  std::optional<double> idle_seconds;
  std::uint32_t threads = 1;
  bool end_with_run = false;
  std::string quarantine;
  DecodeArguments decode;
};

struct RequestArguments {
  std::string file;
  std::string service;
  std::string token_file, authorities;
  double wait_seconds = 600;
  ListenArguments listen;
};

struct RecordArguments {
  RecordOptions options;
  std::optional<double> idle_seconds;
};

// Each adds the options of its arguments to a command.
void add_common(CLI::App& command, CommonArguments& common);
void add_replay(CLI::App& command, ReplayArguments& arguments);
void add_simulate(CLI::App& command, SimulateArguments& arguments);
void add_listen(CLI::App& command, ListenArguments& arguments);
void add_request(CLI::App& command, RequestArguments& arguments);
void add_record(CLI::App& command, RecordArguments& arguments);

}  // namespace peaknet::feed
