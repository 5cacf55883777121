#include "live/service.hpp"

#include <poll.h>
#include <spdlog/spdlog.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>
#include <utility>

#include "base/fatal.hpp"
#include "live/crystfel_message.hpp"
#include "live/hit_folder.hpp"
#include "live/live_geometry.hpp"
#include "live/request_server.hpp"

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

Order order_of(config::LiveOrder order) { return order == config::LiveOrder::newest ? Order::newest : Order::all; }

std::filesystem::path state_folder(const config::Config& config) {
  // Under systemd: the folder of the files need not be writable for us.
  const char* const unit = std::getenv("STATE_DIRECTORY");
  std::filesystem::path folder = config.live.state_dir;
  if (folder.empty()) folder = std::filesystem::path(unit == nullptr ? config.output.dir : unit) / "live";
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (failed) throw Fatal(writer::disk_error("make the folder", folder, failed.value()), kExitCannotCreate);
  return std::filesystem::absolute(folder);
}

class Service {
 public:
  Service(const config::Config& config, const ServiceOptions& options)
      : config_(config),
        options_(options),
        state_(state_folder(config)),
        folder_(had(HitFolder::open({std::filesystem::absolute(config.output.dir), state_, config.output.file_prefix,
                                     options.name, options.run, order_of(config.live.order), config.live.keep}))),
        server_(had(
            RequestServer::open({.address = config.live.crystfel},
                                {.begins = [this](RequestServer::Peer peer) { return HitFolder::begin(out_.at(peer)); },
                                 .ended = [this](RequestServer::Peer peer, bool sent) { ended(peer, sent); },
                                 .lost = [this](RequestServer::Peer peer) { lost(peer); }}))) {}

  void run(StopSignal& signal) {
    spdlog::info("serving {} on {}, {}", folder_text(), server_->address(),
                 config_.live.order == config::LiveOrder::newest ? "newest first" : "all in order");
    std::array<pollfd, 3> waiting{
        {{server_->fd(), POLLIN, 0}, {folder_->watch().fd(), POLLIN, 0}, {signal.fd(), POLLIN, 0}}};
    auto looked = Clock::now();
    for (;;) {
      write_geometry();
      answer();
      if (::poll(waiting.data(), waiting.size(), static_cast<int>(kLook.count())) < 0 && errno != EINTR)
        throw Fatal({"live.cannot-wait", "poll failed", "", ""}, kExitSoftware);
      if (signal.poll()) break;
      const auto now = Clock::now();
      const bool names = folder_->watch().drain() || now - looked >= kLook;
      if (names) looked = now;
      if (const auto seen = folder_->look(names); !seen) spdlog::error("{}", seen.error().text());
      server_->serve();
      server_->look_after(now);
      report(now);
    }
    report(Clock::time_point::max());
  }

 private:
  std::string folder_text() const { return config_.output.dir + (options_.run.empty() ? "" : ", run " + options_.run); }

  void answer() {
    while (const auto request = server_->next()) {
      if (request->text == "counts") {
        const std::string text = counts_text();
        server_->answer(request->peer, Bytes(text.begin(), text.end()));
      } else if (!hand_over_to(request->peer)) {
        return;
      }
    }
  }

  // False: there is no hit.
  bool hand_over_to(RequestServer::Peer peer) {
    while (auto hit = folder_->take()) {
      const auto pixels = folder_->pixels(*hit);
      if (!pixels) {
        folder_->pass(*hit, pixels.error());
        continue;
      }
      const Bytes message = crystfel_message(hit->file->facts(), hit->stored.event, *pixels);
      out_.insert_or_assign(peer, std::move(*hit));
      server_->hand_over(peer, message);
      return true;
    }
    return false;
  }

  void ended(RequestServer::Peer peer, bool sent) {
    folder_->end(out_.at(peer), sent);
    if (sent) out_.erase(peer);
  }
  void lost(RequestServer::Peer peer) {
    folder_->give_back(out_.at(peer));
    out_.erase(peer);
  }

  std::string counts_text() const {
    const auto counts = folder_->counts();
    return nlohmann::json{{"served", counts.served},         {"served_before", counts.served_before},
                          {"skipped", counts.skipped},       {"waiting", counts.waiting},
                          {"in_hand", out_.size()},          {"uncertain", counts.uncertain},
                          {"unreadable", counts.unreadable}, {"growing", folder_->growing()},
                          {"workers", server_->peers()},     {"workers_waiting", server_->waiting()}}
        .dump();
  }

  void report(Clock::time_point now) {
    if (now - reported_ < kReport) return;
    std::string text = counts_text();
    if (text != reported_text_) spdlog::info("counts {}", text);
    reported_text_ = std::move(text);
    reported_ = now;
  }

  // As soon as there is a file that says what images look like.
  void write_geometry() {
    const auto file = folder_->newest();
    if (geometry_written_ || !file) return;
    geometry_written_ = true;
    if (config_.output.geometry.empty()) {
      spdlog::info(
          "output.geometry names no geometry file, so none is written for indexamajig; docs/live.md has its lines");
      return;
    }
    const std::string stem = (state_ / (config_.output.file_prefix + "." + options_.name)).string();
    std::ifstream source(config_.output.geometry);
    const std::string text{std::istreambuf_iterator<char>(source), std::istreambuf_iterator<char>()};
    const auto mask = file->mask();
    const auto write = [&]() -> Status {
      if (!source) return writer::disk_error("read", config_.output.geometry, errno);
      if (!mask) return mask.error();
      if (auto masked = write_mask_file(stem + ".mask.h5", file->facts(), *mask); !masked) return masked;
      return write_text_file(stem + ".geom", live_geometry(text, file->facts(), stem + ".mask.h5"));
    };
    if (const auto written = write(); !written) {
      spdlog::error("no geometry for indexamajig: {}", written.error().text());
      return;
    }
    spdlog::info("geometry for indexamajig: {}.geom", stem);
  }

  const config::Config& config_;
  const ServiceOptions& options_;
  std::filesystem::path state_;
  std::unique_ptr<HitFolder> folder_;
  std::map<RequestServer::Peer, Hit> out_;  // on their way
  std::unique_ptr<RequestServer> server_;
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
