// Participant: one attached participant of an instance, and the only code that changes state words and counters.
//
// One thread uses one Participant at a time (a program with four workers attaches four times). Producer and Consumer
// are the clients that people use; they own a Participant each.
//
// What holds after a crash at any instruction: every slot the dead one held is known by its owner field; its unfinished
// operation is in its intent record. The first who obtains the dead one's lock (recover_dead, or the next participant
// that gets the same id) completes the counters from the intent record and gives the slots back: FILLING -> FREE,
// INFERRING -> READY, WRITING -> DONE, attempts + 1, and after kMaxAttempts QUARANTINED.
//
// A forked child inherits its parent's participants, but they are its parent's: through them it changes nothing. It
// attaches for itself. Nor does a participant that was declared dead while it lives (somebody in its process closed the
// descriptor of its lock): once it has been recovered its id may be another's, so it changes nothing any more.
//
// The intent record: before an operation that changes the counters, the old and the new word and the counter's next
// value are written down; then the word is exchanged, the counter stored, the intent record emptied. Whoever recovers
// sees from the word whether the exchange took place, and stores the same counter value once more or not at all. So the
// counters are exact over kill -9.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "shm/control_segment.hpp"
#include "shm/pool.hpp"

namespace peaknet::shm {

// How a recoverer tells that the journalled exchange took place.
enum class IntentRule : std::uint32_t {
  left_old = 0,     // only the dead one could change the word: it happened if the word is no longer the old one
  reached_new = 1,  // others compete for the old word, the new one has the dead one as owner: it happened if the word
                    // is the new one
};

// What a participant has mapped of its instance. Participants of one process may share it, so that they see a slot at
// one address: devices register the memory by its address, and once.
struct Mappings {
  std::shared_ptr<ControlSegment> control_segment;
  std::shared_ptr<Pool> pool;  // null: there was none yet
  // Without `control_segment` where the instance cannot be opened: attach() then says why.
  static Mappings of(const std::string& instance);
};

class Participant {
 public:
  // Attach to a running or stopped instance. Takes the first free id, recovering what a dead holder of it left.
  // Errors: shm.*, directory.*, pool.* and member.full (255 participants are attached). Without a pool (the daemon
  // has not made one yet, or somebody removed it by hand) the participant has none until follow_epoch() finds one.
  // `mappings`: to use these while they are of the live pool, and map it anew only where they are not.
  static Result<std::unique_ptr<Participant>> attach(const std::string& instance, Role role, const std::string& label,
                                                     const Mappings& mappings = {});
  Mappings mappings() const { return {control_segment_, pool_}; }
  ~Participant();  // detach; slots still held are recovered by whoever comes next, so give them back before
  Participant(const Participant&) = delete;
  Participant& operator=(const Participant&) = delete;

  std::uint32_t id() const { return id_; }
  std::uint64_t number() const { return number_; }  // of this incarnation; never used twice by the instance
  const ControlSegment& control_segment() const { return *control_segment_; }
  ControlLayout& layout() const { return control_segment_->layout(); }
  ParticipantRecord& record() const { return layout().participants[id_]; }
  bool has_pool() const { return pool_ != nullptr; }
  Pool& pool() const { return *pool_; }
  std::shared_ptr<Pool> shared_pool() const { return pool_; }

  // Map the pool of the current epoch if that is another one than ours. False: nothing changed. Errors: pool.held,
  // while this participant still holds a slot of the pool it has (its slots must be of one pool); those of
  // ControlSegment::open_pool.
  Result<bool> follow_epoch();
  // Is our pool (still) the one that frames go through?
  bool pool_is_live() const;
  // Has the instance been taken off the machine? Then only a new attach helps. Not if somebody removed its name by hand
  // while its daemon lives: those who are attached go on.
  bool instance_removed() const;
  // Does a peaknetd have the instance? Its lock says so, not what it wrote.
  bool daemon_lives() const { return lock_.held_by_other(kOwnerByte); }
  // Can others still find the instance by its name?
  bool named() const;
  // Is this process a forked copy of the one that attached? Then nothing here has any effect.
  bool inherited() const { return lock_.inherited(); }

  // Is the id still ours? False once we were declared dead and recovered, or for a forked copy: then nothing here has
  // any effect, and only a new attach helps.
  bool registered() const;
  // Is the slot's word still the one that says it is ours? Ask before writing anything beside the word.
  bool holds(std::uint32_t slot, StateWord word) const;

  // One compare-exchange of a slot's word, ordered with every other one and with pool_is_live(). False: the word was
  // not `from`, or we are not registered; nothing happened.
  bool exchange(std::uint32_t slot, StateWord from, StateWord to);
  // The same, and `counter` + 1 if it happened; exact over a crash.
  bool exchange_counted(std::uint32_t slot, StateWord from, StateWord to, Counter counter, IntentRule rule);

  // Count something that is not in the books' equation.
  void count(Counter counter, std::uint64_t by = 1);
  // So many messages more (or fewer) have been received from their senders and are not in the pool yet: if this process
  // is killed, whoever recovers its slots counts them as messages_lost. Any thread of the process may call it.
  void add_unhandled_messages(std::int64_t more);
  // Put an error on the control segment, where peaknetctl errors finds it also when this process has gone. `by`: it
  // happened so many times. Any thread of the process may call it.
  void record_error(const Error& error, std::uint64_t by = 1);
  void time(Stage stage, std::chrono::nanoseconds span) { layout().stages[static_cast<std::size_t>(stage)].add(span); }

  std::uint64_t next_sequence() { return layout().next_sequence.fetch_add(1, std::memory_order_relaxed); }

  // Give back what dead participants held, in whatever pool; returns the number of slots. Cheap when nobody died (one
  // system call per attached participant). Anybody may call it at any time. peaknetd calls it once more before it
  // unlinks a drained pool: a dead one's intent record is read against the pool it was in.
  std::uint32_t recover_dead();

  // Free the slots in QUARANTINED, counting them as failed. peaknetd alone. Returns their descriptors, for the log.
  std::vector<FrameDescriptor> clear_quarantine();

  // Up to `most` slots in `state` with sequence below `below`, smallest sequence first, and none before an older one of
  // the same producer. It ends whatever others do to the words meanwhile; the order is promised among those who keep to
  // the invariants.
  struct Candidate {
    std::uint32_t slot;
    StateWord word;
  };
  std::vector<Candidate> oldest(SlotState state, std::size_t most, std::uint64_t below) const;

  // Move the frame a slot holds back to where it was taken from (READY or DONE), with so many attempts. The caller owns
  // it.
  bool give_back(std::uint32_t slot, StateWord held, std::uint32_t attempts);

 private:
  Participant(std::shared_ptr<ControlSegment> control_segment, LockFile lock, std::uint32_t id);
  bool holds_any() const;
  Status recover(std::uint32_t dead);
  void count_lost_messages(ParticipantRecord& dead);
  static void finish_intent(ParticipantRecord& dead, const Pool* pool);
  static bool exchange_in(Pool& pool, std::uint32_t slot, StateWord from, StateWord to);
  std::shared_ptr<ControlSegment> control_segment_;
  LockFile lock_;
  std::uint32_t id_;
  std::uint64_t number_ = 0;
  std::shared_ptr<Pool> pool_;
  std::mutex note_mutex_;
};

}  // namespace peaknet::shm
