// Hits to CrystFEL while a run goes on. The workers here are as those of indexamajig: a REQ socket each, MsgPack
// unpacked by a well-kept library, read with CrystFEL's traps (tests/unit/live/crystfel_reader.hpp).
#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <thread>
#include <zmq.hpp>

#include "tests/integration/system.hpp"
#include "tests/unit/live/crystfel_reader.hpp"

namespace peaknet::test {
namespace {

using namespace std::chrono_literals;

// As im_zmq_fetch(): after a time-out it only listens again.
class Worker {
 public:
  Worker(zmq::context_t& context, const std::string& address) : socket_(context, zmq::socket_type::req) {
    socket_.set(zmq::sockopt::linger, 0);
    socket_.set(zmq::sockopt::rcvtimeo, 100);
    socket_.connect(address);
  }
  std::optional<std::vector<std::uint8_t>> fetch(const std::string& text = "next") {
    if (!sent_) socket_.send(zmq::buffer(text), zmq::send_flags::none);
    sent_ = true;
    zmq::message_t message;
    if (!socket_.recv(message)) return std::nullopt;
    sent_ = false;
    const auto* data = static_cast<const std::uint8_t*>(message.data());
    return std::vector<std::uint8_t>(data, data + message.size());
  }

 private:
  zmq::socket_t socket_;
  bool sent_ = false;
};

struct Got {
  int times = 0;
  CrystfelImage image;
};

// So many workers in threads of their own, that share what they get.
class Workers {
 public:
  Workers(const std::string& address, int count) {
    for (int i = 0; i < count; ++i) {
      threads_.emplace_back([this, address](const std::stop_token& stop) {
        Worker worker(context_, address);
        while (!stop.stop_requested()) {
          if (const auto message = worker.fetch()) take(*message);
        }
      });
    }
  }
  std::size_t hits() const {
    const std::lock_guard lock(mutex_);
    return got_.size();
  }
  std::map<std::string, Got> end() {
    for (auto& thread : threads_) thread.request_stop();
    threads_.clear();
    return std::move(got_);
  }

