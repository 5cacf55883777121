// SumPictures: virtual powder, sum and maximum of the hits of the current run as pictures, and its peakogram as a
// document, of what its writers have put beside their files (cxi/run_sums.hpp). It reads files alone, so no writer
// knows of it.
//
// Threads: follow() in one of its own; the rest from any. Errors: where nothing can be read it is tried again, and what
// was seen stays, with its run and time.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "ctl/files/hit_picture.hpp"
#include "cxi/run_sums.hpp"

namespace peaknet::ctl {

class SumPictures {
 public:
  static constexpr std::array<const char*, 3> kKinds = {"powder", "sum", "maximum"};

  SumPictures(std::string instance, PictureSettings settings)
      : instance_(std::move(instance)), settings_(std::move(settings)), pictures_(settings_) {}

  // Until it is asked to stop.
  void follow(const std::stop_token& stop);
  // Draws them if there are newer ones. By one thread.
  void look();

  // {"id", "run", "hits", "summed", "last"}, `last` in seconds since 1970; null before the first.
  nlohmann::json about() const;
  // peaknet.peakogram/1, with null in place of all that is not known; null before the first.
  std::shared_ptr<const std::string> peakogram() const;
  // As PNG; null: there is none of this kind, or not that one any more. `id` 0: the newest.
  std::shared_ptr<const std::string> picture(std::string_view kind, std::uint64_t id) const;

 private:
  using Files = std::vector<std::filesystem::path>;
  Files newest_files(const std::string& run) const;
  void draw(const writer::RunSums& sums, const std::string& run, const shm::Geometry& frames);

  std::string instance_;
  PictureSettings settings_;
  HitPictures pictures_;
  Files seen_;
  std::optional<std::filesystem::file_time_type> seen_at_;

  mutable std::mutex mutex_;  // of all below
  std::uint64_t id_ = 0;
  nlohmann::json about_;
  std::array<std::shared_ptr<const std::string>, kKinds.size()> png_;
  std::shared_ptr<const std::string> peakogram_;
};

}  // namespace peaknet::ctl
