#include "hits/bad_pixels.hpp"

#include <bit>
#include <numeric>
#include <utility>

#include "base/log_line.hpp"
#include "config/pixel_values.hpp"
#include "cxi/hdf5.hpp"
#include "peaks/mask_bits.hpp"

namespace peaknet::writer {
namespace {

std::string digest_text(const std::string& digest) { return digest.empty() ? "none" : "those of digest " + digest; }

std::uint64_t count_bits(const std::vector<std::uint64_t>& words) {
  return std::accumulate(words.begin(), words.end(), std::uint64_t{0}, [](std::uint64_t sum, std::uint64_t word) {
    return sum + static_cast<std::uint64_t>(std::popcount(word));
  });
}

}  // namespace

// Without what the geometry leaves out.
Result<BadMask> BadPixels::read(const shm::Geometry& frames, bool log) const {
  BadMask mask;
  if (where_.empty()) return mask;
  const auto guard = use_hdf5();
  const auto bad = config::read_bad_pixels({"bad_pixels", where_, {frames.panels, frames.height, frames.width}});
  if (!bad) return bad.error();
  if (log) {
    log::info("preprocess.bad_pixels: {} are bad", bad->share());
    for (const auto& warning : bad->warnings) log::warn("{}", warning);
  }
  pack_mask(bad->bad, frames.panels, frames.height, frames.width, mask.words);
  mask.digest = bad->digest();
  return mask;
}

Status BadPixels::check(const shm::Geometry& frames) const {
  const auto mask = read(frames, true);
  return mask ? Status() : mask.error();
}

Result<BadPixels::Found> BadPixels::of(const shm::Geometry& frames, const std::vector<std::uint64_t>& left_out,
                                       const std::optional<std::string>& of_model) {
  if (!frames.same_frames(frames_)) {
    masks_.clear();
    read_.reset();
    frames_ = frames;
  }
  if (const auto known = masks_.find(of_model); known != masks_.end()) return Found{known->second, std::nullopt};
  const auto agrees = [&] { return !of_model || read_->digest == *of_model; };
  if (!read_ || !agrees()) {
    auto again = read(frames, read_.has_value());
    if (!again) return again.error();
    read_ = std::move(*again);
  }
  auto mask = std::make_shared<BadMask>(*read_);
  mask->of_model = of_model;
  if (mask->words.empty()) {
    mask->words = left_out;
  } else {
    for (std::size_t i = 0; i < left_out.size(); ++i) mask->words[i] |= left_out[i];
  }
  mask->count = count_bits(mask->words);
  Found found{mask, std::nullopt};
  if (!agrees()) {
    found.differs = Error{"preprocess.other-mask",
                          "the network left out other bad pixels (" + digest_text(*of_model) +
                              ") than the writer knows (" + digest_text(read_->digest) + ", " +
                              (where_.empty() ? "preprocess.bad_pixels is not set" : where_) + ")",
                          "events go into files whose mask and peaks are by the writer's; they have both digests",
                          "give both programs the same configuration; if the file was changed, restart peaknetd"};
  }
  masks_.emplace(of_model, std::move(mask));
  return found;
}

}  // namespace peaknet::writer
