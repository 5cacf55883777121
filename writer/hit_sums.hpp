// HitSums: the sums of the hits of the runs that this writer is at (cxi/run_sums.hpp), kept while it writes and put
// beside the files every few seconds.
//
// A hit is counted when it is safe on the disk, and never twice; a writer that is killed takes with it what its last
// file does not have, and the next writer has files of its own.
//
// Cost: at most kShare of the writer's time for adding, and kSaveShare of a thread of its own for files, so that no
// frame waits for them. Of a run of seconds the memory and the last file are more than that. Peaks are always counted,
// images as far as the time reaches: `summed` says how many. Memory: 16 bytes a pixel for each of kMost runs at most.
//
// Threads: one, beside its own. Errors: none that would hold a frame up: the log says once what is missing.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <future>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "cxi/event.hpp"
#include "shm/consumer.hpp"
#include "writer/image_sums.hpp"
#include "writer/time_share.hpp"

namespace peaknet::writer {

class HitSums {
 public:
  using Clock = TimeShare::Clock;
  static constexpr double kShare = 0.015, kSaveShare = 0.01;
  static constexpr std::size_t kMost = 6;
  static constexpr std::size_t kAtOnce = 16;  // images between two looks at the clock
  static constexpr std::chrono::seconds kSaveEvery{2};
  static constexpr double kSaveBytesPerSecond = 500e6;  // before the first one has been measured

  HitSums(std::filesystem::path folder, std::uint64_t writer);

  // Frames of one file of a run, each with its event, which are safe now; their slots are still ours.
  void add(const std::string& stem, const FileFacts& facts, std::span<const shm::HeldFrame> frames,
           std::span<const StoredEvent> events);

  // Begins to put beside the files what is due. To be called now and then; cheap where nothing is.
  void save_due();
  // When that is; nothing: never, as it is now, or when what has begun is done.
  std::optional<Clock::time_point> next_due() const;
  // The runs are over: all is in their files, durable, and what comes after begins anew.
  void finish();

 private:
  struct Run {
    std::string stem;
    std::filesystem::path path;
    ImageSums sums;
    Clock::time_point begun, last;
    std::int64_t first_ns = 0, last_ns = 0;
    Clock::duration spent{};
    bool saved = false;  // the file has all of it
    Clock::time_point saved_at{};
  };
  std::filesystem::path new_path(const std::string& stem);
  Run* run_of(const std::string& stem, const FileFacts& facts);
  struct Saved {
    Status written;
    Clock::duration taken;
  };
  struct Saving {
    std::filesystem::path path;
    std::future<Saved> done;
  };
  std::optional<RunSums> snapshot(const Run& run);
  static Saved put_down(const std::filesystem::path& path, const RunSums& sums, bool durable);
  void begin_to_save(Run& run);
  void end_saving();
  void save_last(Run& run);
  void say(const std::string& what);

  std::filesystem::path folder_;
  std::uint64_t writer_;
  std::uint64_t next_part_ = 0;
  std::vector<Run> runs_;
  TimeShare adding_;
  Clock::time_point save_at_{};
  std::optional<Saving> saving_;
  std::set<std::string> said_;
};

}  // namespace peaknet::writer
