#include "live/service.hpp"

#include <poll.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

#include "base/fatal.hpp"
#include "base/log_line.hpp"
#include "live/crystfel_outlet.hpp"
#include "live/indexing_recorder.hpp"
#include "live/live_geometry.hpp"
#include "live/simplon_outlet.hpp"

namespace peaknet::live {
namespace {

using Clock = std::chrono::steady_clock;

// File systems of other machines tell of nothing: what their writers append is seen after this time.
constexpr std::chrono::milliseconds kLook{1000};
constexpr std::chrono::seconds kReport{60};

template <class T>
T had(Result<T> result) {
  if (!result) throw Fatal(result.error(), kExitCannotCreate);
  return std::move(*result);
}

std::filesystem::path state_folder(const config::Config& config) {
  // Under systemd: the folder of the files need not be writable for us.
  const char* const unit = std::getenv("STATE_DIRECTORY");
  std::filesystem::path folder = config.live.state_dir;
  if (folder.empty()) folder = std::filesystem::path(unit == nullptr ? config.output.dir : unit) / "live";
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (failed) {
    Error error = writer::disk_error("make the folder", folder, failed.value());
    error.remedy = "live.state_dir names a folder that this program may write";
    throw Fatal(error, kExitCannotCreate);
  }
  return std::filesystem::absolute(folder);
}

class Service {
 public:
  Service(const config::Config& config, const ServiceOptions& options)
      : config_(config), options_(options), state_(state_folder(config)), recorder_(config.instance, options.run) {
    for (const std::string& stream : options.streams) streams_.emplace_back(std::filesystem::absolute(stream));
    const std::string what = config.output.dir + (options.run.empty() ? "" : ", run " + options.run);
    if (!config.live.crystfel.empty()) {
      crystfel_ = had(CrystfelOutlet::open(config.live.crystfel, follow(options.name), streams_));
      log::info("serving {} on {}, {}", what, crystfel_->address(),
                config.live.order == config::LiveOrder::newest ? "newest first" : "all in order");
    }
    if (!config.live.simplon.empty()) {
      const SimplonDialect dialect{config.live.simplon_lead, config.live.simplon_names == config::SimplonNames::main};
      simplon_ = had(SimplonOutlet::open(config.live.simplon, dialect, follow(options.name + "-simplon")));
      log::info("passing on {} as Simplon messages on {}", what, simplon_->address());
    }
  }

  void run(StopSignal& signal) {
    auto looked = Clock::now();
    for (;;) {
      write_geometry();
      if (crystfel_) crystfel_->turn();
      if (simplon_) simplon_->pass_on();
      wait(signal);
      if (signal.poll()) break;
      const auto now = Clock::now();
      const bool in_time = now - looked >= kLook;
      if (in_time) {
        looked = now;
        look_at_streams();
      }
      for (HitFolder* folder : folders()) {
        if (const auto seen = folder->look(folder->watch().drain() || in_time); !seen)
          log::error("{}", seen.error().text());
      }
      if (now - reported_ >= kReport) report(now);
    }
    report(Clock::now());
  }

 private:
  std::unique_ptr<HitFolder> follow(const std::string& name) const {
    const Order order = config_.live.order == config::LiveOrder::newest ? Order::newest : Order::all;
    return had(HitFolder::open({std::filesystem::absolute(config_.output.dir), state_, config_.output.file_prefix,
                                config_.output.run_name, name, options_.run, order, config_.live.keep}));
  }

  void look_at_streams() {
    for (StreamTally& stream : streams_) {
      if (const auto seen = stream.look(); !seen) log::warn("{}", seen.error().text());
    }
    if (streams_.empty()) return;
    recorder_.record(sum_of(streams_), [this](const std::string& run) {
      return crystfel_ ? crystfel_->folder().served_of(run) : std::nullopt;
    });
  }

  std::vector<HitFolder*> folders() {
    std::vector<HitFolder*> all;
    if (crystfel_) all.push_back(&crystfel_->folder());
    if (simplon_) all.push_back(&simplon_->folder());
    return all;
  }

  void wait(StopSignal& signal) {
    std::vector<pollfd> waiting{{signal.fd(), POLLIN, 0}};
    for (HitFolder* folder : folders()) waiting.push_back({folder->watch().fd(), POLLIN, 0});
    if (crystfel_) waiting.push_back({crystfel_->fd(), POLLIN, 0});
    if (simplon_) waiting.push_back({simplon_->fd(), POLLIN, 0});
    if (::poll(waiting.data(), waiting.size(), static_cast<int>(kLook.count())) < 0 && errno != EINTR)
      throw Fatal(writer::disk_error("wait for", config_.output.dir, errno), kExitSoftware);
  }

  void report(Clock::time_point now) {
    reported_ = now;
    std::string text;
    if (crystfel_) text += "crystfel " + crystfel_->counts_text();
    if (simplon_) {
      const auto counts = simplon_->folder().counts();
      text += (text.empty() ? "" : ", ") + std::string("simplon: passed on ") + std::to_string(counts.served) +
              ", waiting " + std::to_string(counts.waiting) + ", skipped " + std::to_string(counts.skipped);
    }
    if (text != reported_text_) log::info("counts: {}", text);
    reported_text_ = std::move(text);
  }

  // As soon as there is a file that says what images look like.
  void write_geometry() {
    if (geometry_written_ || !crystfel_) return;
    const auto file = crystfel_->folder().newest();
    if (!file) return;
    geometry_written_ = true;
    if (config_.output.geometry.empty()) {
      log::info("output.geometry is not set, so no geometry is made for indexamajig; docs/live.md has its lines");
      return;
    }
    const std::string stem = (state_ / (config_.output.file_prefix + "." + options_.name)).string();
    const auto written = make_geometry(*file, stem);
    if (!written) {
      log::error("no geometry for indexamajig: {}", written.error().text());
      return;
    }
    log::info("geometry for indexamajig: {}.geom", stem);
  }

  Status make_geometry(const HitFile& file, const std::string& stem) const {
    std::ifstream source(config_.output.geometry);
    const std::string text{std::istreambuf_iterator<char>(source), std::istreambuf_iterator<char>()};
    if (!source) return writer::disk_error("read", config_.output.geometry, errno);
    const auto mask = file.mask();
    if (!mask) return mask.error();
    if (auto masked = write_mask_file(stem + ".mask.h5", file.facts(), *mask); !masked) return masked;
    return write_text_file(stem + ".geom", live_geometry(text, file.facts(), stem + ".mask.h5"));
  }

  const config::Config& config_;
  const ServiceOptions& options_;
  std::filesystem::path state_;
  std::vector<StreamTally> streams_;
  IndexingRecorder recorder_;
  std::unique_ptr<CrystfelOutlet> crystfel_;
  std::unique_ptr<SimplonOutlet> simplon_;
  bool geometry_written_ = false;
  Clock::time_point reported_ = Clock::now();
  std::string reported_text_;
};

}  // namespace

void serve(const config::Config& config, const ServiceOptions& options, StopSignal& signal) {
  if (config.output.images == config::Images::none) {
    throw Fatal({"config.bad-value", "output.images is none: the files keep no images that could be served",
                 "nothing was served", "set output.images to hits"},
                kExitConfig);
  }
  Service(config, options).run(signal);
}

}  // namespace peaknet::live
