// One measurement of the feed's way from the network into slots for scripts/bench, as one line of JSON:
// {"messages_per_s", "cpu_ms_per_message"}.
//
//   feed_run send ADDRESS --file FILE --messages N     the sender: the message of FILE, N times, without copying it
//   feed_run recv | recv-message | listen ...          a receiver: prints "at ADDRESS", takes `warm` messages, then
//                                                      measures N
//   feed_run inflate | decode ...                      the same message from memory, in each of --threads threads
//
//   recv          zmq_recv into one buffer, and nothing else
//   recv-message  zmq_msg_recv: as recv, without its copy
//   listen        peaknet-feed's Listener into slots, which somebody takes and frees without a look at them
//   inflate       libdeflate alone: the largest member of the npz file into one buffer
//   decode        the npz decoder into such slots
#include <unistd.h>
#include <zmq.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <atomic>
#include <barrier>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fstream>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "base/must.hpp"
#include "feed/decoders/inflater.hpp"
#include "feed/decoders/zip.hpp"
#include "feed/deliver.hpp"
#include "feed/listen.hpp"
#include "feed/message_delivery.hpp"
#include "shm/consumer.hpp"
#include "shm/control_segment.hpp"
#include "shm/pool.hpp"
#include "shm/producer.hpp"

namespace peaknet::bench {
namespace {

using Clock = std::chrono::steady_clock;
using Bytes = std::vector<std::byte>;

struct Plan {
  std::string what, address = "tcp://127.0.0.1:*", file;
  std::uint64_t messages = 20, warm = 2;
  std::uint32_t events = 8, size = 1920, threads = 1, slots = 48;
};

void check(bool good, const char* what) {
  if (!good) throw std::runtime_error(std::string(what) + ": " + zmq_strerror(zmq_errno()));
}

Bytes read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  Bytes bytes(static_cast<std::size_t>(std::max<std::streamoff>(0, in.tellg())));
  in.seekg(0);
  if (!in.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size())))
    throw std::runtime_error("cannot read " + path);
  return bytes;
}

class Stopwatch {
 public:
  void show(std::uint64_t messages) const {
    const double seconds = std::chrono::duration<double>(Clock::now() - begin_).count();
    const auto n = static_cast<double>(messages);
    std::printf("{\"messages_per_s\": %.4f, \"cpu_ms_per_message\": %.3f}\n", n / seconds,
                (cpu_seconds() - cpu_) * 1e3 / n);
  }

