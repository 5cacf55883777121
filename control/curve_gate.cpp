#include "control/curve_gate.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace peaknet::control {

CurveGate::CurveGate(zmq::context_t& context, CurveClients clients)
    : socket_(context, zmq::socket_type::rep), clients_(std::move(clients)) {
  socket_.set(zmq::sockopt::linger, 0);
  socket_.bind("inproc://zeromq.zap.01");
}

void CurveGate::answer() {
  std::vector<std::string> request;
  zmq::message_t part;
  while (socket_.recv(part, zmq::recv_flags::dontwait)) {
    request.push_back(part.to_string());
    if (part.more()) continue;
    // version, request id, domain, address, identity, mechanism, key (32 bytes)
    bool good = false;
    std::string user;
    if (request.size() == 7 && request[5] == "CURVE" && request[6].size() == 32) {
      std::array<char, 41> text{};
      zmq_z85_encode(text.data(), reinterpret_cast<const std::uint8_t*>(request[6].data()), request[6].size());
      if (const auto known = clients_.find(text.data()); known != clients_.end()) {
        good = request[2] == kReading || !known->second.read_only;
        user = known->second.name;
      }
    }
    const std::string id = request.size() > 1 ? request[1] : "";
    for (const std::string& answer :
         {std::string("1.0"), id, std::string(good ? "200" : "400"), std::string(good ? "" : "unknown key"), user})
      socket_.send(zmq::buffer(answer), zmq::send_flags::sndmore | zmq::send_flags::dontwait);
    socket_.send(zmq::message_t(), zmq::send_flags::dontwait);  // no metadata of ours
    request.clear();
  }
}

}  // namespace peaknet::control
