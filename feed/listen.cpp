#include "feed/listen.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>
#include <zmq.hpp>

#include "feed/bounded_queue.hpp"
#include "feed/deliver.hpp"
#include "feed/endpoint.hpp"
#include "feed/fault_log.hpp"
#include "feed/wake.hpp"

namespace peaknet::feed {
namespace {

constexpr int kIoThreads = 2;
constexpr int kReceiveHighWater = 4;  // messages per sender; each may be a hundred megabytes
constexpr std::size_t kQueuedPerDecoder = 2;

struct Message {
  zmq::message_t body;
  std::uint64_t number = 0;
};

std::span<const std::byte> bytes_of(const zmq::message_t& body) {
  return {static_cast<const std::byte*>(body.data()), body.size()};
}

// A system call that a debugger or a stopped process interrupted is no failure: one looks again.
bool interrupted(const zmq::error_t& failure) { return failure.num() == EINTR; }

bool receive_part(zmq::socket_t& socket, zmq::message_t& part) {
  try {
    return socket.recv(part, zmq::recv_flags::dontwait).has_value();
  } catch (const zmq::error_t& failure) {
    if (!interrupted(failure)) throw;
    return false;
  }
}

void wait_for_input(zmq::socket_t& socket, const Wake& wake, std::chrono::milliseconds at_most) {
  std::array<zmq::pollitem_t, 2> items{{{socket.handle(), 0, ZMQ_POLLIN, 0}, {nullptr, wake.fd(), ZMQ_POLLIN, 0}}};
  try {
    zmq::poll(items.data(), items.size(), at_most);
  } catch (const zmq::error_t& failure) {
    if (!interrupted(failure)) throw;
  }
}

// A message's events with their numbers among all events of this feed. user = {message, index in the message, 0, 0}.
class NumberedSource : public FrameSource {
 public:
  NumberedSource(FrameSource& source, std::uint64_t first, std::uint64_t message)
      : source_(source), first_(first), message_(message) {}
  const shm::Geometry& geometry() const override { return source_.geometry(); }
  std::uint64_t size() const override { return source_.size(); }
  Result<Filled> fill(std::uint64_t index, SlotView slot) override {
    auto filled = source_.fill(index, slot);
    slot.info.event_id = first_ + index;
    slot.info.user = {message_, index, 0, 0};
    return filled;
  }

 private:
  FrameSource& source_;
  std::uint64_t first_, message_;
};

}  // namespace

struct Listener::Sockets {
  zmq::context_t context{kIoThreads};
  zmq::socket_t pull{context, zmq::socket_type::pull};
  std::vector<std::string> addresses;
};

// One call of run.
class Listener::Session {
 public:
  Session(const ListenOptions& options, zmq::socket_t& socket, Quarantine* quarantine, Tally& tally,
          std::size_t decoders)
      : options_(options),
        socket_(socket),
        quarantine_(quarantine),
        tally_(tally),
        queue_(kQueuedPerDecoder * decoders) {}

  void receive(const std::stop_token& stop);
  void decode(shm::Producer& producer);
  // Gives a stop its time to drain; ends with `over`.
  void limit_drain(const std::stop_token& stop, const std::stop_token& now, const std::stop_token& over);
  std::optional<Error> failure() {
    const std::lock_guard lock(mutex_);
    return failure_;
  }

 private:
  bool receive_one();
  void open_and_deliver(Decoder& decoder, shm::Producer& producer, const Message& message);
  void refuse(const Error& error, std::uint64_t by = 1) {
    tally_.failed(error.id, by);
    log_.report(error);
  }
  void refuse(const Error& error, const Message& message) {
    refuse(error);
    if (quarantine_ != nullptr) quarantine_->keep(bytes_of(message.body), error.id);
  }
  void hear(const RunNews& news);
  void handled(std::uint64_t events) {
    if (options_.count > 0 && handled_.fetch_add(events) + events >= options_.count) end();
  }
  void end() {
    ended_ = true;
    wake_.notify();
  }

