#include "feed/listen.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include "base/log_line.hpp"
#include "base/wake.hpp"
#include "feed/bounded_queue.hpp"
#include "feed/message_delivery.hpp"
#include "feed/pull_socket.hpp"
#include "feed/refusals.hpp"
#include "feed/sequence_gaps.hpp"

namespace peaknet::feed {
namespace {

constexpr std::size_t kQueuedPerDecoder = 2;

struct Message {
  PullSocket::Received received;
  std::uint64_t number = 0;
};

// A message's events with their numbers among all events of this feed, and the bad pixels of their slots. user =
// {message, index in the message, 0, 0}.
class NumberedSource : public FrameSource {
 public:
  NumberedSource(FrameSource& source, std::uint64_t first, std::uint64_t message, std::span<const std::uint8_t> bad)
      : source_(source), first_(first), message_(message), bad_(bad) {}
  const shm::Geometry& geometry() const override { return source_.geometry(); }
  std::uint64_t size() const override { return source_.size(); }
  Result<Filled> fill(std::uint64_t index, SlotView slot) override {
    slot.bad = bad_;
    auto filled = source_.fill(index, slot);
    lacks_energy_ = filled.ok() && std::isnan(slot.info.photon_energy_ev);
    slot.info.event_id = first_ + index;
    slot.info.user = {message_, index, 0, 0};
    return filled;
  }

  // Of the frame that was filled last.
  bool lacks_energy() const { return lacks_energy_; }

 private:
  FrameSource& source_;
  std::uint64_t first_, message_;
  std::span<const std::uint8_t> bad_;
  bool lacks_energy_ = false;
};

Error nobody_came() {
  return {"listen.no-sender", "nothing has come yet", "it is waited for",
          "does the sender connect to this address and port, or wait to be connected to? One of the two has to bind"};
}

Error no_energy() {
  return {"message.no-energy", "the messages carry no photon energy that can be true", "their images are taken without",
          "if they have one under another name, name it with --wavelength-field; see feed.wavelength_unit"};
}

}  // namespace

// One call of run.
class Listener::Session {
 public:
  Session(const ListenOptions& options, PullSocket& socket, RejectedMessages* quarantine, FeedCounters& tally,
          std::size_t decoders, shm::Participant& account)
      : options_(options),
        socket_(socket),
        account_(account),
        quarantine_(quarantine),
        tally_(tally),
        queue_(kQueuedPerDecoder * decoders),
        refusals_(tally, &account) {}

  void receive(const std::stop_token& stop);
  void decode(Decoder& decoder, shm::Producer& producer);
  // Gives a stop its time to drain; ends with `over`.
  void limit_drain(const std::stop_token& stop, const std::stop_token& now, const std::stop_token& over);
  std::optional<Error> failure() {
    const auto known = gaps_.at_end();
    tally_.gaps(known.missing, known.unclear);
    const std::lock_guard lock(mutex_);
    return failure_;
  }

 private:
  bool receive_one();
  void hold(std::int64_t more) { account_.add_unhandled_messages(more); }
  void open_and_deliver(Decoder& decoder, MessageDelivery delivery, const Message& message);
  void refuse(const Error& error, const Message& message) {
    refusals_.refuse(error);
    if (quarantine_ != nullptr) quarantine_->keep(message.received.bytes(), error.id);
  }
  void hear(const RunBoundary& news);
  void count(const Sequence& sequence);
  void handled(std::uint64_t events) {
    if (options_.count > 0 && handled_.fetch_add(events) + events >= options_.count) end();
  }
  void end() {
    ended_ = true;
    wake_.notify();
  }

