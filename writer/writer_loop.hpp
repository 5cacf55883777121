// WriterLoop: what a writer does all day: take frames out of Q2, find their peaks, put the hits into files, make them
// durable, let the slots go.
//
// When frames become durable: as soon as Q2 is empty, or a quarter of the pool's slots waits for it (half
// of them without images), or output.durable_ms is over; a frame that was taken from a dead owner at once. So the cost
// of an fsync is shared when there is much to do and waited for by nobody when there is little.
//
// A frame that was with a writer before (descriptor().last_writer) may be in a file already. Before it is written, the
// folder is looked at for orphans of dead writers (cxi/recovery.hpp): is it in one, it is finished as written and
// counted as a duplicate; may it be in the file of a writer that is only just dying, it waits until the kernel has
// dropped that one's lock.
//
// With compression a few frames are examined ahead and their images packed by other threads (image_packer.hpp), also
// while this one waits for the disk.
//
// The end of a frame that goes into no file is written into the outcome log (cxi/outcome_log.hpp) before its slot is
// freed, so that an audit can name every frame; a dozen frames share one record.
//
// Lists and masters are made by a thread of their own (index_thread.hpp), which is waited for at a stop alone.
//
// When the disk refuses, the loop holds: it keeps its frames, takes no more (so the pool fills and its policy decides),
// says so in the log and in its participant record, and tries again every half second. One thread; everything it uses
// is its own but for the stop token.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "cxi/outcome_log.hpp"
#include "cxi/recovery.hpp"
#include "hits/event_builder.hpp"
#include "shm/consumer.hpp"
#include "writer/departure.hpp"
#include "writer/image_packer.hpp"
#include "writer/index_thread.hpp"
#include "writer/output_files.hpp"

namespace peaknet::writer {

class WriterLoop {
 public:
  // All must outlive the loop. `recovery` has looked at the folder once.
  WriterLoop(const config::Config& config, shm::Consumer& consumer, Recovery& recovery, FileNames& names,
             IndexThread& index, const PanelPlacer& placer);

  enum class Ended { stopped, instance_removed };
  // Runs until `stop`, and then as long as frames are on their way (departure.hpp). Returns with every file finished
  // (or left as an orphan, if the disk refuses) and every other frame given back.
  Ended run(std::stop_token stop);

 private:
  struct Work {
    shm::HeldFrame frame;
    bool suspect;  // may be in a file already
    // Once it was looked at and is to go into a file:
    std::optional<Event> event = {};
    std::size_t peaks_cut = 0;
    ImagePacker::Job packed = {};  // after the frame, so that it is waited for before the slot goes
  };
  struct EndedFrame {
    shm::HeldFrame frame;
    FrameEnd end;
  };
  void depart();
  void step(std::stop_token stop);
  void take();
  void settle_suspects();
  void process(std::stop_token stop);
  void examine_ahead();
  bool examine(Work& work);
  bool put_into_file(Work& work);
  void end_frames();
  void append_accounting(bool at_once, bool closing = false);
  void sync_outcome_log();
  void maintain();
  void answer_close_request();
  void follow_pool();
  void forget_orphans();
  void wait(std::stop_token stop);

  Recovery::Findings look_for_orphans();
  bool undecided(const shm::HeldFrame& frame, const Recovery::Findings& findings) const;
  std::set<EventKey> keys_in_pool() const;
  std::size_t most_unreleased() const;
  std::size_t ahead() const;
  std::size_t ready() const;  // work that is no suspect
  void collect_uncertain();
  void hold_if_troubled();
  void hold(const Error& error);
  void go_on();
  void show_state();
  void show_disk();
  void index_finished();

  const config::Config& config_;
  shm::Consumer& consumer_;
  Recovery& recovery_;
  IndexThread& index_;
  EventBuilder examiner_;
  OutputFiles output_;
  std::unique_ptr<ImagePacker> packer_;  // where images are compressed
  OutcomeLog outcome_log_;
  std::deque<Work> work_;
  std::vector<EndedFrame> ended_;              // not in the log yet
  Clock::time_point sync_at_{};                // when the log is made safe, if anything in it is not
  Clock::time_point accounting_written_at_{};  // when the instance's counters were put into it
  Clock::time_point hold_until_{};             // while the disk refuses
  std::optional<Error> held_for_;              // why; until something succeeds again
  std::set<std::string> said_of_outcome_log_;  // troubles with the outcome log that are in the log
  std::set<std::string> said_;                 // troubles with orphans that are in the log and go on
  std::int64_t holding_since_ns_ = 0;
  bool worked_ = false;            // something was written since the last trouble
  Clock::time_point settle_at_{};  // when suspects are looked at (again)
  Clock::time_point look_at_{};    // when orphans are looked for in passing
  Clock::time_point forget_at_{};
  std::mutex asleep_;  // for wait() while holding; nobody else takes it
  std::condition_variable_any wake_;
};

}  // namespace peaknet::writer
