#include "bench/shm/transport.hpp"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <boost/date_time/posix_time/posix_time_types.hpp>
#include <boost/interprocess/ipc/message_queue.hpp>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <new>
#include <stdexcept>
#include <zmq.hpp>

#include "base/must.hpp"
#include "shm/consumer.hpp"
#include "shm/control_segment.hpp"
#include "shm/copy_image.hpp"
#include "shm/producer.hpp"

namespace peaknet::bench {
namespace {

// Large images lie in huge pages where there are some, as NumPy asks for them from 4 MiB on: the Python peers copy from
// its arrays.
template <class Value>
struct HugePages {
  using value_type = Value;
  Value* allocate(std::size_t count) {
    constexpr std::size_t kHuge = std::size_t{2} << 20;
    const std::size_t bytes = (count * sizeof(Value) + kHuge - 1) / kHuge * kHuge;
    void* place = std::aligned_alloc(bytes < 2 * kHuge ? alignof(std::max_align_t) : kHuge, bytes);
    if (place == nullptr) throw std::bad_alloc();
    if (bytes >= 2 * kHuge) ::madvise(place, bytes, MADV_HUGEPAGE);  // advice
    return static_cast<Value*>(place);
  }
  void deallocate(Value* place, std::size_t) { std::free(place); }
  bool operator==(const HugePages&) const = default;
};
using Bytes = std::vector<std::byte, HugePages<std::byte>>;
constexpr std::size_t kImageBytes = std::size_t{64} << 20;

// The images that a producer copies from, round and round. Written once, so that their pages are their own.
class Images {
 public:
  explicit Images(std::size_t bytes) : images_(bytes < 1024 ? 1 : std::max<std::size_t>(1, kImageBytes / bytes)) {
    std::size_t i = 0;
    for (auto& image : images_) {
      image.resize(bytes);
      for (auto& byte : image) byte = static_cast<std::byte>(i++ * 2654435761U >> 13);
    }
  }
  std::size_t bytes() const { return images_.front().size(); }
  Bytes& next() {
    at_ = (at_ + 1) % images_.size();
    return images_[at_];
  }
  void fill_next(std::byte* frame) {
    std::memcpy(frame, next().data(), bytes());
    stamp(frame);
  }
  static void stamp(std::byte* frame) {
    const std::int64_t now = now_ns();
    std::memcpy(frame, &now, sizeof now);
  }

 private:
  std::vector<Bytes> images_;
  std::size_t at_ = 0;
};

std::shared_ptr<Images> images_of(std::size_t bytes) { return std::make_shared<Images>(bytes); }

std::int64_t stamp_of(const std::byte* frame, std::size_t bytes) {
  std::int64_t stamp = 0;
  std::memcpy(&stamp, frame, sizeof stamp);
  std::uint64_t last = 0;
  std::memcpy(&last, frame + bytes - sizeof last, sizeof last);
  if (bytes > 16 && last == 0) throw std::runtime_error("a frame arrived that nobody filled");
  return stamp;
}

class Peaknet : public Transport {
 public:
  explicit Peaknet(const Plan& plan)
      : geometry_(geometry_of(plan)), owner_(must(shm::InstanceOwner::take(plan.name, {}))) {
    auto pool =
        shm::Pool::create(plan.name, 1, geometry_, shm::FullPolicy::block, owner_.control_segment()->uuid(), {});
    if (!pool) owner_.remove_if_unused(true);
    must(std::move(pool));
    owner_.control_segment()->layout().epoch.store(1);
  }
  ~Peaknet() override { owner_.remove_if_unused(true); }

  SendClient producer(std::uint32_t) override {
    std::shared_ptr<shm::Producer> client = must(shm::Producer::attach(owner_.control_segment()->instance()));
    return {[client, images = images_of(geometry_.image_bytes())] {
      auto frame = client->claim(std::chrono::milliseconds(20));
      if (!frame) return false;
      must(frame->fill(images->next()));
      Images::stamp(frame->image().data());
      must(frame->commit());
      return true;
    }};
  }
  ReceiveClient consumer(std::uint32_t) override {
    std::shared_ptr<shm::Consumer> client =
        must(shm::Consumer::attach(owner_.control_segment()->instance(), shm::Queue::q1, "bench"));
    return {[client, bytes = geometry_.image_bytes()](bool spin) {
      auto taken = client->take(1);
      if (taken.frames.empty() && !spin) {
        client->wait_for_work(std::chrono::milliseconds(20));
        taken = client->take(1);
      }
      if (taken.frames.empty()) return kNothing;
      const std::int64_t stamp = stamp_of(taken.frames[0].image().data(), bytes);
      must(taken.frames[0].finish(shm::Counter::written));
      return stamp;
    }};
  }
  // As the daemon does, but for the network: what consumers of results get has been through Q1 and Q2.
  ReceiveClient relay(std::uint32_t) override {
    std::shared_ptr<shm::Consumer> client =
        must(shm::Consumer::attach(owner_.control_segment()->instance(), shm::Queue::q1, "bench"));
    return {[client](bool) {
      auto taken = client->take(1);
      if (taken.frames.empty()) {
        client->wait_for_work(std::chrono::milliseconds(20));
        return kNothing;
      }
      must(taken.frames[0].publish(shm::ResultStatus::mask));
      return std::int64_t{0};
    }};
  }

