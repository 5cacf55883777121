// ReplayInputs: the files that replay was given, opened as sources of frames. What cannot be taken ends the opening, or
// with BadFrames::skip is counted, logged and left out.
//
// One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "feed/decoders/decoder.hpp"
#include "feed/feed_counters.hpp"
#include "feed/frame_source.hpp"
#include "feed/hdf5_rehearsal.hpp"
#include "feed/hdf5_source.hpp"
#include "feed/input_files.hpp"
#include "feed/message_file.hpp"
#include "feed/play.hpp"
#include "feed/refusals.hpp"
#include "feed/sequence_gaps.hpp"

namespace peaknet::feed {

struct ReplayReading {
  std::string dataset;  // "" to find it
  bool messages = false, preload = false;
  Narrowing narrowing = Narrowing::refuse;
  BadFrames bad = BadFrames::end;
  Hdf5Rehearsal* rehearsal = nullptr;             // of HDF5 files before they are opened; null: none
  std::span<const std::uint8_t> bad_pixels = {};  // see SlotView; must outlive the sources
  config::FeedColumns columns = {};
};

class ReplayInputs {
 public:
  ReplayInputs(ReplayReading reading, const shm::Geometry& geometry, std::unique_ptr<Decoder> decoder,
               FeedCounters& tally, Refusals& refusals);

  // Errors: those of input_files, Hdf5Rehearsal, Hdf5Source and MessageFileSource; input.list (a list names an event
  // that is not there); input.empty (there is no frame in all of them).
  Result<std::vector<std::unique_ptr<FrameSource>>> open(const std::vector<std::string>& arguments);

 private:
  Result<std::unique_ptr<FrameSource>> open_file(const InputFile& file);
  // The error, if it ends the replay; else it is counted and the file left out.
  Status refuse(const Error& error);
  void count_gaps(const std::string& path);

  ReplayReading reading_;
  shm::Geometry geometry_;
  std::shared_ptr<MessageReader> reader_;
  Hdf5Reading hdf5_;
  FeedCounters& tally_;
  Refusals& refusals_;
  SequenceGaps gaps_;
};

}  // namespace peaknet::feed
