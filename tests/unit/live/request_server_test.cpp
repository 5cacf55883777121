// libzmq's own REQ sockets, as each worker of indexamajig has one, against the server. One thread turns both.
#include "live/request_server.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <zmq.hpp>

#include "base/must.hpp"

namespace peaknet::live {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using Peer = RequestServer::Peer;

// As im_zmq_connect().
class Worker {
 public:
  Worker(zmq::context_t& context, const std::string& address, zmq::socket_type type = zmq::socket_type::req)
      : socket_(context, type) {
    socket_.set(zmq::sockopt::linger, 0);
    socket_.connect(address);
  }
  void ask(const std::string& text = "next") { socket_.send(zmq::buffer(text), zmq::send_flags::none); }
  std::optional<Bytes> got() {
    zmq::message_t message;
    if (!socket_.recv(message, zmq::recv_flags::dontwait)) return std::nullopt;
    const auto* data = static_cast<const std::uint8_t*>(message.data());
    return Bytes(data, data + message.size());
  }

 private:
  zmq::socket_t socket_;
};

class RequestServerTest : public ::testing::Test {
 protected:
  RequestServerTest() { open({.address = "tcp://127.0.0.1:*"}); }

  void open(const RequestServer::Options& options) {
    server_.reset();
    server_ =
        must(RequestServer::open(options, {[this](Peer peer) -> Status {
                                             told_.push_back("begins");
                                             last_ = peer;
                                             if (refuse_) return Error{"disk", "", "", ""};
                                             return {};
                                           },
                                           [this](Peer, bool sent) { told_.push_back(sent ? "sent" : "not yet"); },
                                           [this](Peer) { told_.push_back("lost"); }}));
  }
  // Turns the server until the condition holds; the test's time-out is the limit.
  template <class Condition>
  auto turn_until(Condition&& condition) {
    for (;;) {
      server_->serve();
      server_->look_after(RequestServer::Clock::now());
      if (auto held = condition()) return held;
      pollfd waiting{server_->fd(), POLLIN, 0};
      ::poll(&waiting, 1, 10);
    }
  }
  Peer asked() {
    turn_until([&] { return server_->waiting() > 0; });
    return server_->requests().front().peer;
  }
  zmq::context_t context_;
  std::unique_ptr<RequestServer> server_;
  std::vector<std::string> told_;
  Peer last_ = 0;
  bool refuse_ = false;
};

TEST_F(RequestServerTest, AnswersEachWorkerOnceForEachRequest) {
  Worker one(context_, server_->address());
  Worker other(context_, server_->address());
  for (std::uint8_t round = 0; round < 5; ++round) {
    one.ask();
    const Peer first = asked();
    other.ask("more");
    turn_until([&] { return server_->waiting() == 2; });
    const auto requests = server_->requests();
    EXPECT_EQ(requests[0].peer, first);
    EXPECT_EQ(requests[0].text, "next");
    EXPECT_EQ(requests[1].text, "more");
    server_->hand_over(first, Bytes{round, 1});
    server_->hand_over(requests[1].peer, Bytes(100'000, round));
    EXPECT_EQ(*turn_until([&] { return one.got(); }), (Bytes{round, 1}));
    EXPECT_EQ(*turn_until([&] { return other.got(); }), Bytes(100'000, round));
  }
  EXPECT_EQ(std::count(told_.begin(), told_.end(), "sent"), 10);
}

TEST_F(RequestServerTest, SendsAReplyOfManyMegabytesToAWorkerThatReadsSlowly) {
  Worker worker(context_, server_->address());
  worker.ask();
  const Bytes large(64 << 20, 7);
  server_->hand_over(asked(), large);
  EXPECT_EQ(*turn_until([&] { return worker.got(); }), large);
  EXPECT_THAT(told_, ElementsAre("begins", "sent"));
}

TEST_F(RequestServerTest, SaysThatAReplyWasLostWhenItsWorkerGoesBeforeTheEnd) {
  auto worker = std::make_unique<Worker>(context_, server_->address());
  worker->ask();
  const Peer peer = asked();
  refuse_ = true;  // the last byte waits
  server_->hand_over(peer, Bytes{1, 2, 3});
  EXPECT_FALSE(worker->got());
  worker.reset();
  turn_until([&] { return server_->peers() == 0; });
  EXPECT_EQ(told_.back(), "lost");
  EXPECT_EQ(std::count(told_.begin(), told_.end(), "sent"), 0);
}

TEST_F(RequestServerTest, HoldsTheLastByteUntilItIsAllowed) {
  Worker worker(context_, server_->address());
  worker.ask();
  const Peer peer = asked();
  refuse_ = true;
  server_->hand_over(peer, Bytes{1, 2, 3});
  turn_until([&] { return told_.size() >= 2; });
  EXPECT_FALSE(worker.got());
  refuse_ = false;
  EXPECT_EQ(*turn_until([&] { return worker.got(); }), (Bytes{1, 2, 3}));
  EXPECT_EQ(told_.back(), "sent");
}

TEST_F(RequestServerTest, ForgetsAWorkerThatWentWhileItWaited) {
  auto worker = std::make_unique<Worker>(context_, server_->address());
  worker->ask();
  asked();
  worker.reset();
  turn_until([&] { return server_->waiting() == 0; });
  EXPECT_TRUE(told_.empty());
}

// The reply died with the process (docs/decisions.md, peaknet-live).
TEST_F(RequestServerTest, WakesAWorkerWhoseReplyDiedWithTheServerBefore) {
  Worker worker(context_, server_->address());
  worker.ask();
  asked();
  open({.address = server_->address(), .silence = 100ms});
  EXPECT_EQ(turn_until([&] { return worker.got(); })->size(), 1U);  // "no frame" for CrystFEL
  worker.ask();
  server_->hand_over(asked(), Bytes{4, 5});
  EXPECT_EQ(*turn_until([&] { return worker.got(); }), (Bytes{4, 5}));
}

TEST_F(RequestServerTest, TakesNothingFromAWorkerThatWasBusyWhileTheServerCameAgain) {
  Worker worker(context_, server_->address());
  worker.ask();
  server_->hand_over(asked(), Bytes{1});
  EXPECT_EQ(*turn_until([&] { return worker.got(); }), Bytes{1});  // it works on this
  open({.address = server_->address(), .silence = 50ms});
  turn_until([&] { return server_->peers() == 1; });
  turn_until([&] { return server_->peers() == 0; });  // it was woken, in vain
  worker.ask();
  server_->hand_over(asked(), Bytes{2});
  EXPECT_EQ(*turn_until([&] { return worker.got(); }), Bytes{2});
}

TEST_F(RequestServerTest, AnswersWithoutAHandover) {
  Worker worker(context_, server_->address());
  worker.ask("counts");
  server_->answer(asked(), Bytes{9});
  EXPECT_EQ(*turn_until([&] { return worker.got(); }), Bytes{9});
  EXPECT_TRUE(told_.empty());
}

TEST_F(RequestServerTest, RefusesSocketsThatCannotAsk) {
  Worker subscriber(context_, server_->address(), zmq::socket_type::sub);
  turn_until([&] { return server_->peers() == 1; });
  turn_until([&] { return server_->peers() == 0; });
}

TEST_F(RequestServerTest, SaysWhyItCannotListen) {
  for (const std::string& address :
       {server_->address(), std::string("tcp://no.such.host.invalid:1"), std::string("ipc:///x")}) {
    const auto second = RequestServer::open({.address = address}, {});
    ASSERT_FALSE(second.ok()) << address;
    EXPECT_EQ(second.error().id, "live.cannot-listen");
  }
}

}  // namespace
}  // namespace peaknet::live
