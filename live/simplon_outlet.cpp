#include "live/simplon_outlet.hpp"

#include "base/log_line.hpp"
#include "base/process_limits.hpp"

namespace peaknet::live {
namespace {

constexpr int kSendHighWater = 4;  // messages a receiver; each may be megabytes
constexpr int kLingerMs = 2000;

std::string run_of(const Hit& hit) {
  const writer::Event& event = hit.stored.event;
  return event.source_run.empty() ? event.key.run : event.source_run;
}

}  // namespace

Result<std::unique_ptr<SimplonOutlet>> SimplonOutlet::open(const std::string& endpoint, const SimplonDialect& dialect,
                                                           std::unique_ptr<HitFolder> folder) {
  if (auto room = room_for(kMessagingThreads, kMessagingDescriptors); !room) return room.error();
  std::unique_ptr<SimplonOutlet> outlet(new SimplonOutlet(dialect, std::move(folder)));
  const std::size_t space = endpoint.find(' ');
  const std::string address = endpoint.substr(space + 1);
  zmq::socket_t& socket = outlet->socket_;
  try {
    socket.set(zmq::sockopt::sndhwm, kSendHighWater);
    socket.set(zmq::sockopt::linger, kLingerMs);
    socket.set(zmq::sockopt::tcp_keepalive, 1);
    if (endpoint.starts_with("bind ")) {
      socket.bind(address);
    } else {
      socket.set(zmq::sockopt::immediate, 1);  // nothing is queued for a receiver that is not there
      socket.connect(address);
    }
    outlet->address_ = socket.get(zmq::sockopt::last_endpoint);
  } catch (const zmq::error_t& failure) {
    return Error{"live.cannot-listen", "cannot " + endpoint + ": " + failure.what(), "nothing was sent",
                 "is the port taken by another program (ss -ltnp), and is the address one of this machine?"};
  }
  return outlet;
}

SimplonOutlet::~SimplonOutlet() {
  if (run_) push(simplon_end(dialect_, run_->name));
}

bool SimplonOutlet::push(const Bytes& message) {
  try {
    return socket_.send(zmq::buffer(message), zmq::send_flags::dontwait).has_value();
  } catch (const zmq::error_t& failure) {
    log::warn("a message for DIALS could not be sent: {}", failure.what());
    return false;
  }
}

bool SimplonOutlet::has_room() { return (socket_.get(zmq::sockopt::events) & ZMQ_POLLOUT) != 0; }

void SimplonOutlet::pass_on() {
  while (has_room()) {
    const auto hit = folder_->take();
    if (!hit) return;
    if (!pass(*hit)) {
      folder_->give_back(*hit);
      return;
    }
  }
}

// False: a receiver has no room for it now.
bool SimplonOutlet::pass(const Hit& hit) {
  if (!begin_run(hit)) return false;
  const auto pixels = folder_->pixels(hit);
  if (!pixels) {
    folder_->pass(hit, pixels.error());
    return true;
  }
  if (const auto noted = HitFolder::begin(hit); !noted) {
    log::error("{}", noted.error().text());
    return false;
  }
  const bool sent =
      push(simplon_image(dialect_, hit.file->facts(), hit.stored.event, run_->name, run_->images + 1, *pixels));
  folder_->end(hit, sent);
  if (sent) ++run_->images;
  return sent;
}

bool SimplonOutlet::begin_run(const Hit& hit) {
  const std::string run = run_of(hit);
  if (run_ && run_->name != run) {
    if (!push(simplon_end(dialect_, run_->name))) return false;
    run_.reset();
  }
  if (run_) return true;
  if (!push(simplon_start(dialect_, hit.file->facts(), run))) return false;
  run_ = OpenRun{run};
  return true;
}

}  // namespace peaknet::live
