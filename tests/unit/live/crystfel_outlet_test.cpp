#include "live/crystfel_outlet.hpp"

#include <gtest/gtest.h>
#include <poll.h>

#include <nlohmann/json.hpp>
#include <zmq.hpp>

#include "base/must.hpp"
#include "tests/unit/cxi/samples.hpp"
#include "tests/unit/live/crystfel_reader.hpp"

namespace peaknet::live {
namespace {

class CrystfelOutletTest : public ::testing::Test {
 protected:
  CrystfelOutletTest() {
    std::filesystem::create_directories(folder_.path() / "live");
    outlet_ = must(CrystfelOutlet::open("tcp://127.0.0.1:*",
                                        must(HitFolder::open({folder_.path(), folder_.path() / "live", "p", "{run}",
                                                              "live", "0217", Order::all, 1000})),
                                        streams_));
  }
  zmq::socket_t worker(const std::string& text) {
    zmq::socket_t socket(context_, zmq::socket_type::req);
    socket.set(zmq::sockopt::linger, 0);
    socket.connect(outlet_->address());
    socket.send(zmq::buffer(text), zmq::send_flags::none);
    return socket;
  }
  // Turns the outlet until the worker has its answer; the test's time-out is the limit.
  Bytes answer_of(zmq::socket_t& worker) {
    zmq::message_t message;
    while (!worker.recv(message, zmq::recv_flags::dontwait)) {
      must(outlet_->folder().look(true));
      outlet_->turn();
      pollfd waiting{outlet_->fd(), POLLIN, 0};
      ::poll(&waiting, 1, 10);
    }
    const auto* data = static_cast<const std::uint8_t*>(message.data());
    return {data, data + message.size()};
  }
  test::TempFolder folder_;
  std::vector<StreamTally> streams_;
  zmq::context_t context_;
  std::unique_ptr<CrystfelOutlet> outlet_;
};

TEST_F(CrystfelOutletTest, TellsTheCountsWhileWorkersWaitForAHit) {
  auto waits = worker("next");
  auto asks = worker("counts");
  auto counts = nlohmann::json::parse(answer_of(asks));
  while (counts.at("workers_waiting") != 1) {
    asks.send(zmq::buffer(std::string("counts")), zmq::send_flags::none);
    counts = nlohmann::json::parse(answer_of(asks));
  }
  EXPECT_EQ(counts.at("waiting"), 0);
  test::finish_file(folder_.path(), "0217", 0, 0, 1);
  const auto hit = test::read_as_crystfel(answer_of(waits), {.headers = {"frame"}});
  EXPECT_EQ(hit.headers.at("frame"), "run 0217 producer 3 frame 0");
  EXPECT_EQ(nlohmann::json::parse(outlet_->counts_text()).at("served"), 1);
}

TEST_F(CrystfelOutletTest, GivesWorkersThatComeAndGoOneHitEach) {
  test::finish_file(folder_.path(), "0217", 0, 0, 2);
  for (std::uint64_t number = 0; number < 2; ++number) {
    auto one = worker("next");
    const auto hit = test::read_as_crystfel(answer_of(one), {.headers = {"frame"}});
    EXPECT_EQ(hit.headers.at("frame"), "run 0217 producer 3 frame " + std::to_string(number));
  }
  const auto counts = nlohmann::json::parse(outlet_->counts_text());
  EXPECT_EQ(counts.at("served"), 2);
  EXPECT_EQ(counts.at("in_hand"), 0);
}

}  // namespace
}  // namespace peaknet::live
