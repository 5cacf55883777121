// One measurement of the writer's way to the disk for scripts/bench, as one line of JSON.
//
//   writer_run WHAT --folder FOLDER --size 1024 --peaks 100 --events 400
//
// WHAT:
//   raw        write() of each image into files of 100, fsync at the end of each: what the disk can do
//   reserved   the same, each file's space reserved first (on some kernels that is several times faster)
//   dropped    the same, every 32 images synced and then let go of from the page cache
//   none       a whole peaknet-writer, images as they are
//   lz4        the same, bitshuffle + LZ4
//   peaks      the same, peaks alone
//   codec      bitshuffle + LZ4 of the same images in one thread, into memory
//
// The line: {"events_per_s", "mb_per_s", "cpu_us_per_event"}, MB of images.
//
// The writer gets its frames from a pool whose slots were filled before, so that nobody but the writer works.
#include <fcntl.h>
#include <unistd.h>

#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "base/must.hpp"
#include "bench/frames.hpp"
#include "config/config.hpp"
#include "cxi/compression.hpp"
#include "peaks/mask_bits.hpp"
#include "shm/consumer.hpp"
#include "shm/frame_accounting.hpp"
#include "shm/pool.hpp"
#include "shm/producer.hpp"
#include "writer/service.hpp"

namespace peaknet::bench {
namespace {

using Clock = std::chrono::steady_clock;

struct Plan {
  std::string what;
  std::filesystem::path folder;
  std::uint32_t size = 1024;
  int peaks = 100;
  std::uint64_t events = 400;
  std::uint32_t slots = 32;
  std::uint32_t threads = 1;
  std::uint32_t events_per_file = 100;
};

// Wall clock and processor time of this process since it was made.
class Stopwatch {
 public:
  void show(const Plan& plan) const {
    const double seconds = std::chrono::duration<double>(Clock::now() - begin_).count();
    const auto events = static_cast<double>(plan.events);
    std::printf("{\"events_per_s\": %.1f, \"mb_per_s\": %.1f, \"cpu_us_per_event\": %.1f}\n", events / seconds,
                2e-6 * plan.size * plan.size * events / seconds, (cpu_seconds() - cpu_) * 1e6 / events);
  }