  const ListenOptions& options_;
  zmq::socket_t& socket_;
  Quarantine* const quarantine_;
  Tally& tally_;
  BoundedQueue<Message> queue_;
  FaultLog log_;
  Wake wake_;
  std::stop_source abandon_;  // decoders and the queue stop at once
  std::atomic<bool> ended_{false}, run_ended_{false};
  std::atomic<std::uint64_t> handled_{0}, next_event_{0};
  std::uint64_t next_message_ = 0;
  std::mutex mutex_;
  std::optional<Error> failure_;
};

// True if there was something to receive.
bool Listener::Session::receive_one() {
  Message message;
  if (!receive_part(socket_, message.body)) return false;
  message.number = next_message_++;
  tally_.message();
  if (message.body.more()) {
    std::uint64_t parts = 1;
    for (bool more = true; more; ++parts) {
      zmq::message_t part;
      more = receive_part(socket_, part) && part.more();
    }
    refuse({"message.multipart", "a message has " + std::to_string(parts) + " parts; every known sender sends one",
            "it was not read; the next message is served",
            "is something else than lclstreamer connected to this endpoint?"});
    return true;
  }
  if (!queue_.push(message, abandon_.get_token())) tally_.failed("feed.stopped");
  return true;
}

void Listener::Session::receive(const std::stop_token& stop) {
  // However this ends, the decoders must not wait for more.
  const std::unique_ptr<BoundedQueue<Message>, void (*)(BoundedQueue<Message>*)> at_end(
      &queue_, [](auto* queue) { queue->close(); });
  const std::stop_callback on_stop(stop, [this] { wake_.notify(); });
  auto last = std::chrono::steady_clock::now();
  while (!stop.stop_requested() && !ended_) {
    std::chrono::milliseconds at_most{-1};  // for ever
    auto patience = options_.idle;
    if (run_ended_ && (patience.count() == 0 || patience > options_.settle)) patience = options_.settle;
    if (patience.count() > 0) {
      const auto left = last + patience - std::chrono::steady_clock::now();
      if (left.count() <= 0) break;
      at_most = std::chrono::ceil<std::chrono::milliseconds>(left);
    }
    wait_for_input(socket_, wake_, at_most);
    wake_.clear();
    while (!stop.stop_requested() && !ended_ && receive_one()) last = std::chrono::steady_clock::now();
  }
  // What is here was taken from its sender, who believes it delivered.
  while (!abandon_.stop_requested() && receive_one()) {
  }
}

void Listener::Session::decode(shm::Producer& producer) {
  const auto decoder = make_decoder(options_.decode);
  while (auto message = queue_.pop()) {
    if (abandon_.stop_requested()) {
      tally_.failed("feed.stopped");
      continue;
    }
    try {
      open_and_deliver(*decoder, producer, *message);
    } catch (const std::exception& thrown) {
      refuse({"decoder.threw", "message " + std::to_string(message->number) + " cannot be decoded: " + thrown.what(),
              "events of it that were committed before stay; the next message is served",
              "keep such a message (--quarantine) and report it with the version of this program"},
             *message);
      handled(1);
    }
  }
}

void Listener::Session::open_and_deliver(Decoder& decoder, shm::Producer& producer, const Message& message) {
  const auto opened = decoder.open(bytes_of(message.body), producer.geometry());
  if (!opened) {
    refuse(opened.error(), message);
    handled(1);
    return;
  }
  hear(decoder.news());
  const std::uint64_t events = (*opened)->size();
  NumberedSource source(**opened, next_event_.fetch_add(events), message.number);
  for (std::uint64_t i = 0; i < events; ++i) {
    const auto delivery = deliver(source, i, producer, abandon_.get_token());
    switch (delivery.outcome) {
      case Delivery::Outcome::committed:
        tally_.committed(delivery.narrowed);
        break;
      case Delivery::Outcome::refused:
        tally_.refused();
        break;
      case Delivery::Outcome::bad_frame:
        refuse(*delivery.error, message);
        break;
      case Delivery::Outcome::stopped:
        tally_.failed("feed.stopped", events - i);
        return;
      case Delivery::Outcome::no_pool: {
        refuse(*delivery.error, events - i);
        const std::lock_guard lock(mutex_);
        if (!failure_) failure_ = delivery.error;
        abandon_.request_stop();
        end();
        return;
      }
    }
    handled(1);
  }
}

void Listener::Session::hear(const RunNews& news) {
  if (news.kind == RunNews::Kind::none) return;
  const bool start = news.kind == RunNews::Kind::start;
  spdlog::info("a sender {} its run {}", start ? "starts" : "has ended", news.run.empty() ? "(no name)" : news.run);
  if (start || !options_.end_with_run) return;
  run_ended_ = true;
  wake_.notify();
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

Listener::Listener(ListenOptions options) : options_(std::move(options)), sockets_(std::make_unique<Sockets>()) {}
Listener::~Listener() = default;

Result<std::unique_ptr<Listener>> Listener::open(const ListenOptions& options) {
  if (options.endpoints.empty()) {
    return Error{"config.bad-value", "feed.endpoints is empty: there is nothing to listen to", "nothing was opened",
                 "set feed.endpoints to [\"bind tcp://0.0.0.0:12321\"], or name one with --endpoint"};
  }
  auto listener = std::unique_ptr<Listener>(new Listener(options));
  if (!options.quarantine.empty()) {
    auto quarantine = Quarantine::open(options.quarantine);
    if (!quarantine) return quarantine.error();
    listener->quarantine_ = std::move(*quarantine);
  }
  zmq::socket_t& pull = listener->sockets_->pull;
  pull.set(zmq::sockopt::linger, 0);
  pull.set(zmq::sockopt::rcvhwm, kReceiveHighWater);
  pull.set(zmq::sockopt::maxmsgsize, static_cast<std::int64_t>(options.decode.limits.message_bytes));
  pull.set(zmq::sockopt::tcp_keepalive, 1);
  for (const std::string& text : options.endpoints) {
    const auto endpoint = parse_endpoint(text);
    if (!endpoint) return endpoint.error();
    try {
      if (endpoint->bind) {
        pull.bind(endpoint->address);
        listener->sockets_->addresses.push_back(pull.get(zmq::sockopt::last_endpoint));
      } else {
        pull.connect(endpoint->address);
        listener->sockets_->addresses.push_back(endpoint->address);
      }
    } catch (const zmq::error_t& failure) {
      return Error{"listen.cannot-open", "cannot " + text + ": " + failure.what(), "nothing was received",
                   "is the port taken by another program (ss -ltnp), and is the address one of this machine?"};
    }
  }
  return listener;
}

std::vector<std::string> Listener::addresses() const { return sockets_->addresses; }

std::optional<Error> Listener::run(std::span<const std::unique_ptr<shm::Producer>> producers, Tally& tally,
                                   const std::stop_token& stop, const std::stop_token& now) {
  Session session(options_, sockets_->pull, quarantine_.get(), tally, producers.size());
  std::jthread drain([&](const std::stop_token& over) { session.limit_drain(stop, now, over); });
  {
    std::vector<std::jthread> decoders;
    for (const auto& producer : producers) decoders.emplace_back([&session, &producer] { session.decode(*producer); });
    session.receive(stop);
  }
  return session.failure();
}

}  // namespace peaknet::feed
