// CurveGate: which keys may come in by the tcp:// endpoints. libzmq asks it in each handshake (ZAP,
// rfc.zeromq.org/spec/27), before anything of the peer is read.
//
// Make it before the first such endpoint listens: without it libzmq lets every key in. Threads: one, that of the
// endpoints. Errors: zmq::error_t where it cannot be made.
#pragma once

#include <zmq.hpp>

#include "control/curve.hpp"

namespace peaknet::control {

class CurveGate {
 public:
  // The ZAP domains of the endpoints.
  static constexpr const char* kControl = "control";
  static constexpr const char* kReading = "monitor";  // also for keys that may only read

  CurveGate(zmq::context_t& context, CurveClients clients);

  void* handle() { return socket_.handle(); }  // readable when somebody asks
  void answer();                               // all that ask now

 private:
  zmq::socket_t socket_;
  CurveClients clients_;
};

}  // namespace peaknet::control
