#include "live/zmtp.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace peaknet::live {
namespace {

constexpr std::size_t kGreetingBytes = 64;
constexpr std::size_t kLongestFrame = 4096;  // a request is a word
constexpr std::size_t kMostParts = 16;
constexpr std::uint8_t kMore = 1, kLong = 2, kCommand = 4;
constexpr std::string_view kNull = "NULL";

void put(Bytes& out, std::string_view text) { out.insert(out.end(), text.begin(), text.end()); }

void put_number(Bytes& out, std::uint64_t value, unsigned bytes) {
  while (bytes-- > 0) out.push_back(static_cast<std::uint8_t>(value >> (8 * bytes)));
}

std::uint64_t number(std::span<const std::uint8_t> bytes) {
  std::uint64_t value = 0;
  for (const std::uint8_t byte : bytes) value = value << 8 | byte;
  return value;
}

void put_head(Bytes& out, std::uint8_t flags, std::size_t size) {
  if (size < 256) {
    out.push_back(flags);
    put_number(out, size, 1);
  } else {
    out.push_back(flags | kLong);
    put_number(out, size, 8);
  }
}

void put_command(Bytes& out, const Bytes& body) {
  put_head(out, kCommand, body.size());
  out.insert(out.end(), body.begin(), body.end());
}

Bytes our_greeting() {
  Bytes out(kGreetingBytes, 0);
  constexpr std::array<std::uint8_t, 12> kBegin{0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0};
  std::copy(kBegin.begin(), kBegin.end(), out.begin());
  std::copy(kNull.begin(), kNull.end(), out.begin() + kBegin.size());
  return out;
}

Bytes our_ready() {
  Bytes body;
  put(body, "\x05READY");
  for (const auto& [name, value] : {std::pair<std::string_view, std::string_view>{"Socket-Type", "ROUTER"},
                                    std::pair<std::string_view, std::string_view>{"Identity", ""}}) {
    put_number(body, name.size(), 1);
    put(body, name);
    put_number(body, value.size(), 4);
    put(body, value);
  }
  return body;
}

Error refused(const std::string& why) {
  return {"zmtp.refused", "a peer was refused: " + why, "others are served",
          "connect with a REQ socket of ZeroMQ 4 (indexamajig --zmq-request=next), without CURVE"};
}

std::string_view as_text(std::span<const std::uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

ZmtpPeer::ZmtpPeer() : output_(our_greeting()) {}

Status ZmtpPeer::receive(std::span<const std::uint8_t> bytes) {
  input_.insert(input_.end(), bytes.begin(), bytes.end());
  std::span<const std::uint8_t> rest(input_);
  if (stage_ == Stage::greeting) {
    if (rest.size() < kGreetingBytes) return {};
    if (auto greeted = greeting(rest.first(kGreetingBytes)); !greeted) return greeted;
    rest = rest.subspan(kGreetingBytes);
  }
  for (;;) {
    auto next = frame(rest);
    if (!next) return next.error();
    if (!*next) break;
    const Frame& whole = **next;
    const bool is_command = (whole.flags & kCommand) != 0;
    if (!is_command && stage_ != Stage::traffic) return refused("it sent a message before it was READY");
    if (auto taken = is_command ? command(whole.body) : part(whole); !taken) return taken;
    rest = rest.subspan(whole.bytes);
  }
  input_.erase(input_.begin(), input_.end() - static_cast<std::ptrdiff_t>(rest.size()));
  return {};
}

Status ZmtpPeer::greeting(std::span<const std::uint8_t> bytes) {
  if (bytes[0] != 0xff || (bytes[9] & 1) == 0) return refused("it does not speak ZeroMQ's protocol");
  if (bytes[10] < 3) return refused("it speaks ZMTP " + std::to_string(bytes[10]) + ", older than 3");
  const auto mechanism = as_text(bytes.subspan(12, 20));
  if (mechanism.substr(0, mechanism.find('\0')) != kNull) return refused("it wants a security mechanism");
  put_command(output_, our_ready());
  stage_ = Stage::handshake;
  return {};
}

Result<std::optional<ZmtpPeer::Frame>> ZmtpPeer::frame(std::span<const std::uint8_t> bytes) const {
  if (bytes.empty()) return std::optional<Frame>();
  const std::uint8_t flags = bytes[0];
  if ((flags & ~(kMore | kLong | kCommand)) != 0) return refused("it sent a frame with unknown flags");
  const std::size_t head = (flags & kLong) != 0 ? 9 : 2;
  if (bytes.size() < head) return std::optional<Frame>();
  const std::uint64_t size = number(bytes.subspan(1, head - 1));
  if (size > kLongestFrame) return refused("it sent a frame of " + std::to_string(size) + " bytes");
  if (bytes.size() < head + size) return std::optional<Frame>();
  return std::optional<Frame>(Frame{flags, bytes.subspan(head, size), head + size});
}

Status ZmtpPeer::command(std::span<const std::uint8_t> body) {
  if (body.empty() || body.size() < std::size_t{1} + body[0]) return refused("it sent a command without a name");
  const auto name = as_text(body.subspan(1, body[0]));
  const auto rest = body.subspan(std::size_t{1} + body[0]);
  if (name == "READY" && stage_ == Stage::handshake) return read_ready(rest);
  if (name == "ERROR") return refused("it sent an ERROR");
  if (name == "PING" && rest.size() >= 2) {
    Bytes pong;
    put(pong, "\x04PONG");
    pong.insert(pong.end(), rest.begin() + 2, rest.end());  // behind the time to live: its context
    put_command(output_, pong);
  }
  return {};  // others are for later versions
}

Status ZmtpPeer::read_ready(std::span<const std::uint8_t> properties) {
  while (!properties.empty()) {
    const std::size_t name_end = std::size_t{1} + properties[0];
    if (properties.size() < name_end + 4) return refused("its READY is cut");
    const std::uint64_t size = number(properties.subspan(name_end, 4));
    if (size > properties.size() - name_end - 4) return refused("its READY is cut");
    if (as_text(properties.subspan(1, properties[0])) == "Socket-Type")
      socket_type_ = as_text(properties.subspan(name_end + 4, size));
    properties = properties.subspan(name_end + 4 + size);
  }
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
  if ((frame.flags & kMore) != 0) return {};
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
    put_head(out, kMore, one.size());
    out.insert(out.end(), one.begin(), one.end());
  }
  put_head(out, 0, body.size());
  out.insert(out.end(), body.begin(), body.end());
  return out;
}

}  // namespace peaknet::live
