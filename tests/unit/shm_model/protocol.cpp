#include "tests/unit/shm_model/protocol.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace peaknet::model {
namespace {

using shm::SlotState;
using shm::StateWord;

enum At : std::uint8_t {
  kRest,  // between two deeds
  // a producer
  kSequence,
  kLookForFree,
  kClaim,
  kOwn,
  kFill,
  kDescribe,
  // searching the oldest (also the consumers, and whoever drops)
  kSearch,
  // an exchange that the counters know
  kWriteIntent,
  kOpenIntent,
  kExchange,
  kCount,
  kCloseIntent,
  kDescribeLate,
  // a consumer
  kTake,
  kReadDescription,
  kInfer,
  kPutOnDisk,
  // the quarantine
  kLookForQuarantined,
  kTakeQuarantined,
  // notifying
  kNotify,
  kWake,
  kNotifyOne,
  kWakeOne,
  // sleeping
  kPrepare,
  kLookAgain,
  kFallAsleep,
  kAsleep,
  // recovering `target`
  kReadIntent,
  kFinishIntent,
  kClearIntent,
  kLookForHeld,
  kGiveBack,
  kSignOff,
};

// kStepOtherwise: the kernel chooses the other of two sleepers. kRecoverFirst + id.
enum Kind : std::uint8_t { kStep, kStepOtherwise, kDie, kRestart, kTimeOut, kClear, kRecoverFirst };
enum Deed : std::uint8_t { kNothing, kCommit, kDrop, kPublish, kFinish, kClearing };
enum Counter : std::uint8_t { kCommitted, kDropped, kWritten, kQuarantined, kInferred };
enum Event : std::uint8_t { kReadyEvent = 1, kDoneEvent = 2, kFreeEvent = 4 };
enum Rule : std::uint8_t { kLeftOld, kReachedNew };

Word pack(std::uint64_t sequence, std::uint32_t attempts, std::uint32_t owner, SlotState state) {
  return static_cast<Word>(StateWord{sequence, attempts, owner, state}.pack());
}
StateWord unpack(Word word) { return StateWord::unpack(word); }
Word with_sequence(Word word, std::uint64_t sequence) {
  const StateWord w = unpack(word);
  return pack(sequence, w.attempts, w.owner, w.state);
}
std::uint32_t id_of(std::size_t actor) { return static_cast<std::uint32_t>(actor + 1); }
std::uint8_t bit(int frame) { return static_cast<std::uint8_t>(1U << (frame - 1)); }
bool exists(SlotState state) { return state != SlotState::free && state != SlotState::filling; }

bool producer(std::size_t actor) { return actor <= kProducerB; }
std::uint8_t frame_of(std::size_t actor, int n) {
  return static_cast<std::uint8_t>(actor * 4 + static_cast<std::size_t>(n) + 1);
}
SlotState waiting_for(std::size_t actor) { return actor == kWriter ? SlotState::done : SlotState::ready; }
std::uint8_t own_event(const Settings& settings, std::size_t actor) {
  if (actor == kDevice) return kReadyEvent;
  if (actor == kWriter) return kDoneEvent;
  return settings.drops.at(actor) ? kFreeEvent | kReadyEvent : kFreeEvent;
}

// Touches only what nobody else looks at while the actor lives: its own record, that of a dead one whose lock it has,
// and the bytes of a slot that it owns. (The last is not so where a mutation gives a slot two owners.)
bool private_step(const Settings& settings, std::uint8_t at) {
  const bool two_owners = settings.mutation == Mutation::owner_written_after_claim ||
                          settings.mutation == Mutation::reuse_id_without_recovery ||
                          settings.mutation == Mutation::recover_without_proof_of_death;
  switch (at) {
    case kWriteIntent:
    case kOpenIntent:
    case kCount:
    case kCloseIntent:
    case kReadIntent:
    case kClearIntent:
      return true;
    case kFill:
    case kDescribe:
    case kReadDescription:
    case kInfer:
    case kPutOnDisk:
      return !two_owners;
    default:
      return false;
  }
}
// Has the word been exchanged, and is the wake-up still to come?
bool owes_wake(const Actor& actor) {
  return actor.at == kCount || actor.at == kCloseIntent || actor.at == kNotify || actor.at == kWake ||
         actor.at == kNotifyOne || actor.at == kWakeOne || actor.at == kDescribeLate || actor.chosen != 0;
}

bool in_mid_operation(const Actor& actor) {
  return (actor.alive && actor.at >= kWriteIntent && actor.at <= kCloseIntent) || actor.intent.old_word != 0;
}
int balance_of(const Actor& actor) {
  return actor.counters[kCommitted] - actor.counters[kDropped] - actor.counters[kWritten] -
         actor.counters[kQuarantined];
}

void rest(Actor& actor) {
  actor.at = kRest;
  actor.deed = actor.i = actor.slot = actor.target = actor.event = actor.after = actor.tickets = actor.frame = 0;
  actor.chosen = 0;
  actor.word = actor.to = actor.best = actor.former = 0;
}

void search(Actor& actor) {
  actor.at = kSearch;
  actor.i = 0;
  actor.best = actor.former = 0;
}

void notify(const Settings& settings, Actor& actor, std::uint8_t event, std::uint8_t after) {
  actor.event = event;
  actor.after = after;
  actor.at = settings.mutation == Mutation::wake_before_clearing ? kWake : kNotify;
}

// It sleeps no more: a producer claims on, a consumer looks again.
void wake_up(State& state, std::size_t self) {
  Actor& actor = state.actors[self];
  actor.tickets = actor.event = 0;
  actor.at = producer(self) ? kSequence : kRest;
}

void wake(State& state, std::uint8_t event) {
  for (std::size_t other = 0; other < kActors; ++other) {
    const Actor& actor = state.actors[other];
    if (actor.alive && actor.at == kAsleep && (actor.event & event) != 0) wake_up(state, other);
  }
}

// Who sleeps on the event: the first of them, or `last`. kActors: nobody.
std::size_t sleeper(const State& state, std::uint8_t event, bool last) {
  std::size_t found = kActors;
  for (std::size_t other = 0; other < kActors; ++other) {
    const Actor& actor = state.actors[other];
    if (actor.alive && actor.at == kAsleep && (actor.event & event) != 0 && (last || found == kActors)) found = other;
  }
  return found;
}

bool exchange(State& state, std::uint8_t slot, Word from, Word to) {
  if (state.slots[slot].word != from) return false;
  state.slots[slot].word = to;
  return true;
}

void begin_exchange(const Settings& settings, Actor& actor, Deed deed, Word to) {
  actor.deed = deed;
  actor.to = to;
  actor.at = settings.mutation == Mutation::exchange_without_intent ? kExchange : kWriteIntent;
}

Counter counter_of(std::uint8_t deed) {
  switch (deed) {
    case kDrop:
      return kDropped;
    case kPublish:
      return kInferred;
    case kFinish:
      return kWritten;
    case kClearing:
      return kQuarantined;
    default:
      return kCommitted;
  }
}

// The exchange took place: what that means for the frame.
void know(State& state, const Actor& actor, std::uint8_t described, const char*& problem) {
  const auto end = [&](std::uint8_t frame) {
    if ((state.ended & bit(frame)) != 0) problem = "a frame was ended twice";
    state.ended |= bit(frame);
  };
  switch (actor.deed) {
    case kCommit:
      if ((state.committed & bit(actor.frame)) != 0) problem = "a frame was committed twice";
      state.committed |= bit(actor.frame);
      break;
    case kPublish:
      --state.inferred_uncounted;
      break;
    case kDrop:
    case kFinish:
    case kClearing:
      end(described);
      break;
    default:
      break;
  }
}

void after_exchange(const Settings& settings, Actor& actor) {
  switch (actor.deed) {
    case kDrop:
      actor.at = kFill;
      actor.word = actor.to;
      actor.to = actor.best = actor.former = 0;
      break;
    case kCommit:
      if (settings.mutation == Mutation::describe_after_commit)
        actor.at = kDescribeLate;
      else if (settings.mutation == Mutation::commit_without_notifying)
        rest(actor);
      else
        notify(settings, actor, kReadyEvent, kRest);
      break;
    case kPublish:
      notify(settings, actor, kDoneEvent, kRest);
      break;
    case kFinish:
      actor.event = kFreeEvent;
      actor.after = kRest;
      actor.at = kNotifyOne;
      break;
    default:
      notify(settings, actor, kFreeEvent, kRest);
      break;
  }
}

// One look at slot i of the search for the oldest that waits; acts when two looks agree, as Participant::oldest.
void look(const Settings& settings, State& state, std::size_t self) {
  Actor& actor = state.actors[self];
  const StateWord word = unpack(state.slots[actor.i].word);
  if (word.state == waiting_for(self) && (actor.best == 0 || word.sequence < unpack(actor.best).sequence)) {
    actor.best = state.slots[actor.i].word;
    actor.slot = actor.i;
  }
  if (++actor.i < settings.slots) return;
  actor.i = 0;
  const bool agreed = actor.best == 0 || settings.mutation == Mutation::take_after_one_look ||
                      (actor.former != 0 && unpack(actor.best).sequence == unpack(actor.former).sequence);
  if (!agreed) {
    actor.former = std::exchange(actor.best, 0);
    return;
  }
  const Word found = std::exchange(actor.best, 0);
  actor.former = 0;
  if (found == 0) {
    actor.at = kPrepare;
  } else if (producer(self)) {
    const Word mine = actor.word;
    actor.word = found;
    begin_exchange(settings, actor, kDrop, mine);
  } else {
    actor.word = found;
    actor.at = kTake;
  }
}

void recover_next(const Settings& settings, State& state, std::size_t self) {
  Actor& actor = state.actors[self];
  if (++actor.i < settings.slots) {
    actor.at = kLookForHeld;
  } else {
    actor.at = kSignOff;
  }
}

// What comes behind telling the sleepers.
void after_notice(const Settings& settings, State& state, std::size_t self) {
  Actor& actor = state.actors[self];
  if (actor.after == kRest) return rest(actor);
  actor.event = 0;
  recover_next(settings, state, self);
}

void step(const Settings& settings, State& state, std::size_t self, bool otherwise, const char*& problem) {
  Actor& actor = state.actors[self];
  const auto id = id_of(self);
  switch (actor.at) {
    case kRest:
      if (!producer(self)) {
        search(actor);
      } else {
        actor.frame = frame_of(self, actor.made++);
        actor.at = kSequence;
      }
      break;

    case kSequence:
      actor.word = pack(state.next_sequence++, 0, id, SlotState::filling);
      actor.at = kLookForFree;
      actor.i = 0;
      break;
    case kLookForFree: {
      const Word word = state.slots[actor.i].word;
      if (unpack(word).state == SlotState::free) {
        actor.slot = actor.i;
        actor.best = word;
        actor.at = kClaim;
      } else if (++actor.i == settings.slots) {
        actor.i = 0;
        if (settings.drops.at(self))
          search(actor);
        else
          actor.at = kPrepare;
      }
      break;
    }
    case kClaim: {
      const bool late = settings.mutation == Mutation::owner_written_after_claim;
      Word mine = actor.word;
      if (late) mine = pack(unpack(mine).sequence, 0, 0, SlotState::filling);
      if (exchange(state, actor.slot, actor.best, mine)) {
        actor.at = late ? kOwn : kFill;
        actor.i = 0;
      } else if (++actor.i == settings.slots) {
        actor.i = 0;
        if (settings.drops.at(self))
          search(actor);
        else
          actor.at = kPrepare;
      } else {
        actor.at = kLookForFree;
      }
      actor.best = 0;
      break;
    }
    case kOwn:
      state.slots[actor.slot].word = actor.word;
      actor.at = kFill;
      break;
    case kFill:
      actor.chosen = 0;
      state.slots[actor.slot].pixels = actor.frame;
      actor.at = kDescribe;
      if (settings.mutation == Mutation::describe_after_commit)
        begin_exchange(settings, actor, kCommit, pack(unpack(actor.word).sequence, 0, 0, SlotState::ready));
      break;
    case kDescribe:
      state.slots[actor.slot].described = actor.frame;
      begin_exchange(settings, actor, kCommit, pack(unpack(actor.word).sequence, 0, 0, SlotState::ready));
      break;
    case kDescribeLate:
      state.slots[actor.slot].described = actor.frame;
      notify(settings, actor, kReadyEvent, kRest);
      break;

    case kSearch:
      look(settings, state, self);
      break;

    case kWriteIntent:
      actor.intent.new_word = actor.to;
      actor.intent.slot = actor.slot;
      actor.intent.rule =
          actor.deed == kDrop && settings.mutation != Mutation::drop_by_the_rule_of_owners ? kReachedNew : kLeftOld;
      actor.intent.counter = counter_of(actor.deed);
      actor.intent.value = static_cast<std::uint8_t>(actor.counters[counter_of(actor.deed)] + 1);
      actor.at = kOpenIntent;
      break;
    case kOpenIntent:
      actor.intent.old_word = actor.word;
      actor.at = kExchange;
      if (settings.mutation == Mutation::count_before_exchange) {
        // The counter runs ahead of the word and the intent record says nothing of it.
        actor.intent = {};
        ++actor.counters[counter_of(actor.deed)];
      }
      break;
    case kExchange: {
      const std::uint8_t described = state.slots[actor.slot].described;
      if (exchange(state, actor.slot, actor.word, actor.to)) {
        know(state, actor, described, problem);
        actor.at = kCount;
      } else {
        if (actor.deed != kDrop) problem = "an owner lost its slot";
        if (settings.mutation == Mutation::count_before_exchange) --actor.counters[counter_of(actor.deed)];
        actor.intent = {};
        actor.word = std::exchange(actor.to, 0);
        search(actor);
      }
      break;
    }
    case kCount:
      if (settings.mutation != Mutation::count_before_exchange) ++actor.counters[counter_of(actor.deed)];
      actor.at = kCloseIntent;
      break;
    case kCloseIntent:
      actor.intent = {};
      after_exchange(settings, actor);
      break;

    case kTake: {
      StateWord held = unpack(actor.word);
      held.owner = id;
      held.state = self == kDevice ? SlotState::inferring : SlotState::writing;
      const auto mine = static_cast<Word>(held.pack());
      if (!exchange(state, actor.slot, actor.word, mine)) {
        rest(actor);
        break;
      }
      const std::uint8_t frame = state.slots[actor.slot].described;
      if (self == kDevice && (state.taken_once & bit(frame)) == 0) {
        for (int older = (frame - 1) / 4 * 4 + 1; older < frame; ++older) {
          const bool waits = (state.committed & bit(older)) != 0 && (state.ended & bit(older)) == 0 &&
                             (state.taken_once & bit(older)) == 0;
          if (waits) problem = "a producer's younger frame was taken before its older one";
        }
        state.taken_once |= bit(frame);
      }
      actor.word = mine;
      actor.at = kReadDescription;
      break;
    }
    case kReadDescription:
      if (state.slots[actor.slot].described != state.slots[actor.slot].pixels) problem = "a consumer saw a torn frame";
      actor.at = self == kDevice ? kInfer : kPutOnDisk;
      break;
    case kInfer:
      state.slots[actor.slot].result = state.slots[actor.slot].described;
      begin_exchange(settings, actor, kPublish,
                     pack(unpack(actor.word).sequence, unpack(actor.word).attempts, 0, SlotState::done));
      break;
    case kPutOnDisk:
      begin_exchange(settings, actor, kFinish, pack(unpack(actor.word).sequence, 0, 0, SlotState::free));
      break;

    case kLookForQuarantined:
      if (unpack(state.slots[actor.i].word).state == SlotState::quarantined) {
        actor.slot = actor.i;
        actor.word = state.slots[actor.i].word;
        actor.at = kTakeQuarantined;
      } else if (++actor.i == settings.slots) {
        rest(actor);
      }
      break;
    case kTakeQuarantined: {
      const StateWord word = unpack(actor.word);
      const Word mine = pack(word.sequence, word.attempts, id, SlotState::writing);
      if (!exchange(state, actor.slot, actor.word, mine)) {
        rest(actor);
        break;
      }
      actor.word = mine;
      begin_exchange(settings, actor, kClearing, pack(word.sequence, 0, 0, SlotState::free));
      break;
    }

    case kNotify: {
      const bool somebody = (state.armed & actor.event) != 0;
      state.armed = static_cast<std::uint8_t>(state.armed & ~actor.event);
      for (Actor& other : state.actors) other.tickets = static_cast<std::uint8_t>(other.tickets & ~actor.event);
      if (somebody && settings.mutation != Mutation::wake_before_clearing) {
        actor.at = kWake;
      } else {
        after_notice(settings, state, self);
      }
      break;
    }
    case kWake:
      wake(state, actor.event);
      if (settings.mutation == Mutation::wake_before_clearing) {
        actor.at = kNotify;
      } else {
        after_notice(settings, state, self);
      }
      break;

    case kNotifyOne:
      for (Actor& other : state.actors) other.tickets = static_cast<std::uint8_t>(other.tickets & ~actor.event);
      if ((state.armed & actor.event) != 0) {
        if (settings.mutation == Mutation::wake_one_forget_the_rest)
          state.armed = static_cast<std::uint8_t>(state.armed & ~actor.event);
        actor.at = kWakeOne;
      } else {
        after_notice(settings, state, self);
      }
      break;
    case kWakeOne: {
      const std::size_t chosen = sleeper(state, actor.event, otherwise);
      if (chosen < kActors) {
        wake_up(state, chosen);
        state.actors[chosen].chosen = 1;
        after_notice(settings, state, self);
      } else {
        actor.at = kNotify;
      }
      break;
    }

    case kPrepare:
      actor.chosen = 0;
      actor.event = own_event(settings, self);
      actor.tickets = actor.event;
      state.armed |= actor.event;
      actor.i = 0;
      actor.word = 0;
      actor.slot = 0;
      actor.at = settings.mutation == Mutation::sleep_without_looking_again ? kFallAsleep : kLookAgain;
      break;
    case kLookAgain: {
      const SlotState found = unpack(state.slots[actor.i].word).state;
      const bool there = producer(self)
                             ? found == SlotState::free || (settings.drops.at(self) && found == SlotState::ready)
                             : found == waiting_for(self);
      if (there || ++actor.i == settings.slots) {
        actor.i = 0;
        actor.at = kFallAsleep;
        if (there) wake_up(state, self);
      }
      break;
    }
    case kFallAsleep:
      if (actor.tickets == actor.event)
        actor.at = kAsleep;
      else
        wake_up(state, self);
      break;

    case kReadIntent: {
      const IntentRecord& intent = state.actors[actor.target].intent;
      actor.at = intent.old_word != 0 ? kFinishIntent : kLookForHeld;
      break;
    }
    case kFinishIntent: {
      Actor& dead = state.actors[actor.target];
      const Word word = state.slots[dead.intent.slot].word;
      const bool happened =
          dead.intent.rule == kReachedNew ? word == dead.intent.new_word : word != dead.intent.old_word;
      if (happened) dead.counters.at(dead.intent.counter) = dead.intent.value;
      actor.at = kClearIntent;
      break;
    }
    case kClearIntent:
      state.actors[actor.target].intent = {};
      actor.at = kLookForHeld;
      break;
    case kLookForHeld: {
      const StateWord word = unpack(state.slots[actor.i].word);
      if (word.held() && word.owner == id_of(actor.target)) {
        actor.word = state.slots[actor.i].word;
        actor.at = kGiveBack;
      } else {
        recover_next(settings, state, self);
      }
      break;
    }
    case kGiveBack: {
      const StateWord word = unpack(actor.word);
      StateWord back = word;
      back.owner = 0;
      if (word.state == SlotState::filling) {
        back.state = SlotState::free;
        back.attempts = 0;
      } else {
        if (settings.mutation != Mutation::recovery_forgets_attempts)
          back.attempts = std::min(word.attempts + 1, shm::kMaxAttempts);
        back.state = back.attempts >= shm::kMaxAttempts   ? SlotState::quarantined
                     : word.state == SlotState::inferring ? SlotState::ready
                                                          : SlotState::done;
        if (settings.mutation == Mutation::recovery_frees_results && word.state == SlotState::writing)
          back.state = SlotState::free;
      }
      const bool given = exchange(state, actor.i, actor.word, static_cast<Word>(back.pack()));
      actor.word = 0;
      if (given && word.state != SlotState::filling) {
        auto& lost = state.owners_lost[state.slots[actor.i].described - 1U];
        lost = static_cast<std::uint8_t>(std::min<std::uint32_t>(lost + 1U, shm::kMaxAttempts));
      }
      if (given && back.state != SlotState::quarantined) {
        const std::uint8_t event = back.state == SlotState::free    ? kFreeEvent
                                   : back.state == SlotState::ready ? kReadyEvent
                                                                    : kDoneEvent;
        notify(settings, actor, event, kLookForHeld);
      } else {
        recover_next(settings, state, self);
      }
      break;
    }
    case kSignOff: {
      const std::uint8_t target = actor.target;
      if (target != self) {
        state.actors[target].attached = 0;
        state.locked_by[target] = 0;
      }
      rest(actor);
      break;
    }
    default:
      problem = "the model is wrong: an action that is not there";
  }
}

void die(State& state, std::size_t self) {
  Actor& actor = state.actors[self];
  if (owes_wake(actor)) state.wake_owed = 1;
  rest(actor);
  if (actor.intent.old_word == 0) actor.intent = {};  // not opened: nobody will read it
  actor.alive = 0;
  --state.deaths_left;
  for (auto& lock : state.locked_by) {
    if (lock == id_of(self)) lock = 0;  // the kernel's work
  }
}

// Is there a dead one whom this actor could recover now?
bool recoverable(const Settings& settings, const State& state, std::size_t self, std::size_t target) {
  const Actor& other = state.actors[target];
  if (target == self || !other.attached || state.locked_by[target] != 0) return false;
  return !other.alive || (settings.mutation == Mutation::recover_without_proof_of_death && other.alive &&
                          unpack(other.word).held() && other.at == kFill);
}

void start_recovery(State& state, std::size_t self, std::size_t target) {
  Actor& actor = state.actors[self];
  rest(actor);
  actor.target = static_cast<std::uint8_t>(target);
  actor.at = kReadIntent;
  if (target != self) state.locked_by[target] = static_cast<std::uint8_t>(id_of(self));
}

}  // namespace

