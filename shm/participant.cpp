#include "shm/participant.hpp"

#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "shm/clock.hpp"

namespace peaknet::shm {
namespace {

// At most so many bytes, cut between words.
std::string cut_between_words(const std::string& text, std::size_t bytes) {
  constexpr std::string_view kMore = " ...";
  if (text.size() <= bytes) return text;
  if (bytes < kMore.size()) return "";
  const auto blank = text.rfind(' ', bytes - kMore.size());
  return text.substr(0, blank == std::string::npos ? 0 : blank) + std::string(kMore);
}

// The text of an error for the control segment. Where it is too long, what happened is shortened before what to do is.
std::string brief(const Error& error, std::size_t bytes) {
  if (std::string whole = error.text(); whole.size() <= bytes) return whole;
  if (error.remedy.empty()) return cut_between_words(error.what, bytes);
  const std::string remedy = ". Try: " + cut_between_words(error.remedy, bytes / 2);
  return cut_between_words(error.what, bytes - remedy.size()) + remedy;
}

}  // namespace

Mappings Mappings::of(const std::string& instance) {
  const auto control_segment = ControlSegment::open(instance, Access::read_write);
  if (!control_segment) return {};
  const auto pool = (*control_segment)->open_pool(Access::read_write);
  return {*control_segment, pool ? *pool : nullptr};
}

Result<std::unique_ptr<Participant>> Participant::attach(const std::string& instance, Role role,
                                                         const std::string& label, const Mappings& mappings) {
  assert(mappings.control_segment == nullptr || mappings.control_segment->instance() == instance);
  auto control_segment = mappings.control_segment != nullptr
                             ? Result<std::shared_ptr<ControlSegment>>(mappings.control_segment)
                             : ControlSegment::open(instance, Access::read_write);
  if (!control_segment) return control_segment.error();
  auto lock = LockFile::open(control_segment_name(instance));
  if (!lock) return lock.error();
  // The gate, held shared: the daemon cannot remove the instance while we register.
  if (!lock->wait_lock_shared(kGateByte)) {
    return Error{
        "shm.no-locks", "cannot lock the control segment of instance '" + instance + "': " + std::strerror(errno),
        "this program did not attach, and nobody noticed it", "try again; cat /proc/locks shows who has locks"};
  }
  if ((*control_segment)->layout().header.state.load() == SegmentState::removed ||
      !lock->still_named(control_segment_name(instance))) {
    return Error{"shm.absent", "instance '" + instance + "' is just being removed", "",
                 "start peaknetd for this instance"};
  }
  std::uint32_t id = 1;
  while (id < kMaxParticipants && !lock->try_lock(id)) ++id;
  if (id == kMaxParticipants) {
    return Error{"member.full",
                 "instance '" + instance + "' has " + std::to_string(kMaxParticipants - 1) + " participants already",
                 "", "end some producers or writers, or use a second instance"};
  }
  std::unique_ptr<Participant> participant(new Participant(std::move(*control_segment), std::move(*lock), id));
  participant->pool_ = mappings.pool;
  if (auto pool = participant->follow_epoch();
      !pool && pool.error().id != "pool.none" && pool.error().id != "shm.absent")
    return pool.error();

  auto& record = participant->record();
  if (record.presence.load(std::memory_order_acquire) == Presence::attached) {  // the id's last owner died
    if (auto recovered = participant->recover(id); !recovered) return recovered.error();
  }
  record.epoch.store(participant->has_pool() ? participant->pool().epoch() : 0);
  participant->number_ = participant->layout().next_number.fetch_add(1, std::memory_order_relaxed);
  record.number.store(participant->number_);
  record.role.store(role);
  record.pid.store(static_cast<std::uint32_t>(::getpid()));
  record.uid.store(::getuid());
  record.attached_ns.store(realtime_ns());
  record.closed_generation.store(participant->layout().run.close_generation.load());
  record.held.store(0);
  record.holding_since_ns.store(0);
  record.output_free_bytes.store(kUnknownBytes);
  record.label.store(label);
  record.note.store("");
  for (std::size_t i = 0; i < kCounters; ++i) record.base[i].store(record.counters[i].load());
  record.presence.store(Presence::attached, std::memory_order_release);
  participant->lock_.unlock(kGateByte);
  participant->layout().control_event.notify();
  return participant;
}

Participant::Participant(std::shared_ptr<ControlSegment> control_segment, LockFile lock, std::uint32_t id)
    : control_segment_(std::move(control_segment)), lock_(std::move(lock)), id_(id) {}

Participant::~Participant() {
  if (!registered()) return;  // never got as far, or is another's to end
  if (holds_any()) return;    // leave as one who died, so that they are recovered
  record().presence.store(Presence::left, std::memory_order_release);
  layout().control_event.notify();
}

bool Participant::holds_any() const {
  for (std::uint32_t slot = 0; has_pool() && slot < pool_->geometry().slots; ++slot) {
    const auto word = StateWord::unpack(pool_->word(slot).load(std::memory_order_acquire));
    if (word.held() && word.owner == id_) return true;
  }
  return false;
}

bool Participant::registered() const {
  return number_ != 0 && !inherited() && record().number.load(std::memory_order_acquire) == number_ &&
         record().presence.load(std::memory_order_acquire) == Presence::attached;
}

bool Participant::holds(std::uint32_t slot, StateWord word) const {
  return registered() && pool_->word(slot).load(std::memory_order_acquire) == word.pack();
}

Result<bool> Participant::follow_epoch() {
  const std::uint64_t epoch = layout().epoch.load(std::memory_order_acquire);
  const bool same = pool_ && pool_->epoch() == epoch;
  if (same && pool_is_live()) return false;
  auto pool = control_segment_->open_pool(Access::read_write);
  // Ours is retired. Is there a new one, be it under the old number because somebody removed the objects?
  if (same && (!pool || (*pool)->header().header.state.load(std::memory_order_acquire) != SegmentState::live))
    return false;
  if (!pool) return pool.error();
  if (registered() && holds_any()) {
    return Error{"pool.held",
                 "peaknetd has replaced the pool of epoch " + std::to_string(pool_->epoch()) +
                     ", of which this participant still holds frames",
                 "they are as they were", "commit, finish or destroy them, then try again"};
  }
  pool_ = std::move(*pool);
  if (registered()) record().epoch.store(pool_->epoch());  // before the first slot in it is ours
  return true;
}

bool Participant::pool_is_live() const {
  // The epoch too: who removed the pool's object by hand retired nothing, and the daemon cannot retire what it cannot
  // open.
  return pool_ && pool_->header().header.state.load(std::memory_order_seq_cst) == SegmentState::live &&
         layout().epoch.load(std::memory_order_seq_cst) == pool_->epoch();
}

bool Participant::instance_removed() const {
  // The name first: a word that says so may be anybody's scribble, the name is the kernel's.
  return !named() &&
         (layout().header.state.load(std::memory_order_acquire) == SegmentState::removed || !daemon_lives());
}

bool Participant::named() const { return lock_.still_named(control_segment_name(control_segment_->instance())); }

bool Participant::exchange_in(Pool& pool, std::uint32_t slot, StateWord from, StateWord to) {
  std::uint64_t expected = from.pack();
  return pool.word(slot).compare_exchange_strong(expected, to.pack(), std::memory_order_seq_cst,
                                                 std::memory_order_relaxed);
}

bool Participant::exchange(std::uint32_t slot, StateWord from, StateWord to) {
  return registered() && exchange_in(*pool_, slot, from, to);
}

bool Participant::exchange_counted(std::uint32_t slot, StateWord from, StateWord to, Counter counter, IntentRule rule) {
  if (!registered()) return false;
  IntentRecord& intent = record().intent;
  auto& line = record().counters[static_cast<std::size_t>(counter)];
  const std::uint64_t next = line.load(std::memory_order_relaxed) + 1;
  intent.new_word.store(to.pack(), std::memory_order_relaxed);
  intent.slot.store(slot, std::memory_order_relaxed);
  intent.rule.store(static_cast<std::uint32_t>(rule), std::memory_order_relaxed);
  intent.counter.store(static_cast<std::uint32_t>(counter), std::memory_order_relaxed);
  intent.value.store(next, std::memory_order_relaxed);
  intent.old_word.store(from.pack(), std::memory_order_release);
  const bool happened = exchange(slot, from, to);
  if (happened) line.store(next, std::memory_order_release);
  intent.old_word.store(0, std::memory_order_release);
  return happened;
}

void Participant::count(Counter counter, std::uint64_t by) {
  if (number_ != 0 && !registered()) return;  // 0: attaching, and recovering what the id's last owner left
  auto& line = record().counters[static_cast<std::size_t>(counter)];
  line.store(line.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
}

void Participant::add_unhandled_messages(std::int64_t more) {
  if (registered()) record().held.fetch_add(static_cast<std::uint64_t>(more), std::memory_order_relaxed);
}

void Participant::record_error(const Error& error, std::uint64_t by) {
  if (inherited()) return;
  const std::lock_guard lock(note_mutex_);
  auto& kinds = record().errors;
  auto kind =
      std::find_if(kinds.begin(), kinds.end(), [&](const ErrorRecord& known) { return known.id.load() == error.id; });
  const std::int64_t now = realtime_ns();
  if (kind == kinds.end()) {
    kind = std::min_element(kinds.begin(), kinds.end(), [](const ErrorRecord& a, const ErrorRecord& b) {
      return a.last_ns.load(std::memory_order_relaxed) < b.last_ns.load(std::memory_order_relaxed);
    });
    kind->count.store(0, std::memory_order_relaxed);
    kind->first_ns.store(now, std::memory_order_relaxed);
    kind->id.store(error.id);
  }
  kind->text.store(brief(error, kErrorTextBytes - 1));
  kind->last_ns.store(now, std::memory_order_relaxed);
  kind->count.store(kind->count.load(std::memory_order_relaxed) + by, std::memory_order_release);
}

std::uint32_t Participant::recover_dead() {
  if (!registered()) return 0;
  const std::uint64_t before = record().counters[static_cast<std::size_t>(Counter::producer_died)].load() +
                               record().counters[static_cast<std::size_t>(Counter::redelivered)].load();
  for (std::uint32_t id = 1; id < kMaxParticipants; ++id) {
    if (id == id_ || layout().participants[id].presence.load(std::memory_order_acquire) != Presence::attached) continue;
    if (!lock_.try_lock(id)) continue;  // alive, or somebody else is recovering it
    // Looked at before we had the lock: its next owner may have come and gone in between.
    if (layout().participants[id].presence.load(std::memory_order_acquire) == Presence::attached && recover(id)) {
      layout().participants[id].presence.store(Presence::left, std::memory_order_release);
      layout().control_event.notify();
    }
    lock_.unlock(id);
  }
  return static_cast<std::uint32_t>(record().counters[static_cast<std::size_t>(Counter::producer_died)].load() +
                                    record().counters[static_cast<std::size_t>(Counter::redelivered)].load() - before);
}

Status Participant::recover(std::uint32_t dead) {
  ParticipantRecord& record = layout().participants[dead];
  // It held slots of one pool alone, which need not be ours.
  const std::uint64_t epoch = record.epoch.load(std::memory_order_acquire);
  std::shared_ptr<Pool> pool = epoch == 0 ? nullptr : pool_;
  if (epoch != 0 && !(pool && pool->epoch() == epoch)) {
    auto former = Pool::open(control_segment_->instance(), epoch, control_segment_->uuid(), Access::read_write);
    if (!former && (former.error().id == "shm.denied" || former.error().id == "shm.cannot-open"))
      return former.error();                       // perhaps another time, or another participant
    pool = former ? std::move(*former) : nullptr;  // drained and removed, or overwritten: there is nothing to give back
  }
  finish_intent(record, pool.get());
  for (std::uint32_t slot = 0; pool && slot < pool->geometry().slots; ++slot) {
    const auto word = StateWord::unpack(pool->word(slot).load(std::memory_order_acquire));
    if (!word.held() || word.owner != dead) continue;
    StateWord back = word;
    back.owner = 0;
    if (word.state == SlotState::filling) {
      back.state = SlotState::free;
      back.attempts = 0;
    } else {
      back.attempts = std::min(word.attempts + 1, kMaxAttempts);
      back.state = back.attempts >= kMaxAttempts        ? SlotState::quarantined
                   : word.state == SlotState::inferring ? SlotState::ready
                                                        : SlotState::done;
    }
    if (!exchange_in(*pool, slot, word, back)) continue;
    count(word.state == SlotState::filling ? Counter::producer_died : Counter::redelivered);
    PoolHeader& header = pool->header();
    if (back.state == SlotState::ready) header.ready_event.notify();
    if (back.state == SlotState::done) header.done_event.notify();
    if (back.state == SlotState::quarantined) layout().control_event.notify();
  }
  if (pool) pool->header().free_event.notify();  // its slots, and a wake-up for one that it may have taken along
  count_lost_messages(record);
  return {};
}

void Participant::count_lost_messages(ParticipantRecord& dead) {
  if (dead.role.load() != Role::producer) return;  // what a writer holds is in its slots
  const std::uint64_t messages = dead.held.exchange(0);
  if (messages == 0) return;
  count(Counter::messages_lost, messages);
  record_error({"producer.died-with-messages",
                "producer '" + dead.label.load() + "' (pid " + std::to_string(dead.pid.load()) + ") died with " +
                    std::to_string(messages) + " messages that it had received from their senders",
                "what it had committed of them stays; the rest is lost and counted as messages_lost",
                "look at its log, and whether it had memory enough"});
}

void Participant::finish_intent(ParticipantRecord& dead, const Pool* pool) {
  IntentRecord& intent = dead.intent;
  const std::uint64_t old_word = intent.old_word.load(std::memory_order_acquire);
  if (old_word == 0) return;
  const std::uint32_t slot = intent.slot.load(std::memory_order_relaxed);
  const std::uint32_t counter = intent.counter.load(std::memory_order_relaxed);
  if ((pool == nullptr || slot < pool->geometry().slots) && counter < kCounters) {  // else somebody scribbled on it
    // A pool that was drained and removed had free slots alone, and no intent record has a free slot's word as the old
    // one.
    const std::uint64_t word = pool == nullptr ? 0 : pool->word(slot).load(std::memory_order_acquire);
    const bool reached_new = intent.rule.load() == static_cast<std::uint32_t>(IntentRule::reached_new);
    const bool happened = reached_new ? word == intent.new_word.load() : word != old_word;
    if (happened) dead.counters[counter].store(intent.value.load(), std::memory_order_release);
  }
  intent.old_word.store(0, std::memory_order_release);
}

std::vector<FrameDescriptor> Participant::clear_quarantine() {
  std::vector<FrameDescriptor> cleared;
  for (std::uint32_t slot = 0; slot < pool_->geometry().slots; ++slot) {
    const auto word = StateWord::unpack(pool_->word(slot).load(std::memory_order_acquire));
    if (word.state != SlotState::quarantined) continue;
    // Owned first: then nobody else can change the word, and if we die here it goes back to quarantine.
    const StateWord mine{word.sequence, word.attempts, id_, SlotState::writing};
    if (!exchange(slot, word, mine)) continue;
    const FrameDescriptor descriptor = pool_->descriptor(slot);
    if (!exchange_counted(slot, mine, {word.sequence, 0, 0, SlotState::free}, Counter::failed_quarantined,
                          IntentRule::left_old)) {
      continue;
    }
    cleared.push_back(descriptor);
    pool_->header().free_event.notify();
  }
  return cleared;
}

std::vector<Participant::Candidate> Participant::oldest(SlotState state, std::size_t most, std::uint64_t below) const {
  const auto older = [](const Candidate& a, const Candidate& b) { return a.word.sequence < b.word.sequence; };
  const auto pass = [&] {
    std::vector<Candidate> found;  // a heap with the youngest on top: a queue may be long, and most takers want one
    found.reserve(std::min<std::size_t>(most, pool_->geometry().slots));
    for (std::uint32_t slot = 0; slot < pool_->geometry().slots; ++slot) {
      const auto word = StateWord::unpack(pool_->word(slot).load(std::memory_order_acquire));
      if (word.state != state || word.sequence >= below) continue;
      if (found.size() >= most) {
        if (most == 0 || word.sequence > found.front().word.sequence) continue;
        std::pop_heap(found.begin(), found.end(), older);
        found.pop_back();
      }
      found.push_back({slot, word});
      std::push_heap(found.begin(), found.end(), older);
    }
    std::sort_heap(found.begin(), found.end(), older);
    return found;
  };
  // If frame B of a producer is seen before its older frame A, the next pass, ordered after the load of B's word, sees
  // A. So what two passes agree on is in order, and so is what the second one has before the first that is new to it.
  // Nobody keeps us here: in frames that come and go for so long that nothing is sure, somebody writes who should not.
  // What was there twice is given then, so that the others' frames go on, in an order that is as good as the words are.
  constexpr int kLooks = 64;
  auto found = pass();
  for (int i = 0; !found.empty(); ++i) {
    auto again = pass();
    if (i >= kLooks) {
      std::erase_if(again, [&](const Candidate& c) {
        return std::none_of(found.begin(), found.end(),
                            [&](const Candidate& f) { return f.slot == c.slot && f.word.pack() == c.word.pack(); });
      });
      return again;
    }
    std::size_t sure = 0;
    for (auto before = found.begin(); sure < again.size(); ++sure) {
      const std::uint64_t sequence = again[sure].word.sequence;
      before = std::find_if(before, found.end(), [&](const Candidate& c) { return c.word.sequence >= sequence; });
      if (before == found.end() || before->word.sequence != sequence) break;
    }
    if (sure == again.size()) return again;
    if (i >= 4 && sure > 0) {  // they come and go faster than we look: what is sure will do
      again.resize(sure);
      return again;
    }
    found = std::move(again);
  }
  return found;
}

bool Participant::give_back(std::uint32_t slot, StateWord held, std::uint32_t attempts) {
  StateWord back = held;
  back.owner = 0;
  back.attempts = attempts;
  back.state = held.state == SlotState::inferring ? SlotState::ready : SlotState::done;
  if (!exchange(slot, held, back)) return false;
  count(Counter::redelivered);
  (back.state == SlotState::ready ? pool_->header().ready_event : pool_->header().done_event).notify();
  return true;
}

}  // namespace peaknet::shm