 private:
  static shm::Geometry geometry_of(const Plan& plan) {
    const std::uint32_t width = plan.bytes >= 2048 ? 1024 : 8;
    const shm::Geometry geometry{plan.slots, 1, static_cast<std::uint32_t>(plan.bytes / 2 / width), width,
                                 PixelType::uint16};
    if (geometry.image_bytes() != plan.bytes || plan.bytes == 0)
      throw std::runtime_error("--bytes must be a multiple of 16, from 2048 on of 2048");
    return geometry;
  }
  shm::Geometry geometry_;
  shm::InstanceOwner owner_;
};

// PUSH to PULL over Unix sockets; each consumer binds, each producer sends to all in turn. The frame is filled in the
// message itself, which libzmq takes over without a copy of its own.
class ZeroMq : public Transport {
 public:
  explicit ZeroMq(const Plan& plan) : plan_(plan), folder_(std::filesystem::temp_directory_path() / plan.name) {
    std::filesystem::create_directory(folder_);
  }
  ~ZeroMq() override {
    std::error_code ignored;  // a benchmark's own folder
    std::filesystem::remove_all(folder_, ignored);
  }
  SendClient producer(std::uint32_t) override {
    auto context = std::make_shared<zmq::context_t>(1);
    auto socket = std::make_shared<zmq::socket_t>(*context, zmq::socket_type::push);
    socket->set(zmq::sockopt::linger, 0);
    socket->set(zmq::sockopt::reconnect_ivl, 1);  // ms: the consumer may bind later
    socket->set(zmq::sockopt::sndhwm, static_cast<int>(plan_.slots / 2));
    socket->set(zmq::sockopt::sndtimeo, 20);
    for (std::uint32_t i = 0; i < plan_.consumers; ++i) socket->connect(endpoint(i));
    return {[context, socket, images = images_of(plan_.bytes)] {
      zmq::message_t message(images->bytes());
      images->fill_next(static_cast<std::byte*>(message.data()));
      return socket->send(message, zmq::send_flags::none).has_value();
    }};
  }
  ReceiveClient consumer(std::uint32_t index) override {
    auto context = std::make_shared<zmq::context_t>(1);
    auto socket = std::make_shared<zmq::socket_t>(*context, zmq::socket_type::pull);
    socket->set(zmq::sockopt::linger, 0);
    socket->set(zmq::sockopt::rcvhwm, static_cast<int>(plan_.slots / 2));
    socket->set(zmq::sockopt::rcvtimeo, 20);
    socket->bind(endpoint(index));
    return {[context, socket](bool spin) {
      zmq::message_t message;
      if (!socket->recv(message, spin ? zmq::recv_flags::dontwait : zmq::recv_flags::none)) return kNothing;
      return stamp_of(static_cast<const std::byte*>(message.data()), message.size());
    }};
  }

 private:
  std::string endpoint(std::uint32_t index) const { return "ipc://" + (folder_ / std::to_string(index)).string(); }
  Plan plan_;
  std::filesystem::path folder_;
};

// One queue of Boost.Interprocess: a mutex, and a copy on either side.
class BoostQueue : public Transport {
 public:
  explicit BoostQueue(const Plan& plan)
      : plan_(plan), queue_(boost::interprocess::create_only, plan.name.c_str(), plan.slots, plan.bytes) {}
  ~BoostQueue() override { boost::interprocess::message_queue::remove(plan_.name.c_str()); }
  SendClient producer(std::uint32_t) override {
    auto queue = open();
    return {[queue, images = images_of(plan_.bytes)] {
      const std::int64_t stamp = now_ns();  // the copy into the queue is the fill
      Bytes& image = images->next();
      std::memcpy(image.data(), &stamp, sizeof stamp);
      return queue->timed_send(image.data(), image.size(), 0, soon());
    }};
  }
  ReceiveClient consumer(std::uint32_t) override {
    auto queue = open();
    return {[queue, frame = std::make_shared<Bytes>(plan_.bytes)](bool spin) {
      boost::interprocess::message_queue::size_type size = 0;
      unsigned priority = 0;
      const bool received = spin ? queue->try_receive(frame->data(), frame->size(), size, priority)
                                 : queue->timed_receive(frame->data(), frame->size(), size, priority, soon());
      return received ? stamp_of(frame->data(), size) : kNothing;
    }};
  }