const char* name(Mutation mutation) {
  constexpr std::array<const char*, 15> kNames = {"none",
                                                  "sleep_without_looking_again",
                                                  "wake_before_clearing",
                                                  "wake_one_forget_the_rest",
                                                  "commit_without_notifying",
                                                  "describe_after_commit",
                                                  "exchange_without_intent",
                                                  "count_before_exchange",
                                                  "drop_by_the_rule_of_owners",
                                                  "owner_written_after_claim",
                                                  "reuse_id_without_recovery",
                                                  "recover_without_proof_of_death",
                                                  "recovery_frees_results",
                                                  "recovery_forgets_attempts",
                                                  "take_after_one_look"};
  return kNames.at(static_cast<std::size_t>(mutation));
}

State initial(const Settings& settings) {
  State state;
  std::memset(static_cast<void*>(&state), 0, sizeof state);
  for (Actor& actor : state.actors) actor.alive = actor.attached = 1;
  for (std::uint8_t i = 0; i < kSlots; ++i) state.slots[i].word = pack(0, 0, 0, SlotState::free);
  state.next_sequence = 1;
  state.deaths_left = static_cast<std::uint8_t>(settings.deaths);
  for (std::size_t i = 0; i < static_cast<std::size_t>(settings.ready_at_start); ++i) {
    const std::uint8_t frame = frame_of(i, state.actors[i].made++);
    state.slots[i] = {pack(state.next_sequence++, 0, 0, SlotState::ready), frame, frame, 0};
    state.committed |= bit(frame);
    ++state.balance;
  }
  return state;
}

