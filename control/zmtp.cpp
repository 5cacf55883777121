#include "control/zmtp.hpp"

#include <algorithm>
#include <array>

#include "base/zmtp.hpp"
#include "control/protocol.hpp"

namespace peaknet::control {
namespace {

using zmtp::byte_at;

// A stranger is told by his first bytes; he need not send 64.
std::string wrong_in_greeting(std::string_view bytes) {
  if (!bytes.empty() && byte_at(bytes, 0) != 0xff) return "no ZeroMQ came in";
  if (bytes.size() > 9 && byte_at(bytes, 9) != 0x7f) return "no ZeroMQ came in";
  if (bytes.size() > zmtp::kVersionAt && byte_at(bytes, zmtp::kVersionAt) < 3)
    return "ZMTP " + std::to_string(byte_at(bytes, zmtp::kVersionAt)) + " came in, which is older than 3";
  if (bytes.size() <= zmtp::kMechanismAt) return "";
  const std::string_view named = bytes.substr(zmtp::kMechanismAt, zmtp::kMechanismBytes);
  return zmtp::mechanism().starts_with(named) ? "" : "another security mechanism than NULL is asked for";
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
  if (auto wrong = wrong_in_greeting(bytes.substr(0, zmtp::kGreetingBytes)); !wrong.empty())
    return give_up(std::move(wrong));
  if (bytes.size() < zmtp::kGreetingBytes) return {};
  at_ += zmtp::kGreetingBytes;
  stage_ = Stage::handshake;
  return {ZmtpEvent::Kind::greeted};
}

ZmtpEvent ZmtpReader::next() {
  if (stage_ == Stage::greeting) return take_greeting();
  while (stage_ != Stage::broken) {
    const std::string_view bytes = rest();
    if (bytes.size() < 2) break;
    const unsigned flags = byte_at(bytes, 0);
    const bool more = (flags & zmtp::kMore) != 0;
    const bool command = (flags & zmtp::kCommand) != 0;
    if (flags > (zmtp::kMore | zmtp::kLong | zmtp::kCommand) || (more && command))
      return give_up("a frame with unknown flags came in");
    const auto head = zmtp::read_head(bytes);
    if (!head) break;
    if (head->body_bytes > kMaxRequestBytes)
      return give_up("a frame of " + std::to_string(head->body_bytes) + " bytes came in");
    if (bytes.size() - head->bytes < head->body_bytes) break;
    const std::string_view body = bytes.substr(head->bytes, head->body_bytes);
    at_ += head->bytes + head->body_bytes;
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
    const std::string_view type = name == "READY" ? zmtp::socket_type(rest_of_it).value_or("") : "";
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

std::string zmtp_message(std::string_view text) { return zmtp::head(0, text.size()).append(text); }

}  // namespace peaknet::control
