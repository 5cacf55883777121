// libFuzzer target of the control protocol. Any bytes are a request, and a reply: each is taken apart, or refused with
// an Error that goes over the wire and comes back as it was. See docs/protocol.md, "Fuzzing".
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/zmtp.hpp"
#include "control/methods.hpp"
#include "control/protocol.hpp"
#include "control/zmtp.hpp"

namespace peaknet::control {
namespace {

void must(bool so) {
  if (!so) std::abort();
}

void be_asked(std::string_view bytes) {
  nlohmann::json id;
  const auto call = read_request(bytes, id);
  nlohmann::json replied;
  if (!call) {
    must(!call.error().id.empty() && !call.error().what.empty() && !call.error().remedy.empty());
    const auto back = read_reply(write_reply(id, call.error()), replied);
    must(!back && back.error().id == call.error().id);
    return;
  }
  must(find_method(call->method) != nullptr && call->params.is_object() && !id.is_null());
  const auto back = read_reply(write_reply(id, nlohmann::json{{"params", call->params}}), replied);
  must(back.ok());
}

void be_answered(std::string_view bytes) {
  nlohmann::json id;
  if (const auto reply = read_reply(bytes, id); reply) must(!to_text(*reply).empty());
}

// As the bytes of a connection, from its first one on or behind a good handshake.
void be_connected(std::string_view bytes, const std::string& before) {
  ZmtpReader reader;
  reader.feed(before);
  bool broken = false;
  for (std::size_t at = 0; at <= bytes.size(); at += 97) {
    reader.feed(bytes.substr(at, 97));
    for (auto event = reader.next(); event.kind != ZmtpEvent::Kind::none; event = reader.next()) {
      must(!broken && event.parts <= kMostParts && event.text.size() <= kMaxRequestBytes);
      broken = event.kind == ZmtpEvent::Kind::broken;
      if (event.kind == ZmtpEvent::Kind::ping) must(event.text.size() <= kMostPingBytes);
    }
  }
}

}  // namespace
}  // namespace peaknet::control

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  peaknet::control::be_asked(bytes);
  peaknet::control::be_answered(bytes);
  peaknet::control::be_connected(bytes, "");
  peaknet::control::be_connected(bytes, peaknet::zmtp::greeting() + peaknet::zmtp::ready());
  return 0;
}
