#include "writer/service.hpp"

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "base/fatal.hpp"
#include "base/log_line.hpp"
#include "cxi/recovery.hpp"
#include "hits/bad_pixels.hpp"
#include "shm/consumer.hpp"
#include "shm/participant.hpp"
#include "writer/index_thread.hpp"
#include "writer/output_files.hpp"
#include "writer/output_folder.hpp"
#include "writer/panel_placer.hpp"
#include "writer/writer_loop.hpp"

namespace peaknet::writer {
namespace {

// No event announces shared memory that does not exist yet.
constexpr std::chrono::milliseconds kLookForInstance{200};
// A daemon that starts with us makes its instance within this time, unless it cannot.
constexpr std::chrono::seconds kInstanceComes{10};

using namespace std::chrono_literals;

// A geometry file or bad pixels that are not for the frames of this configuration are refused before anything is taken.
PanelPlacer load_placer(const config::Config& config) {
  auto placer = PanelPlacer::load(config);
  if (!placer) throw Fatal(placer.error(), kExitConfig);
  const auto placed = placer->place(config.geometry());
  if (!placed) throw Fatal(placed.error(), kExitConfig);
  for (const auto& remark : placed->remarks) log::warn("{}", remark);
  if (const auto bad = BadPixels(config).check(config.geometry()); !bad) throw Fatal(bad.error(), kExitConfig);
  return std::move(*placer);
}

// The systemd unit that this process is, "" outside of one: the unit says so itself.
std::string unit() {
  const char* name = std::getenv("PEAKNET_UNIT");
  return name == nullptr ? "" : name;
}

void pause(std::stop_token stop, std::chrono::milliseconds span) {
  std::mutex nobody_else;
  std::unique_lock lock(nobody_else);
  std::condition_variable_any asleep;
  asleep.wait_for(lock, stop, span, [] { return false; });
}

// Null: asked to stop before there was an instance.
std::unique_ptr<shm::Consumer> attach(const config::Config& config, std::stop_token stop) {
  bool said = false;
  while (!stop.stop_requested()) {
    auto consumer = shm::Consumer::attach(config.instance, shm::Queue::q2, "peaknet-writer");
    if (consumer) return std::move(*consumer);
    const std::string& id = consumer.error().id;
    // A pool that somebody truncated is replaced by peaknetd.
    if (id != "shm.absent" && id != "pool.none" && id != "pool.damaged")
      throw Fatal(consumer.error(), kExitUnavailable);
    if (!said) log::info("waiting for peaknetd of instance '{}': {}", config.instance, consumer.error().text());
    said = true;
    pause(stop, kLookForInstance);
  }
  return nullptr;
}

// What keeps this writer from its work goes where operators look, the errors of the instance, before it ends. A unit
// starts its writer before the daemon that makes the instance: there it is waited for, for a while.
void tell(const config::Config& config, Error error, std::stop_token stop) {
  error.what = "peaknet-writer cannot start: " + error.what;  // its place is another's soon, and has that one's label
  const auto deadline = std::chrono::steady_clock::now() + (unit().empty() ? 0s : kInstanceComes);
  for (;;) {
    if (auto participant = shm::Participant::attach(config.instance, shm::Role::writer, "peaknet-writer")) {
      (*participant)->record_error(error);
      return;
    }
    if (std::chrono::steady_clock::now() >= deadline || stop.stop_requested()) return;
    pause(stop, kLookForInstance);
  }
}

std::vector<Recovery::FinishedFile> recover_at_start(Recovery& recovery) {
  const auto findings = recovery.look();
  for (const auto& problem : findings.problems) log::error("{}", problem.text());
  for (const auto& file : findings.finished) log::warn("recovered {}: {} events", file.path.string(), file.events);
  return findings.finished;
}

}  // namespace

void serve(const config::Config& config, std::stop_token stop) {
  const std::filesystem::path folder = std::filesystem::absolute(config.output.dir);
  PanelPlacer placer;
  try {
    placer = load_placer(config);
    if (const auto ready = prepare_output_folder(folder, unit()); !ready) throw Fatal(ready.error(), kExitCannotCreate);
  } catch (const Fatal& fatal) {
    log::error("this writer cannot start: {}", fatal.error().text());
    tell(config, fatal.error(), stop);
    throw;
  }
  Recovery recovery(folder, config.instance);
  FileNames names(folder, config.output);
  auto recovered = recover_at_start(recovery);  // people get their files even if no daemon ever comes
  IndexThread index(folder, config.output.file_prefix);
  while (auto consumer = attach(config, stop)) {
    log::info("writer {} of instance '{}': {} into {}", consumer->participant().number(), config.instance,
              describe(consumer->geometry()), folder.string());
    for (const auto& file : std::exchange(recovered, {})) {
      consumer->participant().count(shm::Counter::files);
      consumer->participant().count(shm::Counter::file_bytes, file.bytes);
    }
    WriterLoop loop(config, *consumer, recovery, names, index, placer);
    if (loop.run(stop) == WriterLoop::Ended::stopped) break;
    log::info("instance '{}' was removed", config.instance);
  }
}

}  // namespace peaknet::writer
