// ReplaySource: several sources one after the other, repeated, with blank frames in between; and PreloadedSource, which
// keeps another source's frames in memory, so that reading and unpacking a file is not what limits a replay.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "feed/frame_source.hpp"

namespace peaknet::feed {

class ReplaySource : public FrameSource {
 public:
  // At least one source, all for one geometry. `repeat`: how often the row of all frames is played, 0: for ever.
  // `blank_between`: so many blank frames (all pixels zero) after every frame but the last.
  ReplaySource(std::vector<std::unique_ptr<FrameSource>> sources, std::uint64_t repeat, std::uint64_t blank_between);

  const shm::Geometry& geometry() const override { return sources_.front()->geometry(); }
  std::uint64_t size() const override { return size_; }
  // What the frame's own source says, and user = {blank, repetition, source, 0}: blank is 0 for a frame of a file, and
  // n for the n-th blank frame after it. A blank frame has the event_id of the frame it follows; energy and time are
  // unknown.
  Result<Filled> fill(std::uint64_t index, SlotView slot) override;

 private:
  std::vector<std::unique_ptr<FrameSource>> sources_;
  std::uint64_t frames_ = 0;  // of all sources, played once
  std::uint64_t stride_;
  std::uint64_t size_ = 0;
};

// Some of the frames of another source, in the order in which they were named. `event_id` stays that of the source.
class SelectedSource : public FrameSource {
 public:
  // Each event must be one of `source`.
  SelectedSource(std::unique_ptr<FrameSource> source, std::vector<std::uint64_t> events)
      : source_(std::move(source)), events_(std::move(events)) {}
  const shm::Geometry& geometry() const override { return source_->geometry(); }
  std::uint64_t size() const override { return events_.size(); }
  Result<Filled> fill(std::uint64_t index, SlotView slot) override { return source_->fill(events_[index], slot); }

 private:
  std::unique_ptr<FrameSource> source_;
  std::vector<std::uint64_t> events_;
};

class PreloadedSource : public FrameSource {
 public:
  // Reads every frame of `source` now. Errors: those of its fill; with `keep_bad` each error is given when its frame is
  // asked for, as that of a frame that is not there (frame.absent) always is.
  // `columns`: of the pool.
  static Result<std::unique_ptr<PreloadedSource>> load(FrameSource& source, bool keep_bad = false,
                                                       const shm::ColumnTable& columns = {});

  const shm::Geometry& geometry() const override { return geometry_; }
  std::uint64_t size() const override { return frames_.size(); }
  Result<Filled> fill(std::uint64_t index, SlotView slot) override;

 private:
  struct Kept {
    std::vector<std::byte> image;
    shm::FrameDescriptor info;
    Result<Filled> filled;
    shm::ColumnRow columns = {};
    std::uint64_t known = 0;  // of them
  };
  PreloadedSource(const shm::Geometry& geometry, shm::ColumnTable columns)
      : geometry_(geometry), columns_(std::move(columns)) {}
  shm::Geometry geometry_;
  shm::ColumnTable columns_;
  std::vector<Kept> frames_;
};

}  // namespace peaknet::feed