void actions(const Settings& settings, const State& state, std::vector<Action>& out) {
  out.clear();
  for (std::uint8_t self = 0; self < kActors; ++self) {
    const Actor& actor = state.actors[self];
    if (!actor.alive || !private_step(settings, actor.at)) continue;
    out.push_back({self, kStep});
    if (state.deaths_left > 0) out.push_back({self, kDie});
    return;
  }
  for (std::uint8_t self = 0; self < kActors; ++self) {
    const Actor& actor = state.actors[self];
    if (!actor.alive) {
      if (state.locked_by[self] == 0) out.push_back({self, kRestart});
      continue;
    }
    const bool rests = actor.at == kRest || actor.at == kAsleep;
    const bool has_more = !producer(self) || actor.made < settings.frames.at(self);
    if (actor.at != kAsleep && (actor.at != kRest || has_more)) out.push_back({self, kStep});
    if (actor.at == kWakeOne && sleeper(state, actor.event, false) != sleeper(state, actor.event, true))
      out.push_back({self, kStepOtherwise});
    if (actor.at == kAsleep && state.wake_owed) out.push_back({self, kTimeOut});
    if (state.deaths_left > 0) out.push_back({self, kDie});
    if (!rests) continue;
    for (std::uint8_t target = 0; target < kActors; ++target) {
      // A producer in its claim recovers when its wait is over; then it claims on, which start_recovery forgets.
      if (producer(self) && (actor.at == kAsleep || !settings.producers_recover)) continue;
      if (recoverable(settings, state, self, target))
        out.push_back({self, static_cast<std::uint8_t>(kRecoverFirst + target)});
    }
    if (self == kDevice) {
      for (int i = 0; i < settings.slots; ++i) {
        if (unpack(state.slots[static_cast<std::size_t>(i)].word).state == SlotState::quarantined) {
          out.push_back({self, kClear});
          break;
        }
      }
    }
  }
}

