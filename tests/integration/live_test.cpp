// Hits to CrystFEL while a run goes on. The workers here are as those of indexamajig: a REQ socket each, MsgPack
// unpacked by a well-kept library, read with CrystFEL's traps (tests/unit/live/crystfel_reader.hpp).
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>
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
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr std::size_t kFrames = 3'000;
#else
  constexpr std::size_t kFrames = 10'000;
#endif
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

// CrystFEL itself, where it is installed with ZeroMQ and MsgPack.
std::string indexamajig() {
  const char* path = std::getenv("PATH");
  std::stringstream folders(path == nullptr ? "" : path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    const auto program = std::filesystem::path(folder) / "indexamajig";
    if (::access(program.c_str(), X_OK) != 0) continue;
    Child help = Child::start({program.string(), "--help"});
    help.wait();
    if (help.out().find("zmq-request") != std::string::npos) return program.string();
  }
  return "";
}

constexpr const char* kGeometry = R"(photon_energy = 9500
clen = 0.1
res = 10000
adu_per_eV = 0.001
data = /entry_1/data_1/data
dim0 = %
dim1 = ss
dim2 = fs
peak_list = /entry_1/result_1
mask = /entry_1/data_1/mask
mask_good = 0x0000
mask_bad = 0xffff
p0/min_fs = 0
p0/max_fs = 63
p0/min_ss = 0
p0/max_ss = 63
p0/fs = +1.0x
p0/ss = +1.0y
p0/corner_x = -32
p0/corner_y = -32
)";

struct Indexed {
  int times = 0;
  std::size_t peaks = 0;
  float first_x = -1;  // as in the stream
};

std::map<std::string, Indexed> read_stream(const std::filesystem::path& path) {
  std::map<std::string, Indexed> frames;
  std::ifstream stream(path);
  std::string frame;
  Indexed now;
  bool first_peak = false;
  for (std::string line; std::getline(stream, line);) {
    if (line == "----- Begin chunk -----") {
      frame.clear();
      now = {};
    } else if (line.starts_with("header/str/frame = ")) {
      frame = line.substr(line.find('=') + 2);
    } else if (line.starts_with("num_peaks = ")) {
      now.peaks = std::stoul(line.substr(12));
    } else if (line.find("fs/px") != std::string::npos && now.first_x < 0) {
      first_peak = true;
    } else if (first_peak) {
      now.first_x = std::stof(line);
      first_peak = false;
    } else if (line == "----- End chunk -----") {
      now.times = frames[frame].times + 1;
      frames[frame] = now;
    }
  }
  return frames;
}

TEST(Live, GivesIndexamajigEveryHitOnceAcrossARestart) {
  const std::string program = indexamajig();
  if (program.empty()) GTEST_SKIP() << "indexamajig with ZeroMQ is not installed";
  System system(kHits);
  std::ofstream(system.folder() / "flat.geom") << kGeometry;
  const std::vector<std::string> set = {"output.geometry=flat.geom"};
  system.start_daemon(set);
  system.start_writer(set);
  ASSERT_EQ(system.feed({"simulate", "--frames", "200", "--hit-fraction", "1", "--seed", "5"}).wait(), Exit::code(0));
  ASSERT_EQ(system.ctl({"stop"}).wait(), Exit::code(0));
  const auto events = system.events_in_files();
  ASSERT_GT(events.size(), 100U);
  const auto start_live = [&](const std::string& address) {
    return system.launch("peaknet-live", {"--stream", "live.stream"},
                         {"live.crystfel=" + address, "live.state_dir=live", "output.geometry=flat.geom"});
  };
  Child live = start_live("tcp://127.0.0.1:0");
  const std::string address = address_of(live);
  const auto geometry = system.folder() / "live" / "peaknet_cxi.live.geom";
  ASSERT_TRUE(eventually([&] { return std::filesystem::exists(geometry); })) << live.err();
  const auto stream = system.folder() / "live.stream";
  Child crystfel = Child::start(
      {program, "--zmq-input=" + address, "--zmq-request=next", "--data-format=msgpack", "--peaks=msgpack",
       "--indexing=none", "-g", geometry.string(), "-o", stream.string(), "-j", "2", "--copy-header=frame"},
      {.folder = system.folder().string()});
  ASSERT_TRUE(eventually([&] { return read_stream(stream).size() > events.size() / 4; }, 60s)) << crystfel.err();
  live.kill();
  live = start_live(address);
  address_of(live);
  const auto uncertain = counts(address).at("uncertain").get<std::size_t>();
  EXPECT_TRUE(eventually([&] { return read_stream(stream).size() + uncertain >= events.size(); }, 60s))
      << counts(address).dump() << crystfel.err();
  EXPECT_TRUE(eventually([&] {
    return counts(address).at("indexing").dump().find("\"frames\":" + std::to_string(read_stream(stream).size())) !=
           std::string::npos;
  })) << counts(address).dump();
  crystfel.signal(SIGUSR1);
  crystfel.wait();
  auto frames = read_stream(stream);
  std::size_t missing = 0;
  for (const auto& event : events) {
    const auto found = frames.find(name_of(event));
    if (found == frames.end()) {
      ++missing;
      continue;
    }
    EXPECT_EQ(found->second.times, 1) << name_of(event);
    EXPECT_EQ(found->second.peaks, event.x.size()) << name_of(event);
    EXPECT_NEAR(found->second.first_x, event.x.front() + 0.5F, 0.011F) << name_of(event);
  }
  EXPECT_LE(missing, uncertain);
  EXPECT_EQ(frames.size() + missing, events.size());
}

}  // namespace
}  // namespace peaknet::test