 private:
  void take(const std::vector<std::uint8_t>& message) {
    if (message.size() <= 15) return;  // "no frame"
    auto image = read_as_crystfel(message, {.headers = {"frame", "event_id"}});
    image.pixels.clear();
    const std::lock_guard lock(mutex_);
    Got& got = got_[image.headers["frame"]];
    ++got.times;
    got.image = std::move(image);
  }
  zmq::context_t context_;
  mutable std::mutex mutex_;
  std::map<std::string, Got> got_;
  std::vector<std::jthread> threads_;
};

// The address that a program says it serves on.
std::string address_of(Child& live) {
  std::smatch found;
  std::string text;
  const bool up = eventually(
      [&] {
        text = live.err();
        return !live.running() || std::regex_search(text, std::regex("on tcp://127"));
      },
      60s);
  if (!up || !std::regex_search(text, found, std::regex("on (tcp://[0-9.]+:[0-9]+)")))
    throw std::runtime_error("peaknet-live does not serve: " + live.err());
  return found[1];
}

nlohmann::json counts(const std::string& address) {
  zmq::context_t context;
  Worker worker(context, address);
  for (;;) {
    if (const auto text = worker.fetch("counts")) return nlohmann::json::parse(*text);
  }
}

std::string name_of(const System::Event& event) {
  return "run " + event.run + " producer " + std::to_string(event.key.first) + " frame " +
         std::to_string(event.key.second);
}

void expect_each_once(const std::map<std::string, Got>& got, const System& system, std::size_t uncertain) {
  std::size_t missing = 0;
  const auto events = system.events_in_files();
  for (const auto& event : events) {
    const auto found = got.find(name_of(event));
    if (found == got.end()) {
      ++missing;
      continue;
    }
    EXPECT_EQ(found->second.times, 1) << name_of(event);
    EXPECT_EQ(found->second.image.complaint, "");
    EXPECT_EQ(found->second.image.headers.at("event_id"), std::to_string(event.event_id));
    EXPECT_EQ(found->second.image.peak_fs, std::vector<double>(event.x.begin(), event.x.end())) << name_of(event);
    EXPECT_EQ(found->second.image.peak_ss, std::vector<double>(event.y.begin(), event.y.end())) << name_of(event);
  }
  EXPECT_LE(missing, uncertain);  // and each of these is named in the log
  EXPECT_EQ(got.size() + missing, events.size());
}

const System::Options kHits{.model = "builtin:threshold=150", .shape = "[1,64,64]", .slots = 128, .batch = 16};

TEST(Live, GivesTenThousandHitsOfARunningSystemOnceEachAcrossTenKills) {
  constexpr std::size_t kFrames = 10'000;
  System system(kHits);
  system.start_daemon({"peaks.min_num_peak=0"});
  system.start_writer({"peaks.min_num_peak=0"});
  auto feed = system.launch("peaknet-feed", {"simulate", "--frames", std::to_string(kFrames), "--hit-fraction", "1",
                                             "--seed", "11", "--rate", "1500"});
  const auto start_live = [&](const std::string& address) {
    return system.launch("peaknet-live", {}, {"live.crystfel=" + address, "live.state_dir=live"});
  };
  Child live = start_live("tcp://127.0.0.1:0");
  const std::string address = address_of(live);
  std::size_t uncertain = 0;
  std::map<std::string, Got> got;
  {
    Workers workers(address, 4);
    for (std::size_t kill = 1; kill <= 10; ++kill) {
      ASSERT_TRUE(eventually([&] { return workers.hits() >= kill * kFrames / 12; }, 120s)) << live.err();
      live.kill();
      live = start_live(address);
      address_of(live);
      uncertain += counts(address).at("uncertain").get<std::size_t>();
    }
    ASSERT_EQ(feed.wait(), Exit::code(0)) << feed.err();
    ASSERT_EQ(system.ctl({"stop"}).wait(), Exit::code(0));
    ASSERT_TRUE(eventually(
        [&] {
          const auto now = counts(address);
          return !now.at("growing").get<bool>() && now.at("waiting") == 0 && now.at("in_hand") == 0;
        },
        120s))
        << live.err();
    ASSERT_TRUE(eventually([&] { return workers.hits() + uncertain >= kFrames; }, 30s)) << counts(address).dump();
    got = workers.end();
  }
  expect_each_once(got, system, uncertain);
  RecordProperty("uncertain", static_cast<int>(uncertain));
  EXPECT_GE(got.size() + uncertain, kFrames);

  // The run knows nothing of it.
  const auto frames = system.stats().at("frames");
  EXPECT_EQ(frames.at("imbalance"), 0);
  EXPECT_EQ(frames.at("written"), kFrames);
  EXPECT_TRUE(system.run("peaknetctl", {"audit", system.output().string()}).wait() == Exit::code(0));
  live.signal(SIGTERM);
  EXPECT_EQ(live.wait(), Exit::code(0)) << live.err();
}

TEST(Live, GivesARunThatIsOverToSeveralWorkersByTheSameCode) {
  System system(kHits);
  system.start_daemon();
  system.start_writer();
  ASSERT_EQ(system.feed({"simulate", "--frames", "300", "--hit-fraction", "1", "--seed", "3"}).wait(), Exit::code(0));
  ASSERT_EQ(system.ctl({"stop"}).wait(), Exit::code(0));
  const auto events = system.events_in_files();
  ASSERT_GT(events.size(), 100U);

  Child live = system.launch("peaknet-live", {"--run", events.front().run, "--name", "again"},
                             {"live.crystfel=tcp://127.0.0.1:*"});
  const std::string address = address_of(live);
  Workers workers(address, 3);
  ASSERT_TRUE(eventually([&] { return workers.hits() == events.size(); }, 60s)) << counts(address).dump();
  expect_each_once(workers.end(), system, 0);
  const auto now = counts(address);
  EXPECT_EQ(now.at("served"), events.size());
  EXPECT_EQ(now.at("waiting"), 0);
  EXPECT_EQ(now.at("skipped"), 0);

  // A second server with the same name would serve them twice.
  Child second =
      system.run("peaknet-live", {"--run", events.front().run, "--name", "again"}, {"live.crystfel=tcp://127.0.0.1:*"});
  EXPECT_EQ(second.wait(), Exit::code(73));
  EXPECT_NE(second.err().find("live.book-taken"), std::string::npos) << second.err();
}

}  // namespace
}  // namespace peaknet::test
