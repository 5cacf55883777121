#include "live/zmtp.hpp"

#include <algorithm>
#include <utility>

#include "base/zmtp.hpp"

namespace peaknet::live {
namespace {

constexpr std::size_t kLongestFrame = 4096;  // a request is a word
constexpr std::size_t kMostParts = 16;

void put(Bytes& out, std::string_view text) { out.insert(out.end(), text.begin(), text.end()); }

Error refused(const std::string& why) {
  return {"zmtp.refused", "a peer was refused: " + why, "others are served",
          "connect with a REQ socket of ZeroMQ 4 (indexamajig --zmq-request=next), without CURVE"};
}

std::string_view as_text(std::span<const std::uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

ZmtpPeer::ZmtpPeer() { put(output_, zmtp::greeting()); }

Status ZmtpPeer::receive(std::span<const std::uint8_t> bytes) {
  input_.insert(input_.end(), bytes.begin(), bytes.end());
  std::span<const std::uint8_t> rest(input_);
  if (stage_ == Stage::greeting) {
    if (rest.size() < zmtp::kGreetingBytes) return {};
    if (auto greeted = greeting(rest.first(zmtp::kGreetingBytes)); !greeted) return greeted;
    rest = rest.subspan(zmtp::kGreetingBytes);
  }
  for (;;) {
    auto next = frame(rest);
    if (!next) return next.error();
    if (!*next) break;
    const Frame& whole = **next;
    const bool is_command = (whole.flags & zmtp::kCommand) != 0;
    if (!is_command && stage_ != Stage::traffic) return refused("it sent a message before it was READY");
    if (auto taken = is_command ? command(whole.body) : part(whole); !taken) return taken;
    rest = rest.subspan(whole.bytes);
  }
  input_.erase(input_.begin(), input_.end() - static_cast<std::ptrdiff_t>(rest.size()));
  return {};
}

Status ZmtpPeer::greeting(std::span<const std::uint8_t> bytes) {
  if (bytes[0] != 0xff || (bytes[9] & 1) == 0) return refused("it does not speak ZeroMQ's protocol");
  if (const unsigned version = bytes[zmtp::kVersionAt]; version < 3)
    return refused("it speaks ZMTP " + std::to_string(version) + ", older than 3");
  const auto mechanism = as_text(bytes.subspan(zmtp::kMechanismAt, zmtp::kMechanismBytes));
  if (mechanism.substr(0, mechanism.find('\0')) != "NULL") return refused("it wants a security mechanism");
  put(output_, zmtp::ready());
  stage_ = Stage::handshake;
  return {};
}

Result<std::optional<ZmtpPeer::Frame>> ZmtpPeer::frame(std::span<const std::uint8_t> bytes) const {
  if (bytes.empty()) return std::optional<Frame>();
  if ((bytes[0] & ~(zmtp::kMore | zmtp::kLong | zmtp::kCommand)) != 0)
    return refused("it sent a frame with unknown flags");
  const auto head = zmtp::read_head(as_text(bytes));
  if (!head) return std::optional<Frame>();
  if (head->body_bytes > kLongestFrame)
    return refused("it sent a frame of " + std::to_string(head->body_bytes) + " bytes");
  const std::size_t whole = head->bytes + head->body_bytes;
  if (bytes.size() < whole) return std::optional<Frame>();
  return std::optional<Frame>(Frame{head->flags, bytes.subspan(head->bytes, head->body_bytes), whole});
}

Status ZmtpPeer::command(std::span<const std::uint8_t> body) {
  if (body.empty() || body.size() < std::size_t{1} + body[0]) return refused("it sent a command without a name");
  const auto name = as_text(body.subspan(1, body[0]));
  const auto rest = body.subspan(std::size_t{1} + body[0]);
  if (name == "READY" && stage_ == Stage::handshake) return read_ready(rest);
  if (name == "ERROR") return refused("it sent an ERROR");
  if (name == "PING" && rest.size() >= 2) {
    put(output_, zmtp::pong(as_text(rest.subspan(2))));  // behind the time to live: its context
  }
  return {};  // others are for later versions
}

Status ZmtpPeer::read_ready(std::span<const std::uint8_t> properties) {
  const auto type = zmtp::socket_type(as_text(properties));
  if (!type) return refused("its READY is cut");
  socket_type_ = *type;
  if (socket_type_ != "REQ" && socket_type_ != "DEALER")
    return refused("its socket is " + (socket_type_.empty() ? "of no type" : "a " + socket_type_) +
                   ", which cannot ask");
  stage_ = Stage::traffic;
  return {};
}

Status ZmtpPeer::part(const Frame& frame) {
  if (parts_.size() >= kMostParts)
    return refused("it sent a message of more than " + std::to_string(kMostParts) + " parts");
  parts_.emplace_back(frame.body.begin(), frame.body.end());
  if ((frame.flags & zmtp::kMore) != 0) return {};
  Request request;
  auto body = std::find_if(parts_.begin(), parts_.end(), [](const Bytes& one) { return one.empty(); });
  body = body == parts_.end() ? parts_.begin() : body + 1;
  for (auto one = body; one != parts_.end(); ++one) request.text += as_text(*one);
  parts_.erase(body, parts_.end());
  request.envelope = std::exchange(parts_, {});
  requests_.push_back(std::move(request));
  return {};
}

std::optional<ZmtpPeer::Request> ZmtpPeer::next_request() {
  if (requests_.empty()) return std::nullopt;
  Request next = std::move(requests_.front());
  requests_.pop_front();
  return next;
}

Bytes ZmtpPeer::message(const std::vector<Bytes>& envelope, const Bytes& body) {
  Bytes out;
  out.reserve(body.size() + 64);
  for (const Bytes& one : envelope) {
    put(out, zmtp::head(zmtp::kMore, one.size()));
    out.insert(out.end(), one.begin(), one.end());
  }
  put(out, zmtp::head(0, body.size()));
  out.insert(out.end(), body.begin(), body.end());
  return out;
}

}  // namespace peaknet::live
