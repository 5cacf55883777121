#include "base/journald.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>

namespace peaknet {
namespace {

bool is_name(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '_' || c == '-';
}

// The word after `introduction`, where that stands at the beginning of a word; "" if there is none.
std::string_view word_after(std::string_view line, std::string_view introduction) {
  for (auto at = line.find(introduction); at != std::string_view::npos; at = line.find(introduction, at + 1)) {
    if (at > 0 && is_name(line[at - 1])) continue;
    const auto begin = at + introduction.size();
    auto end = begin;
    while (end < line.size() && is_name(line[end])) ++end;
    while (end > begin && line[end - 1] == '.') --end;  // the end of a sentence
    if (end > begin) return line.substr(begin, end - begin);
  }
  return {};
}

bool is_number(std::string_view word) {
  return !word.empty() && std::all_of(word.begin(), word.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// A name has a digit in it: "run goes on" names no run.
bool has_digit(std::string_view word) {
  return std::any_of(word.begin(), word.end(), [](char c) { return c >= '0' && c <= '9'; });
}

constexpr std::array<MessageId, 34> kMessageIds = {{
    {"run-begins", "21e0d9d5ffac4b209f5da61adadae0b1"},
    {"run-ended", "4d68e45d08af44be83a9ddd65eeb943d"},
    {"stop.timeout", "195aaddeea6347219f5204b298a00c17"},
    {"stop.no-writer", "3b2fc970a6484ef68dc2650e2b5e3599"},
    {"device.lost", "68873e1a9a0044879bad1d8692812138"},
    {"device.stuck", "9e6701c0fde24f61b158e430c598b011"},
    {"pool.lost", "40bdd527a7e8471487248f167a0b4078"},
    {"instance.removed-by-hand", "3bcee77358cd4704bb653fd4798e825b"},
    {"shm.overwritten", "8a173bf011cb481b811ed70084f8dcb2"},
    {"slot.overwritten", "b980c5d5ba994ce7ace5eb8067f61d99"},
    {"output.disk-full", "6ddff221c52545219974f6bef7d20dde"},
    {"rebuffer.timeout", "bc723d2e10ad489ca38b9b3bfcfbb818"},
    {"process.no-threads", "1a8a72dd3c384028ac4c9e25788d8a7f"},
    {"process.no-descriptors", "71aa2e5140cf46f7985aa3e0a81999d0"},
    {"process.no-memory", "555ba66cb1fa4e4d831c6d9d957d5cd7"},
    {"pool.over-limit", "470cdebd8ac14ab299d8a7b432c295f4"},
    {"shm.no-space", "f3451d2c74f942d68d20dae9082add3e"},
    {"shm.denied", "5c7baf8546e1489d945a80a7b16e5235"},
    {"pool.in-use", "d15073437ff94c85a3b446d1688ab7d3"},
    {"instance.taken", "4f1c13fe2dcd4f35837a0dda416cab67"},
    {"control.endpoint-taken", "aad9022593b24036961df1640d5561f3"},
    {"control.socket-removed", "a3ec5758a2a94b7787162b7539ca0adf"},
    {"control.too-many-connections", "652c2bc4264e478db13c0cb5e4f67a42"},
    {"control.bad-peer", "271b50dcde2f4c6c8d0b8aac647f9b43"},
    {"model.not-finite", "0c13528d47894e51b51492449ec6845e"},
    {"output.folder-missing", "40c656686b584fd8a081f7c02832d1ad"},
    {"output.denied", "54013ee1bc4d4952a63ec6321920dde1"},
    {"config.unknown-key", "e66bce641239494faae9fdb92c13d2a9"},
    {"shedding.up", "f7808db5e3cb41d9bce8da2d73bf547a"},
    {"device.driver", "b361c4c6a78540f49503e760a62c4a61"},
    {"device.not-registered", "090fb6c89e0f43b88a4251b66cac20f9"},
    {"frame.absent", "4342d20fd5da4dd3bee6cc44a4f2d54e"},
    {"file.incomplete", "c2926b498a3f4049a83bc3522807a821"},
    {"pool.full", "c50329f30f734cceb247c022cb34ffdf"},
}};

// "[area.cause]" at the end.
std::string_view event_of(std::string_view line) {
  if (!line.ends_with(']')) return {};
  const auto begin = line.rfind('[');
  if (begin == std::string_view::npos) return {};
  const auto id = line.substr(begin + 1, line.size() - begin - 2);
  const bool good = id.find('.') != std::string_view::npos && std::all_of(id.begin(), id.end(), is_name);
  return good ? id : std::string_view{};
}

void append(std::string& datagram, std::string_view name, std::string_view value) {
  datagram += name;
  if (value.find('\n') == std::string_view::npos) {
    datagram += '=';
  } else {  // its length as 64 bits, little end first
    datagram += '\n';
    for (unsigned byte = 0; byte < 8; ++byte) datagram += static_cast<char>(value.size() >> (8 * byte) & 0xffU);
  }
  datagram += value;
  datagram += '\n';
}

}  // namespace

std::vector<std::pair<std::string, std::string>> journal_fields(std::string_view line) {
  std::vector<std::pair<std::string, std::string>> fields;
  if (const auto run = word_after(line, "run "); has_digit(run)) fields.emplace_back("PEAKNET_RUN", run);
  const auto producer = word_after(line, "producer ");
  const auto frame = word_after(line, "frame ");
  if (is_number(producer) && is_number(frame))
    fields.emplace_back("PEAKNET_FRAME", std::string(producer) + ":" + std::string(frame));
  if (const auto device = word_after(line, "device "); is_number(device)) fields.emplace_back("PEAKNET_DEVICE", device);
  if (const auto event = event_of(line); !event.empty()) fields.emplace_back("PEAKNET_EVENT", event);
  return fields;
}

std::span<const MessageId> message_ids() { return kMessageIds; }

std::string_view message_id(std::string_view line) {
  std::string_view event = event_of(line);
  if (event.empty() && line.starts_with("run ") && line.ends_with(" begins")) event = "run-begins";
  if (event.empty() && line.starts_with("run ") && line.find(" ended after a drain ") != std::string_view::npos)
    event = "run-ended";
  const auto known = std::find_if(kMessageIds.begin(), kMessageIds.end(),
                                  [&](const MessageId& message) { return message.event == event; });
  return known == kMessageIds.end() ? std::string_view{} : known->id;
}

std::string journal_datagram(const std::string& program, int priority, std::string_view line) {
  std::string datagram;
  append(datagram, "MESSAGE", line);
  append(datagram, "PRIORITY", std::to_string(priority));
  append(datagram, "SYSLOG_IDENTIFIER", program);
  if (const auto id = message_id(line); !id.empty()) append(datagram, "MESSAGE_ID", id);
  for (const auto& [name, value] : journal_fields(line)) append(datagram, name, value);
  return datagram;
}

JournaldSocket::JournaldSocket(std::string path)
    : path_(std::move(path)), fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {}

JournaldSocket::~JournaldSocket() {
  if (fd_ >= 0) ::close(fd_);
}

bool JournaldSocket::send(const std::string& datagram) const {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (fd_ < 0 || path_.size() >= sizeof address.sun_path) return false;
  path_.copy(address.sun_path, sizeof address.sun_path - 1);
  return ::sendto(fd_, datagram.data(), datagram.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
                  reinterpret_cast<const sockaddr*>(&address), sizeof address) == static_cast<ssize_t>(datagram.size());
}

}  // namespace peaknet