 private:
  static boost::posix_time::ptime soon() {
    return boost::posix_time::microsec_clock::universal_time() + boost::posix_time::milliseconds(20);
  }
  std::shared_ptr<boost::interprocess::message_queue> open() const {
    return std::make_shared<boost::interprocess::message_queue>(boost::interprocess::open_only, plan_.name.c_str());
  }
  Plan plan_;
  boost::interprocess::message_queue queue_;
};

// The least that waking somebody costs: a word, futex wake, futex wait. One producer, one consumer, no frames.
class BareFutex : public Transport {
 public:
  explicit BareFutex(const Plan& plan) {
    if (plan.producers != 1 || plan.consumers != 1) throw std::runtime_error("futex hands over one to one");
    void* page = ::mmap(nullptr, sizeof(Word), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) throw std::runtime_error("no memory for a futex");
    word_ = new (page) Word;
  }
  ~BareFutex() override { ::munmap(word_, sizeof(Word)); }
  SendClient producer(std::uint32_t) override {
    return {[word = word_] {
      word->stamp.store(now_ns(), std::memory_order_relaxed);
      word->count.fetch_add(1, std::memory_order_seq_cst);
      ::syscall(SYS_futex, &word->count, FUTEX_WAKE, 1, nullptr, nullptr, 0);
      return true;
    }};
  }
  ReceiveClient consumer(std::uint32_t) override {
    return {[word = word_, seen = std::uint32_t{0}](bool spin) mutable {
      std::uint32_t count = word->count.load(std::memory_order_seq_cst);
      if (count == seen && !spin) {
        const timespec slice{0, 20'000'000};
        ::syscall(SYS_futex, &word->count, FUTEX_WAIT, seen, &slice, nullptr, 0);
        count = word->count.load(std::memory_order_seq_cst);
      }
      if (count == seen) return kNothing;
      seen = count;
      return word->stamp.load(std::memory_order_relaxed);
    }};
  }

 private:
  struct Word {
    std::atomic<std::uint32_t> count{0};
    std::atomic<std::int64_t> stamp{0};
  };
  Word* word_;
};

// One thread that copies frames into private memory: what a hand-over would cost if it cost nothing. Round as many
// buffers as the others have slots, as a ring would; "memcpy-warm" always into the same one. "copy-image" copies with
// the function that our producers have instead of one memcpy.
class Memcpy : public Transport {
 public:
  Memcpy(const Plan& plan, std::uint32_t buffers, bool in_pieces)
      : plan_(plan), buffers_(buffers), in_pieces_(in_pieces) {}
  SendClient producer(std::uint32_t) override {
    auto ring = std::make_shared<Bytes>(plan_.bytes * buffers_, std::byte{1});
    return {[ring, images = images_of(plan_.bytes), at = std::size_t{0}, this]() mutable {
      std::byte* const frame = ring->data() + at * plan_.bytes;
      if (in_pieces_) {
        shm::copy_image(frame, images->next());
        Images::stamp(frame);
      } else {
        images->fill_next(frame);
      }
      at = (at + 1) % buffers_;
      return true;
    }};
  }
  ReceiveClient consumer(std::uint32_t) override { throw std::runtime_error("memcpy has no consumer: --consumers 0"); }

 private:
  Plan plan_;
  std::uint32_t buffers_;
  bool in_pieces_;
};

}  // namespace

ReceiveClient Transport::relay(std::uint32_t) { throw std::runtime_error("only peaknet has relays"); }

std::unique_ptr<Transport> Transport::make(const Plan& plan) {
  if (plan.transport == "peaknet") return std::make_unique<Peaknet>(plan);
  if (plan.transport == "zeromq") return std::make_unique<ZeroMq>(plan);
  if (plan.transport == "boost") return std::make_unique<BoostQueue>(plan);
  if (plan.transport == "futex") return std::make_unique<BareFutex>(plan);
  if (plan.transport == "memcpy") return std::make_unique<Memcpy>(plan, plan.slots, false);
  if (plan.transport == "memcpy-warm") return std::make_unique<Memcpy>(plan, 1, false);
  if (plan.transport == "copy-image") return std::make_unique<Memcpy>(plan, plan.slots, true);
  throw std::runtime_error("no transport is called '" + plan.transport + "'");
}

const std::vector<std::string>& transports() {
  static const std::vector<std::string> kNames{"peaknet", "zeromq",      "boost",     "futex",
                                               "memcpy",  "memcpy-warm", "copy-image"};
  return kNames;
}

std::int64_t now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * std::int64_t{1'000'000'000} + now.tv_nsec;
}

}  // namespace peaknet::bench
