#include "ctl/command_progress.hpp"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>

#include "base/text.hpp"
#include "control/status_documents.hpp"
#include "ctl/instance_view.hpp"

namespace peaknet::ctl {
namespace {

using Clock = std::chrono::steady_clock;

// " of 2.7 GiB", where the file is seen from here.
std::string size_of_model(const Options& options) {
  std::error_code unseen;
  const auto bytes = std::filesystem::file_size(options.model_path, unseen);
  return unseen || bytes == 0 ? "" : " of " + human_bytes(bytes);
}

std::string what(const Options& options, const std::string& state) {
  if (options.command == "stop") return state == "draining" ? "draining" : "stopping";
  if (options.command == "start") return state == "starting" ? "waiting for a device to be ready" : "starting a run";
  if (options.command == "rebuffer") return "changing the buffers";
  if (options.command == "model.load") return "checking, loading and testing the model" + size_of_model(options);
  if (options.command == "wait") return "waiting until " + options.wait_for + "; now " + state;
  return options.command;
}

}  // namespace

std::function<std::string()> progress_of(const Options& options, const std::string& instance) {
  return [options, instance, begin = Clock::now(), most = std::uint32_t{0}]() mutable {
    std::string state = "absent";
    std::uint32_t frames = 0;
    if (const auto view = InstanceView::open(instance)) {
      state = control::state_now(*view->control_segment);
      frames = view->frames_on_their_way();
    }
    most = std::max(most, frames);
    std::string line = what(options, state);
    const bool counts = options.command == "stop" || options.command == "wait";
    if (counts && most > 0) line += ": " + std::to_string(frames) + " of " + std::to_string(most) + " frames left";
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - begin).count();
    return line + ", " + std::to_string(seconds) + " s" +
           (options.command == "wait" ? "" : " (Ctrl-C ends the waiting, not what was asked)");
  };
}

}  // namespace peaknet::ctl
