#include "base/zmtp.hpp"

#include <strings.h>

namespace peaknet::zmtp {
namespace {

std::uint64_t number(std::string_view bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) value = value << 8 | byte_at(bytes, i);
  return value;
}

std::string named(std::string_view name) { return static_cast<char>(name.size()) + std::string(name); }

std::string command(const std::string& body) { return head(kCommand, body.size()) + body; }

}  // namespace

unsigned byte_at(std::string_view bytes, std::size_t at) { return static_cast<unsigned char>(bytes[at]); }

std::string mechanism() {
  std::string text = "NULL";
  text.resize(kMechanismBytes, '\0');
  return text;
}

std::string greeting() {
  std::string bytes = "\xff" + std::string(8, '\0') + "\x7f" + std::string("\3\0", 2) + mechanism();
  bytes.resize(kGreetingBytes, '\0');
  return bytes;
}

std::string ready() {
  const std::string type = "ROUTER";
  return command(named("READY") + named("Socket-Type") + std::string(3, '\0') + static_cast<char>(type.size()) + type +
                 named("Identity") + std::string(4, '\0'));
}

std::string pong(std::string_view context) { return command(named("PONG") + std::string(context)); }

std::string head(unsigned flags, std::size_t body_bytes) {
  const bool is_long = body_bytes > 0xff;
  std::string bytes(1, static_cast<char>(is_long ? flags | kLong : flags));
  for (int shift = is_long ? 56 : 0; shift >= 0; shift -= 8) bytes += static_cast<char>(body_bytes >> shift & 0xffU);
  return bytes;
}

std::optional<Head> read_head(std::string_view bytes) {
  if (bytes.empty()) return std::nullopt;
  const unsigned flags = byte_at(bytes, 0);
  const std::size_t size = (flags & kLong) != 0 ? 9 : 2;
  if (bytes.size() < size) return std::nullopt;
  return Head{flags, size, number(bytes.substr(1, size - 1))};
}

std::optional<std::string_view> socket_type(std::string_view properties) {
  std::string_view type;
  while (!properties.empty()) {
    const std::size_t name_bytes = byte_at(properties, 0);
    if (properties.size() < 1 + name_bytes + 4) return std::nullopt;
    const std::string_view name = properties.substr(1, name_bytes);
    const std::uint64_t value_bytes = number(properties.substr(1 + name_bytes, 4));
    properties.remove_prefix(1 + name_bytes + 4);
    if (properties.size() < value_bytes) return std::nullopt;
    const std::string_view wanted = "Socket-Type";
    if (name.size() == wanted.size() && ::strncasecmp(name.data(), wanted.data(), wanted.size()) == 0)
      type = properties.substr(0, value_bytes);
    properties.remove_prefix(value_bytes);
  }
  return type;
}

}  // namespace peaknet::zmtp