void apply(const Settings& settings, State& state, Action action, const char*& problem) {
  Actor& actor = state.actors[action.actor];
  switch (action.kind) {
    case kStep:
      step(settings, state, action.actor, false, problem);
      break;
    case kStepOtherwise:
      step(settings, state, action.actor, true, problem);
      break;
    case kDie:
      die(state, action.actor);
      break;
    case kRestart:
      actor.alive = 1;
      if (actor.attached && settings.mutation != Mutation::reuse_id_without_recovery) {
        start_recovery(state, action.actor, action.actor);
      } else {
        actor.attached = 1;
        rest(actor);
      }
      break;
    case kTimeOut:
      wake_up(state, action.actor);
      break;
    case kClear:
      rest(actor);
      actor.at = kLookForQuarantined;
      break;
    default:
      start_recovery(state, action.actor, static_cast<std::size_t>(action.kind - kRecoverFirst));
      break;
  }
}

const char* check(const Settings& settings, const State& state) {
  std::array<int, kFrames> places{};
  int in_flight = 0;
  for (std::size_t i = 0; i < static_cast<std::size_t>(settings.slots); ++i) {
    const Slot& slot = state.slots[i];
    const StateWord word = unpack(slot.word);
    if (word.held()) {
      if (word.owner == 0) continue;
      const Actor& owner = state.actors[word.owner - 1];
      if (owner.alive && (owner.at == kRest || owner.at == kAsleep)) return "a slot is lost: its owner rests";
      if (!owner.alive && !owner.attached) return "a slot is lost: its owner was recovered without it";
    }
    if (!exists(word.state)) continue;
    ++in_flight;
    if (slot.described == 0 || slot.described != slot.pixels) return "a committed frame is torn";
    ++places.at(slot.described - 1U);
    const bool has_result = word.state == SlotState::done || (word.state == SlotState::writing && word.attempts < 3);
    if (has_result && slot.result != slot.described) return "a frame waits for a writer without its result";
    if (word.attempts != state.owners_lost.at(slot.described - 1U)) return "attempts are not the owners that died";
    if ((word.state == SlotState::quarantined) != (word.attempts >= shm::kMaxAttempts && !word.held()))
      return "quarantine without three deaths, or three deaths without it";
  }
  for (int frame = 1; frame <= kFrames; ++frame) {
    const int committed = (state.committed & bit(frame)) != 0 ? 1 : 0;
    const int ended = (state.ended & bit(frame)) != 0 ? 1 : 0;
    const int found = places.at(static_cast<std::size_t>(frame - 1)) + ended;
    if (found < committed) return "a committed frame is lost";
    if (found > committed) return "a frame is there twice, or was never committed";
  }
  int balance = state.balance;
  int inferred = state.inferred_uncounted;
  for (const Actor& actor : state.actors) {
    if (in_mid_operation(actor)) return nullptr;
    balance += balance_of(actor);
    inferred += actor.counters[kInferred];
  }
  if (balance != in_flight) return "the counters do not balance";
  if (inferred != 0) return "results were counted wrongly";
  return nullptr;
}