 private:
  static double cpu_seconds() {
    timespec now{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
  }
  Clock::time_point begin_ = Clock::now();
  double cpu_ = cpu_seconds();
};

// As many different frames as the pool has slots, so that both read memory that no cache holds.
std::vector<bench::Frame> frames_of(const Plan& plan) {
  std::vector<bench::Frame> frames;
  for (std::uint32_t i = 0; i < 4; ++i) frames.push_back(bench::make_frame(plan.size, plan.peaks, i + 1));
  while (frames.size() < plan.slots) frames.push_back(bench::Frame(frames[frames.size() - 4]));
  return frames;
}

void raw(const Plan& plan) {
  const auto frames = frames_of(plan);
  const Stopwatch watch;
  int fd = -1;
  const auto finish = [&] {
    if (fd >= 0 && (::fsync(fd) != 0 || ::close(fd) != 0)) throw std::runtime_error("fsync failed");
  };
  for (std::uint64_t i = 0; i < plan.events; ++i) {
    if (i % 100 == 0) {
      finish();
      fd = ::open((plan.folder / ("raw_" + std::to_string(i))).c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
      const auto file_bytes = static_cast<off_t>(std::uint64_t{200} * plan.size * plan.size);
      if (plan.what != "raw" && ::posix_fallocate(fd, 0, file_bytes) != 0)
        throw std::runtime_error("no space to reserve");
    }
    const auto& pixels = frames[i % frames.size()].pixels;
    const std::size_t bytes = pixels.size() * 2;
    if (::write(fd, pixels.data(), bytes) != static_cast<ssize_t>(bytes)) throw std::runtime_error("write failed");
    if (plan.what == "dropped" && i % 32 == 31 &&
        (::fdatasync(fd) != 0 || ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) != 0))
      throw std::runtime_error("cannot let go of the cache");
  }
  finish();
  watch.show(plan);
}

void codec(const Plan& plan) {
  const auto frames = frames_of(plan);
  writer::BitshuffleLz4 compressor;
  std::size_t bytes = 0;
  const Stopwatch watch;
  for (std::uint64_t i = 0; i < plan.events; ++i)
    bytes += compressor.compress(std::as_bytes(std::span(frames[i % frames.size()].pixels)), 2).size();
  watch.show(plan);
  if (bytes == 0) throw std::runtime_error("nothing was compressed");
}

void whole_writer(const Plan& plan) {
  config::Config settings;
  settings.instance = "bench_writer_" + std::to_string(::getpid());
  settings.pool.shape = {1, plan.size, plan.size};
  settings.output.dir = plan.folder;
  settings.output.compression = plan.what == "lz4" ? config::Compression::bitshuffle_lz4 : config::Compression::none;
  settings.output.images = plan.what == "peaks" ? config::Images::none : config::Images::hits;
  settings.output.threads = plan.threads;
  settings.output.events_per_file = plan.events_per_file;
  settings.peaks.min_num_peak = 1;
  settings.log.level = "warn";
  const shm::Geometry geometry{plan.slots, 1, plan.size, plan.size, PixelType::uint16};
  auto owner = must(shm::InstanceOwner::take(settings.instance, {}));
  const auto pool = must(
      shm::Pool::create(settings.instance, 1, geometry, shm::FullPolicy::block, owner.control_segment()->uuid(), {}));
  shm::ControlLayout& layout = owner.control_segment()->layout();
  layout.epoch.store(1);
  {
    const auto producer = must(shm::Producer::attach(settings.instance, {.label = "bench"}));
    const auto device = must(shm::Consumer::attach(settings.instance, shm::Queue::q1, "bench"));
    const auto frames = frames_of(plan);
    std::vector<std::uint64_t> words;
    std::uint64_t committed = 0;
    // A slot keeps its image and its mask: only the first round writes them.
    const auto feed = [&] {
      auto claimed = producer->claim(std::chrono::seconds(30));
      if (!claimed) throw std::runtime_error(claimed.error().text());
      const bench::Frame& frame = frames[committed % frames.size()];
      const bool first = committed < plan.slots;
      if (first) std::memcpy(claimed->image().data(), frame.pixels.data(), claimed->image().size());
      claimed->info().photon_energy_ev = 9500;
      if (auto done = claimed->commit(); !done) throw std::runtime_error(done.error().text());
      for (auto& held : device->take(1, shm::kMaxSequence, "bench").frames) {
        if (first) {
          writer::pack_mask(frame.classes, 1, plan.size, plan.size, words);
          std::copy(words.begin(), words.end(), held.mask().begin());
        }
        if (auto published = held.publish(shm::ResultStatus::mask); !published)
          throw std::runtime_error(published.error().text());
      }
      ++committed;
    };
    for (std::uint32_t i = 0; i < plan.slots; ++i) feed();
    const Stopwatch watch;
    {
      std::jthread thread([&](std::stop_token stop) { writer::serve(settings, stop); });
      while (committed < plan.events) feed();
      // As peaknetd does at a stop: the writer answers when all that waits is in finished files.
      const std::uint64_t generation = layout.run.close_generation.fetch_add(1) + 1;
      pool->header().done_event.notify();
      const auto answered = [&] {
        return std::any_of(layout.participants.begin(), layout.participants.end(), [&](const auto& participant) {
          return participant.role.load() == shm::Role::writer && participant.closed_generation.load() >= generation;
        });
      };
      while (!answered()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      watch.show(plan);
    }
    const std::uint64_t written =
        shm::read_accounting(*owner.control_segment(), pool.get()).total(shm::Counter::written);
    if (written != plan.events) throw std::runtime_error(std::to_string(written) + " events were written");
  }
  owner.remove_if_unused(true);
}

int run(int argc, char** argv) {
  Plan plan;
  CLI::App app{"One measurement of the writer's way to the disk.", "writer_run"};
  app.add_option("what", plan.what)
      ->required()
      ->check(CLI::IsMember({"raw", "reserved", "dropped", "none", "lz4", "peaks", "codec"}));
  app.add_option("--folder", plan.folder)->required();
  app.add_option("--size", plan.size);
  app.add_option("--peaks", plan.peaks);
  app.add_option("--events", plan.events);
  app.add_option("--slots", plan.slots);
  app.add_option("--threads", plan.threads);
  app.add_option("--events-per-file", plan.events_per_file);
  CLI11_PARSE(app, argc, argv);
  spdlog::set_level(spdlog::level::warn);
  try {
    std::filesystem::create_directories(plan.folder);
    if (plan.what == "raw" || plan.what == "reserved" || plan.what == "dropped") {
      raw(plan);
    } else if (plan.what == "codec") {
      codec(plan);
    } else {
      whole_writer(plan);
    }
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "writer_run: %s\n", problem.what());
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace peaknet::bench

int main(int argc, char** argv) { return peaknet::bench::run(argc, argv); }