  const ListenOptions& options_;
  PullSocket& socket_;
  shm::Participant& account_;  // has the number of messages that are held here
  RejectedMessages* const quarantine_;
  FeedCounters& tally_;
  BoundedQueue<Message> queue_;
  Refusals refusals_;
  SequenceGaps gaps_;
  std::atomic<std::uint64_t> missing_{0};
  Wake wake_;
  std::stop_source abandon_;  // decoders and the queue stop at once
  std::atomic<bool> ended_{false}, run_ended_{false}, told_of_energy_{false};
  std::atomic<std::uint64_t> handled_{0}, next_event_{0};
  std::uint64_t next_message_ = 0;
  std::mutex mutex_;
  std::optional<Error> failure_;
};

// True if there was something to receive.
bool Listener::Session::receive_one() {
  auto received = socket_.receive();
  if (!received) return false;
  hold(+1);
  Message message{std::move(*received), next_message_++};
  tally_.message();
  if (message.received.parts > 1) {
    refusals_.refuse(multipart_error(message.received.parts, message.received.bytes()));
    hold(-1);
    return true;
  }
  if (!queue_.push(message, abandon_.get_token())) {
    tally_.failed("feed.stopped");
    hold(-1);
  }
  return true;
}

void Listener::Session::receive(const std::stop_token& stop) {
  // However this ends, the decoders must not wait for more.
  const std::unique_ptr<BoundedQueue<Message>, void (*)(BoundedQueue<Message>*)> at_end(
      &queue_, [](auto* queue) { queue->close(); });
  const std::stop_callback on_stop(stop, [this] { wake_.notify(); });
  const auto start = std::chrono::steady_clock::now();
  auto last = start;
  bool told = options_.patience.count() <= 0;
  while (!stop.stop_requested() && !ended_) {
    std::chrono::milliseconds at_most{-1};  // for ever
    auto patience = options_.idle;
    if (run_ended_ && (patience.count() == 0 || patience > options_.settle)) patience = options_.settle;
    if (patience.count() > 0) {
      const auto left = last + patience - std::chrono::steady_clock::now();
      if (left.count() <= 0) break;
      at_most = std::chrono::ceil<std::chrono::milliseconds>(left);
    }
    if (!told && next_message_ == 0) {
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(start + options_.patience - std::chrono::steady_clock::now());
      told = left.count() <= 0;
      if (told) refusals_.tell(nobody_came());
      if (!told && (at_most.count() < 0 || left < at_most)) at_most = left;
    }
    socket_.wait(wake_, at_most);
    wake_.clear();
    while (!stop.stop_requested() && !ended_ && receive_one()) last = std::chrono::steady_clock::now();
  }
  // What is here was taken from its sender, who believes it delivered. A sender that goes on must not keep us here.
  const auto deadline = std::chrono::steady_clock::now() + options_.drain;
  while (!abandon_.stop_requested() && std::chrono::steady_clock::now() < deadline && receive_one()) {
  }
}

void Listener::Session::decode(Decoder& decoder, shm::Producer& producer) {
  shm::ContiguousClaims rows(producer);
  while (auto message = queue_.pop()) {
    const std::unique_ptr<Session, void (*)(Session*)> at_end(this, [](Session* session) { session->hold(-1); });
    if (abandon_.stop_requested()) {
      tally_.failed("feed.stopped");
      continue;
    }
    try {
      open_and_deliver(decoder, {producer, rows}, *message);
    } catch (const std::exception& thrown) {
      refuse({"decoder.threw", "message " + std::to_string(message->number) + " cannot be decoded: " + thrown.what(),
              "events of it that were committed before stay; the next message is served",
              "keep such a message (--keep-rejected) and report it with the version of this program"},
             *message);
      handled(1);
    }
  }
}

void Listener::Session::open_and_deliver(Decoder& decoder, MessageDelivery delivery, const Message& message) {
  const auto opened = delivery.open(decoder, message.received.bytes());
  if (!opened) {
    refuse(opened.error(), message);
    handled(1);
    return;
  }
  hear(decoder.news());
  if (const auto sequence = decoder.sequence()) count(*sequence);
  const std::uint64_t events = (*opened)->size();
  NumberedSource source(**opened, next_event_.fetch_add(events), message.number, options_.bad_pixels);
  for (std::uint64_t i = 0; i < events; ++i) {
    const auto delivered = delivery.deliver(source, i, abandon_.get_token(), &tally_.slot_wait());
    switch (delivered.outcome) {
      case Delivery::Outcome::committed:
        tally_.committed(delivered.narrowed, delivered.no_counts, delivered.zeros);
        if (delivered.column) refusals_.remark(*delivered.column);
        if (source.lacks_energy() && !told_of_energy_.exchange(true)) refusals_.tell(no_energy());
        break;
      case Delivery::Outcome::refused:
        tally_.refused();
        break;
      case Delivery::Outcome::bad_frame:
        refuse(*delivered.error, message);
        break;
      case Delivery::Outcome::stopped:
        tally_.failed("feed.stopped", events - i);
        return;
      case Delivery::Outcome::no_pool: {
        refusals_.refuse(*delivered.error, events - i);
        const std::lock_guard lock(mutex_);
        if (!failure_) failure_ = delivered.error;
        abandon_.request_stop();
        end();
        return;
      }
    }
    handled(1);
  }
}

void Listener::Session::hear(const RunBoundary& news) {
  if (news.kind == RunBoundary::Kind::none) return;
  const bool start = news.kind == RunBoundary::Kind::start;
  log::info("a sender {} its run {}", start ? "starts" : "has ended", news.run.empty() ? "(no name)" : news.run);
  if (start || !options_.end_with_run) return;
  run_ended_ = true;
  wake_.notify();
}

void Listener::Session::count(const Sequence& sequence) {
  gaps_.saw(sequence.source, sequence.number);
  const auto known = gaps_.so_far();
  tally_.gaps(known.missing, known.unclear);
  if (missing_.exchange(known.missing) >= known.missing) return;
  refusals_.tell({"sequence.gap",
                  "by the numbers of run " + sequence.source + " " + std::to_string(known.missing) +
                      " messages never came, the last before " + std::to_string(sequence.number),
                  "what came is served", "look at the sender's log and the network between"});
}

void Listener::Session::limit_drain(const std::stop_token& stop, const std::stop_token& now,
                                    const std::stop_token& over) {
  // `over` also ends the waits for a stop that never comes.
  std::mutex mutex;
  std::condition_variable_any changed;
  const auto wake = [&] {
    const std::lock_guard lock(mutex);
    changed.notify_all();
  };
  const std::stop_callback on_stop(stop, wake), on_now(now, wake);
  std::unique_lock lock(mutex);
  changed.wait(lock, over, [&] { return stop.stop_requested() || now.stop_requested(); });
  if (over.stop_requested()) return;
  changed.wait_for(lock, over, options_.drain, [&] { return now.stop_requested(); });
  if (!over.stop_requested()) abandon_.request_stop();
}

Listener::Listener(ListenOptions options, Decoders decoders)
    : options_(std::move(options)), decoders_(std::move(decoders)) {}
Listener::~Listener() = default;

Result<std::unique_ptr<Listener>> Listener::open(const ListenOptions& options, Decoders decoders) {
  auto listener = std::unique_ptr<Listener>(new Listener(options, std::move(decoders)));
  if (!options.quarantine.empty()) {
    auto quarantine = RejectedMessages::open(options.quarantine);
    if (!quarantine) return quarantine.error();
    listener->quarantine_ = std::move(*quarantine);
  }
  auto socket = PullSocket::open(options.endpoints, listener->decoders_.limits.message_bytes);
  if (!socket) return socket.error();
  listener->socket_ = std::move(*socket);
  return listener;
}

std::vector<std::string> Listener::addresses() const { return socket_->addresses(); }
std::vector<std::string> Listener::opened() const { return socket_->opened(); }

std::optional<Error> Listener::run(std::span<const std::unique_ptr<shm::Producer>> producers, FeedCounters& tally,
                                   const std::stop_token& stop, const std::stop_token& now) {
  Session session(options_, *socket_, quarantine_.get(), tally, producers.size(), producers.front()->participant());
  std::jthread drain([&](const std::stop_token& over) { session.limit_drain(stop, now, over); });
  {
    std::vector<std::jthread> decoders;
    for (std::size_t i = 0; i < producers.size(); ++i) {
      decoders.emplace_back([&session, &decoder = *decoders_.all.at(i), &producer = *producers[i]] {
        session.decode(decoder, producer);
      });
    }
    session.receive(stop);
  }
  return session.failure();
}

}  // namespace peaknet::feed