bool is_end(const Settings& settings, const State& state) {
  for (std::size_t i = 0; i < static_cast<std::size_t>(settings.slots); ++i) {
    if (unpack(state.slots[i].word).state != SlotState::free) return false;
  }
  for (std::size_t self = 0; self < kActors; ++self) {
    const Actor& actor = state.actors[self];
    if (!actor.alive || actor.intent.old_word != 0) return false;
    if (producer(self) ? actor.at != kRest || actor.made < settings.frames.at(self) : actor.at != kAsleep) return false;
  }
  return state.committed == state.ended;
}

void normalise(State& state) {
  for (auto& slot : state.slots) {
    if (unpack(slot.word).state == SlotState::free) slot.described = slot.pixels = slot.result = 0;
  }
  state.taken_once |= state.ended;
  for (int frame = 1; frame <= kFrames; ++frame) {
    if ((state.ended & bit(frame)) != 0) state.owners_lost.at(static_cast<std::size_t>(frame - 1)) = 0;
  }
  for (auto& actor : state.actors) {
    if (in_mid_operation(actor)) continue;
    state.balance = static_cast<std::int8_t>(state.balance + balance_of(actor));
    state.inferred_uncounted = static_cast<std::int8_t>(state.inferred_uncounted + actor.counters[kInferred]);
    actor.counters = {};
  }
  std::array<std::uint64_t, kSlots + 6 * kActors + 1> used{};
  std::size_t count = 0;
  std::array<Word*, kSlots + 6 * kActors> words{};
  std::size_t n = 0;
  for (auto& slot : state.slots) words[n++] = &slot.word;
  for (auto& actor : state.actors) {
    for (Word* word :
         {&actor.word, &actor.to, &actor.best, &actor.former, &actor.intent.old_word, &actor.intent.new_word}) {
      if (*word != 0) words[n++] = word;
    }
  }
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint64_t sequence = *words[i] >> 20;
    if (sequence != 0 && std::find(used.begin(), used.begin() + static_cast<std::ptrdiff_t>(count), sequence) ==
                             used.begin() + static_cast<std::ptrdiff_t>(count))
      used[count++] = sequence;
  }
  std::sort(used.begin(), used.begin() + static_cast<std::ptrdiff_t>(count));
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint64_t sequence = *words[i] >> 20;
    if (sequence == 0) continue;
    const auto* rank = std::find(used.begin(), used.begin() + static_cast<std::ptrdiff_t>(count), sequence);
    *words[i] = with_sequence(*words[i], static_cast<std::uint64_t>(rank - used.begin()) + 1);
  }
  state.next_sequence = static_cast<std::uint8_t>(count + 1);
}

