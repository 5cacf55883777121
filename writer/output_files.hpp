// OutputFiles: the files that a writer has open, and the frames whose events are in them but not yet durable.
//
// Invariant I4: a frame is finished (its slot freed) only after its event is durable: its image and its ledger record
// on the disk (cxi/ledger.hpp). Until then OutputFiles holds the frame. A file is given its final name only when it is
// whole and durable.
//
// A full file gets its tables and its name from a thread of its own while the next one is written: by then all its
// events are durable and their slots free, so nobody waits for it.
//
// A file holds events of one run, of one run of their source (Event::source_run) and of one model, with a photon energy
// or without: CrystFEL takes an unknown energy in silence. It ends when it is full or old, when the run or the model
// changes, and when asked. Where a source begins a new run, the files of the run before end too, but only when no event
// has come to them for kLate: events of a source overtake each other at the change, and several sources may each have a
// run. At most kMostOpen files are open; the one that got an event last longest ago ends for the next.
//
// Beside the files lie the sums of their hits (hit_sums.hpp), as far as they are durable.
//
// If the disk refuses, the file concerned is given up as it is: its durable events are on the disk as an orphan for
// Recovery, its other frames come back through take_uncertain(). Whether such a frame is durable only Recovery can
// tell; it must be asked before the frame is written again. Nothing is lost in either way. Used by one thread. Frames
// still held are given back to Q2 when OutputFiles goes; call finish() before.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "cxi/compression.hpp"
#include "cxi/event.hpp"
#include "cxi/file.hpp"
#include "cxi/ledger.hpp"
#include "cxi/outcome_log.hpp"
#include "hits/bad_pixels.hpp"
#include "shm/consumer.hpp"
#include "shm/control_segment.hpp"
#include "writer/file_names.hpp"
#include "writer/hit_sums.hpp"
#include "writer/panel_placer.hpp"
#include "writer/stored_form.hpp"

namespace peaknet::writer {

using Clock = std::chrono::steady_clock;

class OutputFiles {
 public:
  static constexpr std::size_t kMostOpen = 6;
  static constexpr std::chrono::seconds kLate{2};

  OutputFiles(const config::Config& config, shm::Consumer& consumer, FileNames& names, PanelPlacer placer = {});
  ~OutputFiles();

  // Where the panels of the pool's frames lie in a file; null: output.geometry does not fit them, trouble() says why.
  const SlabLayout* slab();

  // Which of their pixels are no data to results of that model; null: trouble() says why. Where slab() is not null.
  std::shared_ptr<const BadMask> bad_mask(std::uint64_t model);

  // What of the frame goes into a file, where slab() is not null.
  FrameToStore to_store(const shm::HeldFrame& frame) const;

  // Put the event of `frame` into a file. `packed`: its image and mask as they shall lie there, where the caller has
  // them already (an ImagePacker's work on to_store()); else they are made here. True: the frame is OutputFiles's now.
  // False: it is still the caller's and nothing of it is in a file; trouble() says why.
  bool write(shm::HeldFrame& frame, Event event, std::optional<StoredBytes> packed = {});

  // Everything written becomes durable, its frames are finished, and it leaves the page cache unless
  // output.keep_cached. False: trouble().
  bool make_durable();
  // Finish every file that is open, and the sums; when it returns true, nothing is left to do. False: trouble().
  bool finish();
  // Those that have been open for output.max_seconds, without waiting for them; and note which full files have been
  // finished meanwhile. To be called again and again. False: trouble().
  bool finish_old();

  // What failed since it was last asked, the first of several.
  std::optional<Error> trouble();
  // Files finished since it was last asked.
  std::vector<std::filesystem::path> take_finished();
  // Frames of files that were given up: not durable, or nobody knows.
  std::vector<shm::HeldFrame> take_uncertain();

  std::size_t unreleased() const;  // frames written and not yet durable
  // When make_durable() or finish_old() is due next.
  std::optional<Clock::time_point> next_due() const;
  bool durable_due() const;
  // What the counters of the instance say now.
  AccountingSnapshot accounting(bool run_is_over) const;
  // For people: the file being written, or "".
  std::string current() const;

 private:
  struct OpenFile {
    std::filesystem::path final_path;
    std::string stem;  // of its name
    Ledger ledger;
    CxiFile file;
    std::string source_run = {};
    Clock::time_point opened = Clock::now();
    Clock::time_point last_event = opened;
    std::size_t durable = 0;                  // events of the file that are
    std::vector<shm::HeldFrame> frames = {};  // of the others, in order
    Clock::time_point oldest = {};            // when the first of them was written
  };
  using Place = std::unique_ptr<OpenFile>;
  // A full file while its tables are written and it gets its name; the thread alone uses it until `bytes` is there.
  struct ClosingFile {
    Place place;
    std::future<Result<std::uint64_t>> bytes;
  };

  Place* place_for(const Event& event);
  bool superseded(const OpenFile& file) const;
  Clock::time_point ends(const OpenFile& file) const;
  bool open(Place& place, const Event& event);
  bool make_durable(Place& place);
  bool finish(Place& place);
  bool finish_files();
  static Result<std::uint64_t> close(OpenFile& open, const Closing& closing);
  bool begin_finish(Place& place);
  bool await_closing();
  bool note_closed();
  void finish_early(Place& place, const Error& error);
  void abandon(Place& place, const Error& error);
  void note_trouble(const Error& error);
  FileFacts facts(const Event& event, std::shared_ptr<const BadMask> bad);
  StoredBytes stored_form(const shm::HeldFrame& frame);
  Closing closing() const;

  const config::Config& config_;
  shm::Consumer& consumer_;
  FileNames& names_;
  std::shared_ptr<shm::ControlSegment> control_segment_;  // for the counters
  std::string config_text_;
  std::string host_;
  PanelPlacer placer_;
  shm::Geometry slab_for_;  // the frames that slab_ was made for
  SlabLayout slab_;
  std::vector<std::uint64_t> left_out_;  // of those frames by the geometry
  BadPixels bad_pixels_;
  StoredForm form_;
  BitshuffleLz4 image_codec_, segmentation_codec_;
  std::optional<HitSums> sums_;  // where they are wanted
  std::string run_;
  std::uint64_t model_ = 0;  // of the events of the open files
  std::array<Place, kMostOpen> places_;
  std::optional<ClosingFile> closing_;
  std::vector<std::filesystem::path> finished_;
  std::vector<shm::HeldFrame> uncertain_;
  std::optional<Error> trouble_;
};

}  // namespace peaknet::writer
