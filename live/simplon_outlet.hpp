// SimplonOutlet: hits passed on as Simplon messages over a PUSH socket (DIALS): for each run start, images, end. A hit
// is taken when a receiver has room for it, and books of its own say which were passed on (served_book.hpp).
//
// Invariant: nobody waits here. Without a receiver, hits wait in their files.
//
// A hit counts as served when ZeroMQ has it: a PUSH socket tells no more, so a kill may lose the few that it holds.
// Started again in the middle of a run, it sends the run's start once more.
//
// Threads: one; libzmq has its own. Waiting is for others: fd() becomes readable when that may have changed which
// pass_on() waits for. Errors: live.cannot-listen.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <zmq.hpp>

#include "base/result.hpp"
#include "live/hit_folder.hpp"
#include "live/simplon_message.hpp"

namespace peaknet::live {

class SimplonOutlet {
 public:
  // `endpoint`: "bind tcp://..." or "connect tcp://...".
  static Result<std::unique_ptr<SimplonOutlet>> open(const std::string& endpoint, const SimplonDialect& dialect,
                                                     std::unique_ptr<HitFolder> folder);
  ~SimplonOutlet();  // ends the run that is open, if its receiver takes it at once

  const std::string& address() const { return address_; }
  int fd() { return socket_.get(zmq::sockopt::fd); }
  HitFolder& folder() { return *folder_; }

  // As many hits as there are and as receivers take now.
  void pass_on();

 private:
  struct OpenRun {
    std::string name;
    std::uint64_t images = 0;
  };
  SimplonOutlet(const SimplonDialect& dialect, std::unique_ptr<HitFolder> folder)
      : dialect_(dialect), folder_(std::move(folder)) {}
  bool push(const Bytes& message);
  bool has_room();
  bool begin_run(const Hit& hit);
  bool pass(const Hit& hit);

  SimplonDialect dialect_;
  std::unique_ptr<HitFolder> folder_;
  std::string address_;
  std::optional<OpenRun> run_;
  zmq::context_t context_{1};
  zmq::socket_t socket_{context_, zmq::socket_type::push};
};

}  // namespace peaknet::live