std::string describe(const State& state, Action action) {
  constexpr std::array<const char*, 34> kDeeds = {"begins",
                                                  "draws a sequence",
                                                  "looks for a free slot",
                                                  "claims",
                                                  "writes its owner",
                                                  "fills",
                                                  "describes",
                                                  "searches the oldest",
                                                  "writes the intent record",
                                                  "opens the intent record",
                                                  "exchanges",
                                                  "counts",
                                                  "closes the intent record",
                                                  "describes late",
                                                  "takes",
                                                  "reads the description",
                                                  "infers",
                                                  "puts on disk",
                                                  "looks for quarantined",
                                                  "takes quarantined",
                                                  "notifies",
                                                  "wakes",
                                                  "notifies one",
                                                  "wakes one",
                                                  "prepares to sleep",
                                                  "looks again",
                                                  "falls asleep",
                                                  "sleeps",
                                                  "reads the intent record",
                                                  "finishes the intent record",
                                                  "clears the intent record",
                                                  "looks for held slots",
                                                  "gives back",
                                                  "signs off"};
  constexpr std::array<const char*, kActors> kActorNames = {"producer A", "producer B", "device", "writer"};
  std::string text = kActorNames.at(action.actor);
  if (action.kind == kStep || action.kind == kStepOtherwise)
    return text + " " + kDeeds.at(state.actors.at(action.actor).at);
  if (action.kind == kDie) return text + " dies before it " + kDeeds.at(state.actors.at(action.actor).at);
  if (action.kind == kRestart) return text + " starts again";
  if (action.kind == kTimeOut) return text + " wakes by its time-out";
  if (action.kind == kClear) return text + " begins to clear the quarantine";
  return text + " begins to recover " + kActorNames.at(static_cast<std::size_t>(action.kind - kRecoverFirst));
}

std::string describe(const Settings& settings, const State& state) {
  std::string text;
  for (std::size_t i = 0; i < static_cast<std::size_t>(settings.slots); ++i) {
    const StateWord word = unpack(state.slots[i].word);
    text += "slot " + std::to_string(i) + " " + shm::name(word.state) + " (owner " + std::to_string(word.owner) +
            ", attempts " + std::to_string(word.attempts) + ", frame " + std::to_string(state.slots[i].described) +
            "); ";
  }
  return text;
}

}  // namespace peaknet::model