 private:
  static double cpu_seconds() {
    timespec now{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
  }
  Clock::time_point begin_ = Clock::now();
  double cpu_ = cpu_seconds();
};

class Socket {
 public:
  explicit Socket(int type) : context_(zmq_ctx_new()), socket_(zmq_socket(context_, type)) {}
  ~Socket() {
    zmq_close(socket_);
    zmq_ctx_term(context_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  void set(int option, int value) { check(zmq_setsockopt(socket_, option, &value, sizeof value) == 0, "setsockopt"); }
  void* get() { return socket_; }

 private:
  void* context_;
  void* socket_;
};

void send(const Plan& plan) {
  Bytes message = read_file(plan.file);
  Socket push(ZMQ_PUSH);
  push.set(ZMQ_SNDHWM, 5);
  check(zmq_connect(push.get(), plan.address.c_str()) == 0, "connect");
  for (std::uint64_t i = 0; i < plan.messages; ++i) {
    zmq_msg_t part;
    check(zmq_msg_init_data(
              &part, message.data(), message.size(), [](void*, void*) {}, nullptr) == 0,
          "init");
    check(zmq_msg_send(&part, push.get(), 0) >= 0, "send");
  }
}

void say(const std::string& address) {
  std::printf("at %s\n", address.c_str());
  std::fflush(stdout);
}

void receive(const Plan& plan) {
  Socket pull(ZMQ_PULL);
  pull.set(ZMQ_RCVHWM, 4);
  check(zmq_bind(pull.get(), plan.address.c_str()) == 0, "bind");
  std::array<char, 256> address{};
  std::size_t length = address.size();
  check(zmq_getsockopt(pull.get(), ZMQ_LAST_ENDPOINT, address.data(), &length) == 0, "getsockopt");
  Bytes buffer(std::size_t{plan.events} * plan.size * plan.size * sizeof(float) + (std::size_t{1} << 20));
  say(address.data());
  const auto one = [&] {
    if (plan.what == "recv") {
      check(zmq_recv(pull.get(), buffer.data(), buffer.size(), 0) > 0, "recv");
      return;
    }
    zmq_msg_t part;
    zmq_msg_init(&part);
    check(zmq_msg_recv(&part, pull.get(), 0) > 0, "recv");
    zmq_msg_close(&part);
  };
  for (std::uint64_t i = 0; i < plan.warm; ++i) one();
  const Stopwatch watch;
  for (std::uint64_t i = 0; i < plan.messages; ++i) one();
  watch.show(plan.messages);
}

// A pool of our own, and who takes its frames.
class Slots {
 public:
  explicit Slots(const Plan& plan)
      : instance_("bench_feed_" + std::to_string(::getpid())), owner_(must(shm::InstanceOwner::take(instance_, {}))) {
    const shm::Geometry geometry{plan.slots, 1, plan.size, plan.size, PixelType::float32};
    pool_ =
        must(shm::Pool::create(instance_, 1, geometry, shm::FullPolicy::block, owner_.control_segment()->uuid(), {}));
    owner_.control_segment()->layout().epoch.store(1);
    for (std::uint32_t i = 0; i < plan.threads; ++i)
      producers.push_back(must(feed::attach_producer(instance_, "bench", std::chrono::seconds(1), {})));
    taker_ = std::jthread([this](const std::stop_token& stop) { take_all(stop); });
  }
  ~Slots() {
    taker_ = {};
    producers.clear();
    pool_.reset();
    owner_.remove_if_unused(true);
  }
  Slots(const Slots&) = delete;
  Slots& operator=(const Slots&) = delete;

  std::vector<std::unique_ptr<shm::Producer>> producers;

 private:
  void take_all(const std::stop_token& stop) {
    const auto q1 = must(shm::Consumer::attach(instance_, shm::Queue::q1, "bench"));
    while (!stop.stop_requested()) {
      q1->wait_for_work(std::chrono::milliseconds(10));
      for (auto& frame : q1->take(64).frames) {
        if (auto freed = frame.finish(shm::Counter::written); !freed) throw std::runtime_error(freed.error().text());
      }
    }
  }

  std::string instance_;
  shm::InstanceOwner owner_;
  std::shared_ptr<shm::Pool> pool_;
  std::jthread taker_;
};

void listen(const Plan& plan) {
  Slots slots(plan);
  feed::ListenOptions options;
  options.endpoints = {"bind " + plan.address};
  options.count = (plan.warm + plan.messages) * plan.events;
  auto listener = must(feed::Listener::open(options, feed::Decoders(plan.threads, {})));
  say(listener->addresses().front());
  feed::FeedCounters tally;
  std::jthread session([&] { listener->run(slots.producers, tally, {}, {}); });
  while (tally.counts().committed < plan.warm * plan.events)
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  const Stopwatch watch;
  session.join();
  watch.show(plan.messages);
  if (const auto counts = tally.counts(); counts.failures() > 0 || counts.refused > 0)
    throw std::runtime_error("messages were refused");
}

// `work(thread)` so many times in each thread; the time of all. `warm`: rounds before that, until all memory that it
// writes to has been touched.
template <class Work>
void in_threads(const Plan& plan, std::uint64_t warm, Work work) {
  std::optional<Stopwatch> watch;
  std::barrier start(static_cast<std::ptrdiff_t>(plan.threads), [&]() noexcept { watch.emplace(); });
  {
    std::vector<std::jthread> threads;
    for (std::uint32_t t = 0; t < plan.threads; ++t) {
      threads.emplace_back([&, t] {
        for (std::uint64_t i = 0; i < warm; ++i) work(t);
        start.arrive_and_wait();
        for (std::uint64_t i = 0; i < plan.messages; ++i) work(t);
      });
    }
  }
  watch->show(plan.messages * plan.threads);
}

void inflate(const Plan& plan) {
  const Bytes message = read_file(plan.file);
  const auto members = must(feed::zip_members(message));
  const auto largest = std::max_element(members.begin(), members.end(),
                                        [](const auto& a, const auto& b) { return a.unpacked < b.unpacked; });
  std::vector<Bytes> out(plan.threads, Bytes(largest->unpacked));
  std::vector<feed::WholeInflater> inflaters(plan.threads);
  in_threads(plan, 1, [&](std::uint32_t t) {
    if (!inflaters[t].unpack(largest->packed, feed::Deflate::raw, out[t])) std::abort();
  });
}

void decode(const Plan& plan) {
  const Bytes message = read_file(plan.file);
  Slots slots(plan);
  const feed::Decoders decoders(plan.threads, {});
  std::vector<std::unique_ptr<shm::ContiguousClaims>> rows;
  for (const auto& producer : slots.producers) rows.push_back(std::make_unique<shm::ContiguousClaims>(*producer));
  // Each thread maps the pool for itself, and any of its slots may come.
  const std::uint64_t warm = plan.slots;
  in_threads(plan, warm, [&](std::uint32_t t) {
    feed::MessageDelivery delivery(*slots.producers[t], *rows[t]);
    const auto source = delivery.open(*decoders.all[t], message);
    if (!source) throw std::runtime_error(source.error().text());
    for (std::uint64_t i = 0; i < (*source)->size(); ++i) {
      if (delivery.deliver(**source, i, {}).outcome != feed::Delivery::Outcome::committed)
        throw std::runtime_error("a frame was not committed");
    }
  });
}

int run(int argc, char** argv) {
  Plan plan;
  CLI::App app{"One measurement of the feed."};
  app.add_option("what", plan.what)->required();
  app.add_option("address", plan.address);
  app.add_option("--file", plan.file);
  app.add_option("--messages", plan.messages);
  app.add_option("--warm", plan.warm);
  app.add_option("--events", plan.events);
  app.add_option("--size", plan.size);
  app.add_option("--threads", plan.threads);
  app.add_option("--slots", plan.slots);
  CLI11_PARSE(app, argc, argv);
  if (plan.what == "send") return send(plan), 0;
  if (plan.what == "recv" || plan.what == "recv-message") return receive(plan), 0;
  if (plan.what == "listen") return listen(plan), 0;
  if (plan.what == "inflate") return inflate(plan), 0;
  if (plan.what == "decode") return decode(plan), 0;
  throw std::runtime_error("unknown measurement " + plan.what);
}

}  // namespace
}  // namespace peaknet::bench

int main(int argc, char** argv) {
  try {
    return peaknet::bench::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "feed_run: %s\n", error.what());
    return 1;
  }
}
