// The protocol of the slots as a model that can be explored to its end: two producers, a device, a writer, a few slots.
//
// What shm/participant.cpp, producer.cpp, consumer.cpp and event_count.cpp do is written down here once more, one
// action per access to shared memory, on the real StateWord. Any participant may die before any action, as often as
// `deaths` allows, and start again under its id; whoever is idle may recover the dead, and may die while it does.
// Sleepers are woken by notifications alone, unless one has died who owed a notification, or had been woken in the
// place of others (then their time-out helps them). Left out: epochs, pixels, times, the counters outside the counters.
//
// check() holds the promises up to every state: each committed frame is in exactly one slot or ended exactly once,
// whole and described; the frame accounting balances whenever no intent record is open; nobody who rests owns a slot;
// attempts are the number of owners that died. What the explorer adds: the end (everything drained, all slots free) is
// reachable from every state.
//
// A Mutation breaks one rule, so that the tests can show that the explorer sees it.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "shm/state_word.hpp"

namespace peaknet::model {

enum class Mutation {
  none,
  sleep_without_looking_again,
  wake_before_clearing,
  wake_one_forget_the_rest,
  commit_without_notifying,
  describe_after_commit,
  exchange_without_intent,
  count_before_exchange,
  drop_by_the_rule_of_owners,
  owner_written_after_claim,
  reuse_id_without_recovery,
  recover_without_proof_of_death,
  recovery_frees_results,
  recovery_forgets_attempts,
  take_after_one_look,
};
const char* name(Mutation mutation);

struct Settings {
  int slots = 2;
  std::array<int, 2> frames{1, 1};  // that each of the producers makes
  int ready_at_start = 0;           // the first frame of the first so many producers waits already
  std::array<bool, 2> drops{};      // policy drop_oldest; else block
  int deaths = 1;                   // of all participants together
  bool producers_recover =
      false;  // those who rest recover the dead, too; else the device, the writer, and who starts again
  Mutation mutation = Mutation::none;
};

inline constexpr int kSlots = 3, kActors = 4, kFrames = 8;
enum : std::uint8_t { kProducerA, kProducerB, kDevice, kWriter };

using Word = std::uint32_t;  // a packed StateWord; sequences stay small

struct IntentRecord {
  Word old_word, new_word;
  std::uint8_t slot, rule, counter, value;
};

struct Actor {
  std::uint8_t at;  // the next action
  std::uint8_t alive, attached;
  std::uint8_t deed;  // which exchange of a word it is doing
  std::uint8_t i, slot, target, event, after;
  std::uint8_t tickets;  // events that nobody has notified since it prepared to sleep
  std::uint8_t chosen;   // it was woken, and others who sleep were not; until it has a slot or prepares to sleep again
  std::uint8_t made;     // frames begun
  std::uint8_t frame;    // that it fills
  Word word, to;         // what it exchanges; `word` also what it holds
  Word best, former;     // of this look at the slots, and of the one before
  IntentRecord intent;
  std::array<std::uint8_t, 5> counters;  // exact ones: see Counter in protocol.cpp
};

struct Slot {
  Word word;
  std::uint8_t described, pixels, result;  // which frame is described here, whose pixels, whose result
};

struct State {
  std::array<Slot, kSlots> slots;
  std::array<Actor, kActors> actors;
  std::array<std::uint8_t, kActors> locked_by;  // who recovers that id, + 1
  std::uint8_t armed;                           // events somebody may sleep on
  std::uint8_t next_sequence;
  std::uint8_t deaths_left;
  std::uint8_t wake_owed;  // one who had to notify, or was woken alone, died before it did what it was to do
  // What nobody in the system sees: the truth about each frame, as sets of bits.
  std::uint8_t committed, ended, taken_once;
  std::int8_t balance;             // committed - outcomes, of the counters that nobody is changing (theirs are 0 then)
  std::int8_t inferred_uncounted;  // the same for results, less those that were published
  std::array<std::uint8_t, kFrames> owners_lost;
};

// The initial state, with every byte set.
State initial(const Settings& settings);

struct Action {
  std::uint8_t actor, kind;  // kind: see protocol.cpp
};
// The actions that are possible now; where one of them touches nothing that others see, that actor's alone (the others'
// can as well come later).
void actions(const Settings& settings, const State& state, std::vector<Action>& out);
// What the action does. `problem`: set if it breaks a promise.
void apply(const Settings& settings, State& state, Action action, const char*& problem);
// The first promise that is broken, or nullptr.
const char* check(const Settings& settings, const State& state);
bool is_end(const Settings& settings, const State& state);
// The same state in one form: sequences renamed by their order, counters put together, what is over forgotten. None of
// it can be told from outside.
void normalise(State& state);

std::string describe(const State& state, Action action);
std::string describe(const Settings& settings, const State& state);

}  // namespace peaknet::model
