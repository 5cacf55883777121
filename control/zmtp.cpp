#include "control/zmtp.hpp"

#include <strings.h>

#include <algorithm>
#include <array>

#include "control/protocol.hpp"

namespace peaknet::control {
namespace {

constexpr unsigned kMore = 1, kLong = 2, kCommand = 4;  // flags of a frame
constexpr std::size_t kGreetingBytes = 64;
constexpr std::size_t kVersionAt = 10, kMechanismAt = 12, kMechanismBytes = 20;

unsigned byte_at(std::string_view bytes, std::size_t at) { return static_cast<unsigned char>(bytes[at]); }

std::uint64_t number(std::string_view bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) value = value << 8 | byte_at(bytes, i);
  return value;
}

std::string mechanism() {
  std::string text = "NULL";
  text.resize(kMechanismBytes, '\0');
  return text;
}

// A stranger is told by his first bytes; he need not send 64.
std::string wrong_in_greeting(std::string_view bytes) {
  if (!bytes.empty() && byte_at(bytes, 0) != 0xff) return "no ZeroMQ came in";
  if (bytes.size() > 9 && byte_at(bytes, 9) != 0x7f) return "no ZeroMQ came in";
  if (bytes.size() > kVersionAt && byte_at(bytes, kVersionAt) < 3)
    return "ZMTP " + std::to_string(byte_at(bytes, kVersionAt)) + " came in, which is older than 3";
  if (bytes.size() <= kMechanismAt) return "";
  const std::string_view named = bytes.substr(kMechanismAt, kMechanismBytes);
  return mechanism().starts_with(named) ? "" : "another security mechanism than NULL is asked for";
}

std::string frame(unsigned flags, std::string_view body) {
  std::string bytes;
  const bool is_long = body.size() > 0xff;
  bytes += static_cast<char>(is_long ? flags | kLong : flags);
  for (int shift = is_long ? 56 : 0; shift >= 0; shift -= 8) bytes += static_cast<char>(body.size() >> shift & 0xffU);
  return bytes.append(body);
}

std::string named(std::string_view name) { return static_cast<char>(name.size()) + std::string(name); }

// The type of the socket that READY names; empty if its properties are none.
std::string_view socket_type(std::string_view properties) {
  std::string_view type;
  while (!properties.empty()) {
    const std::size_t name_bytes = byte_at(properties, 0);
    if (properties.size() < 1 + name_bytes + 4) return {};
    const std::string_view name = properties.substr(1, name_bytes);
    const std::uint64_t value_bytes = number(properties.substr(1 + name_bytes, 4));
    properties.remove_prefix(1 + name_bytes + 4);
    if (properties.size() < value_bytes) return {};
    const std::string_view wanted = "Socket-Type";
    if (name.size() == wanted.size() && ::strncasecmp(name.data(), wanted.data(), wanted.size()) == 0)
      type = properties.substr(0, value_bytes);
    properties.remove_prefix(value_bytes);
  }
  return type;
}

}  // namespace

void ZmtpReader::feed(std::string_view bytes) {
  bytes_.erase(0, at_);
  at_ = 0;
  if (stage_ != Stage::broken) bytes_.append(bytes);
}

ZmtpEvent ZmtpReader::give_up(std::string why) {
  stage_ = Stage::broken;
  bytes_.clear();
  at_ = 0;
  return {ZmtpEvent::Kind::broken, std::move(why)};
}

ZmtpEvent ZmtpReader::take_greeting() {
  const std::string_view bytes = rest();
  if (auto wrong = wrong_in_greeting(bytes.substr(0, kGreetingBytes)); !wrong.empty()) return give_up(std::move(wrong));
  if (bytes.size() < kGreetingBytes) return {};
  at_ += kGreetingBytes;
  stage_ = Stage::handshake;
  return {ZmtpEvent::Kind::greeted};
}

ZmtpEvent ZmtpReader::next() {
  if (stage_ == Stage::greeting) return take_greeting();
  while (stage_ != Stage::broken) {
    const std::string_view bytes = rest();
    if (bytes.size() < 2) break;
    const unsigned flags = byte_at(bytes, 0);
    const bool more = (flags & kMore) != 0;
    const bool command = (flags & kCommand) != 0;
    if (flags > (kMore | kLong | kCommand) || (more && command)) return give_up("a frame with unknown flags came in");
    const std::size_t header = (flags & kLong) != 0 ? 9 : 2;
    if (bytes.size() < header) break;
    const std::uint64_t length = number(bytes.substr(1, header - 1));
    if (length > kMaxRequestBytes) return give_up("a frame of " + std::to_string(length) + " bytes came in");
    if (bytes.size() - header < length) break;
    const std::string_view body = bytes.substr(header, length);
    at_ += header + length;
    if (auto event = command ? take_command(body) : take_part(body, more); event.kind != ZmtpEvent::Kind::none)
      return event;
  }
  return {};
}

ZmtpEvent ZmtpReader::take_command(std::string_view body) {
  const std::size_t name_bytes = body.empty() ? 0 : byte_at(body, 0);
  if (name_bytes == 0 || body.size() < 1 + name_bytes) return give_up("a command without a name came in");
  const std::string_view name = body.substr(1, name_bytes);
  const std::string_view rest_of_it = body.substr(1 + name_bytes);
  if (stage_ == Stage::handshake) {
    constexpr std::array<std::string_view, 3> kAskers{"DEALER", "REQ", "ROUTER"};
    const std::string_view type = name == "READY" ? socket_type(rest_of_it) : "";
    if (std::find(kAskers.begin(), kAskers.end(), type) == kAskers.end())
      return give_up("no READY of a DEALER, REQ or ROUTER came in");
    stage_ = Stage::messages;
    return {ZmtpEvent::Kind::ready};
  }
  if (name == "ERROR") return give_up("the peer says that it cannot go on");
  if (name != "PING" || rest_of_it.size() < 2) return {};  // of others no answer is expected
  return {ZmtpEvent::Kind::ping, std::string(rest_of_it.substr(2, kMostPingBytes))};
}

ZmtpEvent ZmtpReader::take_part(std::string_view body, bool more) {
  if (stage_ == Stage::handshake) return give_up("a message came in before READY");
  ++parts_;
  if (more) {
    part_bytes_ += body.size();
    if (parts_ >= kMostParts || part_bytes_ >= kMostPartBytes)
      return give_up("a message that did not end after " + std::to_string(parts_) + " parts with " +
                     std::to_string(part_bytes_) + " bytes came in");
    return {};
  }
  ZmtpEvent event{ZmtpEvent::Kind::message, parts_ == 1 ? std::string(body) : "", parts_};
  parts_ = 0;
  part_bytes_ = 0;
  return event;
}

std::string zmtp_greeting() {
  std::string bytes = "\xff" + std::string(8, '\0') + "\x7f" + std::string("\3\0", 2) + mechanism();
  bytes.resize(kGreetingBytes, '\0');
  return bytes;
}

std::string zmtp_ready() {
  const std::string type = "ROUTER";
  return frame(kCommand, named("READY") + named("Socket-Type") + std::string(3, '\0') + static_cast<char>(type.size()) +
                             type + named("Identity") + std::string(4, '\0'));
}

std::string zmtp_pong(std::string_view context) { return frame(kCommand, named("PONG") + std::string(context)); }

std::string zmtp_message(std::string_view text) { return frame(0, text); }

}  // namespace peaknet::control
